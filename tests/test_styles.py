"""A record is read as it was written, or refused in one sentence."""

import json
from pathlib import Path

import pytest
from PIL import Image

from stylevid.errors import StyleError
from stylevid.styles import (
    BUNDLED,
    THUMBNAIL,
    find_style,
    get_style,
    list_styles,
    name_styles,
    read_preview,
    read_style,
)


def write_record(folder: Path, name: str, record: object, **changes: object) -> Path:
    path = folder / f"{name}.json"
    content = {**record, **changes} if isinstance(record, dict) else record
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return path


def assert_refused(path: Path, match: str) -> None:
    with pytest.raises(StyleError, match=match) as caught:
        read_style(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_record_is_read(tmp_path: Path, record: dict[str, object]) -> None:
    metrics = {"clips": {"a.mp4": 1.5}}
    write_record(tmp_path, "a-square-2", record, artist="Käthe Ünbekannt", metrics=metrics)
    style = get_style("a-square-2", tmp_path)
    assert style.slug == "a-square-2"
    assert style.artist == "Käthe Ünbekannt"
    assert style.licence == "CC0"
    assert style.network == record["network"]
    assert style.metrics == metrics
    assert style.training == {}
    assert style.weights == tmp_path / "a-square-2.safetensors"
    assert style.preview == tmp_path / "a-square-2.jpg"


def test_styles_are_listed_by_slug(tmp_path: Path, record: dict[str, object]) -> None:
    for slug in ("wave", "b-12", "acorn"):
        write_record(tmp_path, slug, record)
    (tmp_path / "README.md").write_text("not a style")
    assert [style.slug for style in list_styles(tmp_path)] == ["acorn", "b-12", "wave"]


def test_empty_folder_holds_no_styles(tmp_path: Path) -> None:
    assert list_styles(tmp_path) == []
    with pytest.raises(StyleError, match="Known styles: none"):
        get_style("wave", tmp_path)


def test_bundled_records_are_readable() -> None:
    assert [s.slug for s in list_styles()] == sorted(p.stem for p in BUNDLED.glob("*.json"))


def test_unknown_slug_names_those_known(tmp_path: Path, record: dict[str, object]) -> None:
    for slug in ("wave", "acorn"):
        write_record(tmp_path, slug, record)
    with pytest.raises(StyleError, match=r"no style 'candy'\. Known styles: acorn, wave\."):
        get_style("candy", tmp_path)


@pytest.mark.parametrize(
    "slug", ["../x", "..", "", "/etc/passwd", "a/b", "A", "a b", "a\n", "-a", "a--b", "x.json"]
)
def test_slug_never_leaves_the_folder(tmp_path: Path, record: dict[str, object], slug: str) -> None:
    (tmp_path / "inner").mkdir()
    write_record(tmp_path, "x", record)
    with pytest.raises(StyleError, match="There is no style") as caught:
        get_style(slug, tmp_path / "inner")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["title", "artist", "year", "medium", "licence", "source", "sha256"]
)
@pytest.mark.parametrize("value", [None, "", "  ", 1889, ["CC0"]])
def test_record_without_a_text_is_refused(
    tmp_path: Path, record: dict[str, object], key: str, value: object
) -> None:
    assert_refused(write_record(tmp_path, "wave", record, **{key: value}), f"lacks '{key}'")


def test_record_without_a_licence_key_is_refused(tmp_path: Path, record: dict[str, object]) -> None:
    rest = {key: value for key, value in record.items() if key != "licence"}
    assert_refused(write_record(tmp_path, "wave", rest), "lacks 'licence'")


@pytest.mark.parametrize("key", ["network", "training", "metrics"])
def test_record_with_another_kind_of_value_is_refused(
    tmp_path: Path, record: dict[str, object], key: str
) -> None:
    assert_refused(write_record(tmp_path, "wave", record, **{key: [1]}), "is not an object")


@pytest.mark.parametrize("content", [b"", b"{", b"garbage", b"\xff\xfe\x00", b"\x00" * 100])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wave.json"
    path.write_bytes(content)
    assert_refused(path, "not a readable style record")


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wave.json"
    path.write_text("[" * 20_000)
    assert_refused(path, "style record")


@pytest.mark.parametrize("content", [[], "text", 3, None])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: object) -> None:
    assert_refused(write_record(tmp_path, "wave", content), "no JSON object")


def test_too_large_record_is_refused(tmp_path: Path, record: dict[str, object]) -> None:
    path = write_record(tmp_path, "wave", record, note="x" * (1 << 20))
    assert_refused(path, "larger than 64 KB")


def test_missing_record_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "wave.json", "not a readable style record")


def test_another_styles_slug_is_refused(tmp_path: Path, record: dict[str, object]) -> None:
    assert_refused(write_record(tmp_path, "wave", record, slug="acorn"), "slug")
    write_record(tmp_path, "wave", record, slug="wave")
    assert get_style("wave", tmp_path).slug == "wave"


@pytest.mark.parametrize("name", ["Wave", "great wave", "wave_1", "größe"])
def test_file_name_that_is_no_slug_is_refused(
    tmp_path: Path, record: dict[str, object], name: str
) -> None:
    assert_refused(write_record(tmp_path, name, record), "slug")


def test_one_damaged_record_is_named_when_listing(
    tmp_path: Path, record: dict[str, object]
) -> None:
    write_record(tmp_path, "acorn", record)
    (tmp_path / "wave.json").write_text("{")
    with pytest.raises(StyleError, match=r"wave\.json"):
        list_styles(tmp_path)


def test_a_style_knows_where_it_is_from(tmp_path: Path, record: dict[str, object]) -> None:
    path = write_record(tmp_path, "wave", record)
    assert read_style(path).full_name == f"{tmp_path.name}/wave"
    assert read_style(path, "alice/styles").full_name == "alice/styles/wave"
    assert {style.origin for style in list_styles()} == {"bundled"}


def test_every_style_has_a_name_even_if_slugs_meet(
    tmp_path: Path, record: dict[str, object]
) -> None:
    wave, acorn = (write_record(tmp_path, slug, record) for slug in ("wave", "acorn"))
    styles = [read_style(wave, "a/b"), read_style(acorn, "a/b"), read_style(wave, "bundled")]
    names = name_styles(styles)
    assert list(names) == ["wave", "acorn", "bundled/wave"]
    assert [find_style(name, styles) for name in names] == styles
    assert find_style("a/b/wave", styles) is styles[0]
    with pytest.raises(StyleError, match=r"no style 'x'\. Known styles: wave, acorn, bundled/wave"):
        find_style("x", styles)


def test_a_slug_has_at_most_64_letters(tmp_path: Path, record: dict[str, object]) -> None:
    assert read_style(write_record(tmp_path, "w" * 64, record)).slug == "w" * 64
    assert_refused(write_record(tmp_path, "w" * 65, record), "slug")


@pytest.mark.parametrize("title", ["a\nb", "a\tb", "\x1b[31mred", "a\u202eb", "\u2066", "a\x85b"])
def test_text_that_cannot_be_shown_is_refused(
    tmp_path: Path, record: dict[str, object], title: str
) -> None:
    assert_refused(write_record(tmp_path, "wave", record, title=title), "cannot be shown")


@pytest.mark.parametrize(
    "title", ["Ночь", "神奈川沖浪裏", "ليلة", "a\u00a0b", "👩\u200d🎨", "<b>&amp;"]
)
def test_text_of_any_script_is_kept(tmp_path: Path, record: dict[str, object], title: str) -> None:
    assert read_style(write_record(tmp_path, "wave", record, title=title)).title == title


@pytest.mark.parametrize("sha256", ["0" * 63, "G" * 64, "A" * 64, "0" * 65, "x"])
def test_sha256_in_another_form_is_refused(
    tmp_path: Path, record: dict[str, object], sha256: str
) -> None:
    assert_refused(write_record(tmp_path, "wave", record, sha256=sha256), "64 hexadecimal digits")


@pytest.mark.parametrize("text", ['{"title": "a", "title": "b"}', '{"metrics": {"a": Infinity}}'])
def test_json_that_readers_take_differently_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wave.json"
    path.write_text(text)
    assert_refused(path, "not a readable style record: (a key comes twice|Infinity)")


def test_preview_is_read_small(tmp_path: Path) -> None:
    path = tmp_path / "wave.jpg"
    for size, wanted in [((1200, 800), (512, 341)), ((64, 48), (64, 48))]:
        Image.new("L", size, 90).save(path)
        assert read_preview(path).size == wanted and read_preview(path).mode == "RGB"
    assert max(read_preview(style.preview).size[0] for style in list_styles()) <= THUMBNAIL


def test_preview_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wave.jpg"
    for kind in ("PNG", "GIF", "WEBP"):
        Image.new("RGB", (9, 9)).save(path, kind)
        with pytest.raises(StyleError, match=r"wave\.jpg is no readable JPEG"):
            read_preview(path)
    with pytest.raises(StyleError, match="no readable JPEG"):
        read_preview(tmp_path / "missing.jpg")
