"""A record is read as it was written, or refused in one sentence."""

import json
import re
import struct
from collections.abc import Callable
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
from tests.accidents import refused
from tests.material import RECORD, jpeg

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a record of this slug, with changes."""

    def write(slug: str, /, **changes: object) -> Path:
        path = tmp_path / f"{slug}.json"
        path.write_text(json.dumps({**RECORD, **changes}, ensure_ascii=False), "utf-8")
        return path

    return write


def assert_refused(path: Path, match: str) -> None:
    with refused(StyleError, f"{re.escape(path.name)}.*{match}"):
        read_style(path)


def test_record_is_read(tmp_path: Path, write: Write) -> None:
    metrics = {"clips": {"a.mp4": 1.5}}
    write("a-square-2", artist="Käthe Ünbekannt", metrics=metrics)
    style = get_style("a-square-2", tmp_path)
    assert (style.slug, style.artist, style.licence) == ("a-square-2", "Käthe Ünbekannt", "CC0")
    assert (style.network, style.metrics, style.training) == (RECORD["network"], metrics, {})
    assert style.weights == tmp_path / "a-square-2.safetensors"
    assert style.preview == tmp_path / "a-square-2.jpg"


def test_styles_are_listed_by_slug(tmp_path: Path, write: Write) -> None:
    for slug in ("wave", "b-12", "acorn"):
        write(slug)
    (tmp_path / "README.md").write_text("not a style")
    assert [style.slug for style in list_styles(tmp_path)] == ["acorn", "b-12", "wave"]
    with pytest.raises(StyleError, match=r"no style 'x'\. Known styles: acorn, b-12, wave\."):
        get_style("x", tmp_path)
    with pytest.raises(StyleError, match="Known styles: none"):
        get_style("wave", tmp_path / "none")


def test_bundled_records_are_readable() -> None:
    styles = list_styles()
    assert [s.slug for s in styles] == sorted(p.stem for p in BUNDLED.glob("*.json"))
    assert {s.origin for s in styles} == {"bundled"}


@pytest.mark.parametrize(
    "slug", ["../x", "..", "", "/etc/passwd", "a/b", "A", "a b", "a\n", "-a", "a--b", "x.json"]
)
def test_slug_never_leaves_the_folder(tmp_path: Path, write: Write, slug: str) -> None:
    (tmp_path / "inner").mkdir()
    write("x")
    with refused(StyleError, "There is no style"):
        get_style(slug, tmp_path / "inner")


@pytest.mark.parametrize("key", ["title", "year", "licence", "source", "sha256"])
@pytest.mark.parametrize("value", [None, "  ", 1889])
def test_record_without_a_text_is_refused(
    tmp_path: Path, write: Write, key: str, value: object
) -> None:
    assert_refused(write("wave", **{key: value}), f"lacks '{key}'")


RECORDS: dict[str, tuple[object, str]] = {
    "no JSON": (b"\x80\x04pickle", "is not a readable style record"),
    "a list": (b"[1, 2]", "holds no JSON object"),
    "deep": (b"[" * 60_000, "is not a readable style record"),
    "key twice": (b'{"title": "a", "title": "b"}', "a key comes twice"),
    "not a number": (b'{"metrics": {"a": NaN}}', "NaN is no JSON number"),
    "number of 10,000 digits": (b'{"a": ' + b"9" * 10_000 + b"}", "10000 digits"),
    "too large": ({"note": "x" * 70_000}, "larger than 64 KB"),
    "title of 10,000 letters": ({"title": "x" * 10_000}, "500 are allowed"),
    "title in red": ({"title": "\x1b[31mred"}, "cannot be shown"),
    "title written backwards": ({"title": "gpj.\u202eexe"}, "cannot be shown"),
    "title with half a character": ({"title": "\ud800"}, "cannot be shown"),
    "other slug": ({"slug": "acorn"}, "the slug must be"),
    "sha256 in upper case": ({"sha256": "A" * 64}, "64 hexadecimal digits"),
    "network that is a list": ({"network": [64, 5]}, "'network' is not an object"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_hostile_record_is_refused(tmp_path: Path, write: Write, case: str) -> None:
    content, match = RECORDS[case]
    text = content if isinstance(content, bytes) else json.dumps({**RECORD, **content}).encode()  # pyright: ignore
    (tmp_path / "wave.json").write_bytes(text)
    assert_refused(tmp_path / "wave.json", match)


@pytest.mark.parametrize("name", ["Wave", "wave_1", "größe", "w" * 65])
def test_file_name_that_is_no_slug_is_refused(tmp_path: Path, write: Write, name: str) -> None:
    assert_refused(write(name), "slug")
    assert read_style(write("w" * 64, slug="w" * 64)).slug == "w" * 64


def test_one_damaged_record_is_named_when_listing(tmp_path: Path, write: Write) -> None:
    write("acorn")
    (tmp_path / "wave.json").write_text("{")
    with pytest.raises(StyleError, match=r"wave\.json"):
        list_styles(tmp_path)


def test_every_style_has_a_name_even_if_slugs_meet(tmp_path: Path, write: Write) -> None:
    wave, acorn = (write(slug) for slug in ("wave", "acorn"))
    styles = [read_style(wave, "a/b"), read_style(acorn, "a/b"), read_style(wave, "bundled")]
    assert read_style(wave).full_name == f"{wave.parent.name}/wave"
    names = name_styles(styles)
    assert list(names) == ["wave", "acorn", "bundled/wave"]
    assert [find_style(name, styles) for name in names] == styles
    assert find_style("a/b/wave", styles) is styles[0]
    with pytest.raises(StyleError, match=r"no style 'x'\. Known styles: wave, acorn, bundled/wave"):
        find_style("x", styles)


def test_preview_is_read_small(tmp_path: Path) -> None:
    path = tmp_path / "wave.jpg"
    for size, wanted in [((1200, 800), (512, 341)), ((64, 48), (64, 48))]:
        Image.new("L", size, 90).save(path)
        assert read_preview(path).size == wanted and read_preview(path).mode == "RGB"
    assert max(read_preview(style.preview).size[0] for style in list_styles()) <= THUMBNAIL


def claiming(side: int) -> bytes:
    """A small JPEG whose header says that it is large."""
    picture = bytearray(jpeg())
    at = picture.index(b"\xff\xc0") + 5
    picture[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(picture)


PREVIEWS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no readable JPEG"),
    "png": (lambda: jpeg(kind="PNG"), "no readable JPEG"),
    "65500 x 65500 pixels": (lambda: claiming(65500), "no readable JPEG"),
    "8000 x 8000 pixels": (lambda: claiming(8000), "claims 8000x8000 pixels"),
    "cut off": (lambda: jpeg(99, 99)[:-2000], "no readable JPEG"),
    "5 MB": (lambda: jpeg() + bytes(5 << 20), "is larger than 4 MB"),
}


@pytest.mark.parametrize("case", PREVIEWS)
def test_hostile_preview_is_refused(tmp_path: Path, case: str) -> None:
    make, match = PREVIEWS[case]
    (tmp_path / "wave.jpg").write_bytes(make())
    with refused(StyleError, match):
        read_preview(tmp_path / "wave.jpg")
