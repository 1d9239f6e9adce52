"""Styles from the Hub: loaded once, found again without it, and never half of one commit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from stylevid.errors import HubError, StyleError, WeightsError
from stylevid.hub import (
    Download,
    HubName,
    HubStyles,
    collect_styles,
    follow_load,
    get_style,
    load_hub_styles,
    open_file,
    repo_names,
)
from stylevid.styles import find_style, name_styles, read_preview
from stylevid.weights import load_network
from tests.accidents import refused
from tests.hub_server import HubServer

Files = Callable[..., dict[str, bytes]]
TITLE = "A <script>alert(1)</script><img src=x> & [Wave](javascript:b) `c`"  # a text like others


@pytest.fixture
def server(
    server: HubServer, style_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> HubServer:
    """The usual Hub of this process, with two styles in alice/styles and a cache of its own."""
    server.use(monkeypatch, tmp_path / "cache")
    server.put("alice/styles", style_files("wave", title=TITLE) | style_files("acorn"))
    return server


def load(name: str = "alice/styles", **options: Any) -> HubStyles:
    return load_hub_styles(name, **options)


def slugs(loaded: HubStyles) -> list[str]:
    return [style.slug for style in loaded.styles]


def test_a_repos_name_is_understood() -> None:
    commit = "a1" * 20
    for name in (
        HubName("alice/styles"), HubName("Alice-1/my_styles.v2", "v1.0"),
        HubName("alice/styles", "refs/pr/3"), HubName("alice/styles", commit),
    ):  # fmt: skip
        assert HubName.parse(str(name)) == name
        assert HubName.parse(f" https://huggingface.co/{name}/ \n") == name
    assert HubName.parse("alice/styles@main") == HubName("alice/styles")


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "alice", "a/b/c", "a b/c", "alice/styles@", "../..", "alice/styles@../../x",
        "alice/styles@/etc/passwd", "alice/styles@a..b", "alice/sty\nles", "alice/styles@v1?x=1",
        "a" * 500, "http://example.org/alice/styles", "alice/styles@.hidden", "alice/<b>x</b>",
    ],
)  # fmt: skip
def test_what_is_no_repos_name_is_refused(text: str) -> None:
    with refused(HubError, "is no name of a repo"):
        HubName.parse(text)


def test_a_repos_styles_are_loaded_and_checked(server: HubServer, tmp_path: Path) -> None:
    loaded = load()
    assert slugs(loaded) == ["acorn", "wave"] and not loaded.warnings
    wave = find_style("wave", loaded.styles)
    assert (wave.title, wave.full_name) == (TITLE, "alice/styles/wave")
    assert load_network(wave).config.width == 4
    assert read_preview(wave.preview).size == (64, 48)
    assert wave.weights.is_relative_to(tmp_path / "cache")


def test_progress_goes_from_nothing_to_all(server: HubServer) -> None:
    steps: list[Download] = []
    loaded = load(progress=steps.append)
    done = [step.done_bytes for step in steps]
    size = sum(path.stat().st_size for path in loaded.styles[0].weights.parent.iterdir())
    assert done == sorted(done) and done[0] == 0 and steps[0].fraction == 0
    assert steps[-1].done_bytes == steps[-1].total_bytes == size
    assert steps[-1].fraction == 1
    assert 0 < steps[-1].received_bytes < size  # both styles have the same weights
    load(progress=steps.append)
    assert steps[-1].done_bytes == size and steps[-1].received_bytes == 0


def test_only_what_is_wanted_and_not_there_is_downloaded(server: HubServer) -> None:
    with pytest.raises(HubError, match=r"alice/styles holds no candy\."):
        load(only=["candy"])
    assert slugs(load(only=["wave"])) == ["wave"]
    assert server.count("HEAD", "acorn") == 0
    load()
    before = len(server.requests)
    load()
    assert [request.method for request in server.requests[before:]] == ["GET"]  # the list


def test_without_the_hub_the_copy_is_used_and_named(server: HubServer) -> None:
    commit = load().commit
    server.close()
    loaded = load()
    assert slugs(loaded) == ["acorn", "wave"] and loaded.commit == commit
    assert "cannot be reached" in loaded.warnings[0] and commit[:7] in loaded.warnings[0]
    assert slugs(load(only=["wave"])) == ["wave"]
    assert slugs(load(f"alice/styles@{commit}")) == ["acorn", "wave"]
    with pytest.raises(HubError, match="cannot be reached"):
        load("alice/styles@v2")


def test_a_branch_is_a_source_of_its_own(server: HubServer, style_files: Files) -> None:
    plain = {path: body for path, body in style_files("plain").items() if not path.endswith(".jpg")}
    server.put("alice/styles", plain, branch="v2")  # a style needs no preview
    (style,) = load("alice/styles@v2").styles
    assert style.full_name == "alice/styles@v2/plain" and not style.preview.is_file()
    server.close()
    assert slugs(load("alice/styles@v2")) == ["plain"]


def test_a_load_is_of_one_commit_whatever_happens(server: HubServer, style_files: Files) -> None:
    def change(step: Download) -> None:
        if step.total_bytes:
            changed = style_files("wave", title="Changed meanwhile")
            server.put("alice/styles", {"wave.json": changed["wave.json"]})

    assert find_style("wave", load(progress=change).styles).title == TITLE
    assert find_style("wave", load().styles).title == "Changed meanwhile"


def test_a_newer_commit_that_breaks_off_leaves_the_older_copy(
    server: HubServer, style_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's attempts
    first = load()
    server.put("alice/styles", style_files("wave", title="Newer") | style_files("third"))
    server.fail("GET", "/resolve/", "drop")
    loaded = load()
    assert loaded.commit == first.commit and "cannot be reached" in loaded.warnings[0]
    assert find_style("wave", loaded.styles).title == TITLE
    server.faults.clear()
    assert slugs(newer := load()) == ["acorn", "third", "wave"]
    assert find_style("wave", newer.styles).title == "Newer"
    assert load(f"alice/styles@{first.commit}").commit == first.commit


def test_one_style_of_a_newer_commit_does_not_hide_the_others(
    server: HubServer, style_files: Files
) -> None:
    newer = style_files("wave", title="Newer")
    get_style("alice/styles/wave")
    server.put("alice/styles", newer)
    assert get_style("alice/styles/wave").title == "Newer"
    server.fail("GET", "/api/models/", 500)
    assert get_style("alice/styles/wave").title == "Newer", "there was nothing to hide"
    server.faults.clear()
    server.put("alice/styles", style_files("wave", title="Newest"))
    whole = load()
    server.put("alice/styles", newer)
    assert get_style("alice/styles/wave").title == "Newer"
    server.close()
    assert load().commit == whole.commit and slugs(load()) == ["acorn", "wave"]
    assert get_style("alice/styles/acorn").slug == "acorn"


def test_a_damaged_copy_is_loaded_again(server: HubServer) -> None:
    style = load().styles[0]
    style.weights.resolve().write_bytes(b"damaged")
    with pytest.raises(WeightsError):
        load_network(style)
    assert slugs(load()) == ["acorn", "wave"]
    load_network(style)


def test_a_broken_style_is_left_out_with_a_sentence(
    server: HubServer, style_files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    server.put("alice/styles", style_files("wave", sha256="0" * 64) | {"odd.safetensors": b"x"})
    server.put("alice/styles", {"Not a Slug.safetensors": b"x", "config.json": b"{}"})
    loaded = load()
    assert slugs(loaded) == ["acorn"]
    assert [*loaded.warnings] == [
        f"alice/styles: {name!r} is no style, which has a record beside it, and a name of "
        "lower-case words joined by dashes."
        for name in ("Not a Slug", "odd")
    ] + [
        "alice/styles: wave.safetensors was changed: its sha256 is not the one in its record.",
    ]
    said = [entry.message for entry in caplog.records if entry.name == "stylevid.hub"]
    assert said == [*loaded.warnings]


@pytest.mark.parametrize(
    ("name", "constant", "value", "words"),
    [
        ("alice/nothing", "", None, "There is no alice/nothing on 127.0.0.1"),
        ("alice/gate", "", None, "alice/gate is gated. Ask for access"),
        ("alice/styles@v9", "", None, "has the repo, but no revision alice/styles@v9."),
        ("alice/styles", "HF_HUB_OFFLINE", True, "HF_HUB_OFFLINE is set, so 127.0.0.1"),
        ("alice/styles", "HF_HUB_CACHE", "/dev/null", "cannot read alice/styles: Not a directory."),
    ],
)
def test_each_failure_is_one_sentence(
    server: HubServer, style_files: Files, monkeypatch: pytest.MonkeyPatch,
    name: str, constant: str, value: object, words: str,
) -> None:  # fmt: skip
    server.put("alice/gate", style_files("wave"), gated=True)
    if constant:
        monkeypatch.setattr(f"huggingface_hub.constants.{constant}", value)
    with refused(HubError, words):
        load(name)


def test_a_visitor_sees_what_is_public_and_no_more(
    server: HubServer, style_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("alice/secret", style_files("wave"), private=True)
    with pytest.raises(HubError, match=r"There is no alice/secret on 127\.0\.0\.1.* private"):
        load_hub_styles("alice/secret")
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert slugs(load_hub_styles("alice/secret")) == ["wave"]
    with pytest.raises(HubError, match="or it is private"):
        list(follow_load("alice/secret", public=True))
    server.fail("GET", "/api/models/", 500)  # the copy in the cache is not for visitors, either
    with pytest.raises(HubError, match="500"):
        list(follow_load("alice/secret", public=True))
    server.faults.clear()
    assert isinstance(list(follow_load("alice/styles", public=True))[-1], HubStyles)


@pytest.mark.skipif(constants.HF_HUB_DISABLE_XET, reason="HF_HUB_DISABLE_XET is set")
def test_what_is_stored_in_xet_is_loaded(server: HubServer, style_files: Files) -> None:
    server.put("alice/xet", style_files("wave"))
    large = server.repos["model", "alice/xet"].at("main").files.values()
    server.move_to_xet([file.sha256 for file in large if file.lfs])
    assert slugs(load_hub_styles("alice/xet")) == ["wave"]
    assert len(server.xet_hashes) == 2 and server.count("GET", "/cdn/") == 0


def test_a_caller_who_leaves_ends_the_load(server: HubServer) -> None:
    steps = follow_load("alice/styles")
    next(steps)
    next(steps)
    steps.close()  # pyright: ignore
    fetched = [request.path for request in server.requests if request.method == "GET"]
    assert len(fetched) <= 2, "no more than the list and the file that was under way"


def test_a_name_finds_its_style(server: HubServer, style_files: Files) -> None:
    server.put("bob/night", style_files("starry-night", title="Bob's Night"))
    assert get_style("alice/styles/wave").title == TITLE
    assert get_style("starry-night").origin == "bundled"
    assert get_style("starry-night", repos=["bob/night"]).title == "Bob's Night"
    assert get_style("bundled/starry-night", repos=["bob/night"]).origin == "bundled"
    assert get_style("bob/night@main/starry-night").title == "Bob's Night"
    for name in ("candy", "bundled/candy", "../wave", "/etc/passwd", "alice/styles/candy"):
        with refused((StyleError, HubError)):
            get_style(name)


def test_the_hubs_styles_come_first_and_hide_nobody(
    server: HubServer, style_files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    server.put("bob/night", style_files("starry-night"))
    styles = name_styles(collect_styles(None, ["bob/night", "alice/styles"]))
    names = {name: style.full_name for name, style in styles.items()}
    assert list(names)[:3] == ["starry-night", "acorn", "wave"]
    assert names["starry-night"] == "bob/night/starry-night"
    assert names["bundled/starry-night"] == "bundled/starry-night"
    assert names["great-wave"] == "bundled/great-wave"
    server.close()
    found = collect_styles(None, ["carol/styles", "no name"])
    assert {style.origin for style in found} == {"bundled"}
    said = [entry.message for entry in caplog.records if entry.name == "stylevid.hub"]
    assert len(said) == 2 and "cannot be reached" in said[0]


def test_repos_come_from_the_command_line_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEVID_HUB_REPO", "a/b, c/d@v2,")
    assert repo_names(None) == ["a/b", "c/d@v2"]
    assert repo_names(["x/y,z/w", " u/v "]) == ["x/y", "z/w", "u/v"]
    monkeypatch.delenv("STYLEVID_HUB_REPO")
    assert repo_names(None) == []


def test_a_lone_file_is_a_style(tmp_path: Path, tiny_weights: Path) -> None:
    for name, slug in (("Grandma's Quilt (2)", "grandma-s-quilt-2"), ("Ж", "style")):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(tiny_weights.read_bytes())
        style = open_file(path)
        assert (style.title, style.full_name, style.weights) == (name, f"file/{slug}", path)
        assert load_network(style).config.width == 4
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="was changed"):
        load_network(style)
    with pytest.raises(WeightsError, match="no other kind"):
        open_file(tmp_path / "x.pt")
