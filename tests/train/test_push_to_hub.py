"""Styles reach the Hub whole or not at all, and every refusal is one line that says what to do.

The client is the unmodified one, the Hub is `tests/hub_server.py`.
"""

import json
import os
import runpy
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

from stylevid.hub import load_hub_styles
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.weights import save_network
from tests.hub_server import HubServer
from train import push_to_hub

ROOT = Path(__file__).resolve().parents[2]
REPO = "alice/styles"
Push = Callable[..., int]


def write_style(folder: Path, slug: str, record: dict[str, object], seed: int = 0) -> None:
    torch.manual_seed(seed)
    network = StyleNet(StyleNetConfig(width=4, blocks=1))
    sha256 = save_network(network, folder / f"{slug}.safetensors")
    told = {**record, "slug": slug, "title": f"The {slug}", "sha256": sha256}
    (folder / f"{slug}.json").write_text(json.dumps(told))
    Image.new("RGB", (64, 64), (40, 90 + 20 * seed, 160)).save(folder / f"{slug}.jpg")


@pytest.fixture
def weights(tmp_path: Path, record: dict[str, object]) -> Path:
    """Two small styles, sea and wave."""
    folder = tmp_path / "weights"
    folder.mkdir()
    write_style(folder, "sea", record, 1)
    write_style(folder, "wave", record, 2)
    return folder


@pytest.fixture(autouse=True)
def plain_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process plain LFS, and retries without their waits."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    clock = types.SimpleNamespace(**{**vars(time), "sleep": lambda _: None})  # pyright: ignore
    for module in ("utils._http", "file_download"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", clock)


@pytest.fixture
def push(hub: HubServer, weights: Path) -> Push:
    """The command, with an answer of yes; later options override earlier ones."""

    def run(*options: str, token: str | bool = "hf_write", yes: bool = True) -> int:
        given = ["--repo", REPO, "--weights", str(weights), *(["--yes"] if yes else []), *options]
        return push_to_hub.main(given, HfApi(hub.url, token=token))

    return run


@pytest.fixture
def hub(server: HubServer) -> HubServer:
    return server


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


STYLES = {f"{slug}.{end}" for slug in ("sea", "wave") for end in ("safetensors", "json", "jpg")}
ALL = STYLES | {"README.md", "contact_sheet.jpg", ".gitattributes"}


def test_a_push_puts_all_files_there_in_one_commit(
    hub: HubServer, push: Push, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert push("--message", "Two styles") == 0
    files = hub.files(REPO)
    assert set(files) == ALL
    assert all(files[path] == (weights / path).read_bytes() for path in STYLES)
    assert hub.count("POST", "/commit/") == 1
    commit = hub.repos["model", REPO].commits[str(hub.head(REPO))]
    assert commit.message == "Two styles"
    hub.use(monkeypatch, tmp_path)
    loaded = load_hub_styles(REPO)
    assert [style.slug for style in loaded.styles] == ["sea", "wave"] and not loaded.warnings
    said = capsys.readouterr().out
    size = sum(len(files[path]) for path in ALL - {".gitattributes"})
    assert f"8 files, {size:,} bytes to send, in one commit." in said
    assert f"{hub.url}/{REPO} is now at {str(hub.head(REPO))[:12]}" in said


def test_a_push_joins_what_is_there_and_pushing_again_commits_nothing(
    hub: HubServer, push: Push, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push("--styles", "sea") == 0
    assert "The sea" in hub.files(REPO)["README.md"].decode()
    (weights / "sea.json").rename(weights / "aside")
    stored = hub.count("PUT", "/lfs/")
    assert push() == 0  # the wave alone
    assert hub.count("PUT", "/lfs/") - stored == 3  # its weights and preview, and the sheet
    card = hub.files(REPO)["README.md"].decode()
    assert set(hub.files(REPO)) == ALL and "The sea" in card and "The wave" in card
    (weights / "aside").rename(weights / "sea.json")
    head, sent = hub.head(REPO), hub.count("POST", "/(commit|preupload)/")
    capsys.readouterr()
    assert push(yes=False) == 0  # there is nothing to ask
    assert (hub.head(REPO), hub.count("POST", "/(commit|preupload)/")) == (head, sent)
    assert "Nothing has changed." in capsys.readouterr().out


def test_a_branch_is_made_and_main_left_alone(hub: HubServer, push: Push) -> None:
    assert push("--styles", "sea") == 0
    main = hub.files(REPO)
    assert push("--revision", "try") == 0 and push("--revision", "try") == 0
    assert hub.files(REPO) == main and set(hub.files(REPO, "try")) == ALL
    assert hub.count("POST", "/commit/try") == 1
    assert push("--repo", "alice/more", "--revision", "try") == 0
    assert set(hub.files("alice/more", "try")) == ALL
    assert set(hub.files("alice/more")) == {".gitattributes"}


def test_a_dry_run_needs_no_token_and_no_network(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push("--dry-run", token=False, yes=False) == 0
    said = capsys.readouterr().out
    assert "to be created" in said and said.count("  new ") == 8 and "nothing was sent" in said
    assert hub.head(REPO) is None
    assert push("--styles", "sea") == 0
    capsys.readouterr()
    assert push("--dry-run", token=False) == 0
    said = capsys.readouterr().out
    assert (said.count("  new "), said.count("  changed ")) == (3, 2) and "sea.json" not in said
    hub.close()
    assert push("--dry-run", "--space", "alice/page", token=False) == 0
    said = capsys.readouterr().out
    assert "cannot be reached" in said and "as if it were new" in said and "sea.json" in said


@pytest.mark.parametrize(("answer", "sent"), [("Yes", True), ("", False)])
def test_somebody_at_the_terminal_is_asked(
    hub: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch, answer: str, sent: bool
) -> None:
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert push(yes=False) == (0 if sent else 1)
    assert (hub.head(REPO) is not None) == sent


def assert_refused(hub: HubServer, code: int, said: Any, words: str, files: object = None) -> None:
    """One line on stderr with the words, exit 1, and the repo as it was."""
    lines = said.readouterr().err.splitlines()
    assert (code, len(lines)) == (1, 1), lines
    assert words in lines[0] and "Traceback" not in lines[0]
    assert files == (hub.files(REPO) if ("model", REPO) in hub.repos else None)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (False, "There is no Hugging Face token. Run `hf auth login`"),
        ("hf_forged", "does not know our token"),
        ("hf_read", "does not let us write to alice/styles (403: Forbidden: you must use a write"),
        ("hf_bob", "does not let us write to alice/styles (403: "),
    ],
)
def test_tokens_without_the_right_are_refused(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str], token: str | bool, words: str
) -> None:
    assert_refused(hub, push(token=token), capsys, words)
    hub.put(REPO, {"README.md": b"---\nlibrary_name: stylevid\n---\n"})
    assert_refused(hub, push(token=token), capsys, words, hub.files(REPO))


def cut_off(folder: Path) -> None:
    path = folder / "wave.safetensors"
    path.write_bytes(path.read_bytes()[:-20])


def blank(folder: Path) -> None:
    network = StyleNet(StyleNetConfig(width=4, blocks=1))
    for parameter in network.leave.parameters():
        torch.nn.init.zeros_(parameter)
    edit(folder / "wave.json", sha256=save_network(network, folder / "wave.safetensors"))


SPOILED: list[tuple[Callable[[Path], object], str]] = [
    (cut_off, "its sha256 is not the one in its record"),
    (lambda f: (f / "wave.jpg").unlink(), "wave.jpg cannot be read: No such file"),
    (lambda f: (f / "wave.jpg").write_bytes(b"GIF89a"), "no readable JPEG"),
    (lambda f: edit(f / "wave.json", licence="Unknown."), "states no licence"),
    (lambda f: edit(f / "wave.json", source=" "), "lacks 'source'"),
    (blank, "paints in one color or not at all"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILED)
def test_styles_that_are_not_sound_are_refused(
    hub: HubServer, push: Push, weights: Path, capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object], words: str,
) -> None:  # fmt: skip
    spoil(weights)
    assert_refused(hub, push(), capsys, words)
    for wrong in ("--repo=a/b/c", "--space=-alice/x", '--revision=x"; import os'):
        assert_refused(hub, push(wrong), capsys, "is no name of a repo")
    assert_refused(hub, push("--styles", "sea", "sun"), capsys, "Known styles: sea, wave")
    assert not hub.requests
    assert push("--styles", "sea") == 0


OTHERS = {"README.md": b"---\nlibrary_name: transformers\n---\n", "a.safetensors": b"\0"}
ODD = {"README.md": b"---\nlibrary_name: stylevid\n---\n", "sun.json": b"[]"}


@pytest.mark.parametrize(
    ("there", "options", "words"),
    [
        (OTHERS, [], "The name alice/styles is taken: that model holds something else"),
        (OTHERS, ["--dry-run"], "is taken"),
        (ODD, ["--private"], "alice/styles is there and is public"),
        (ODD | {"sun.safetensors": b"\0"}, [], "sun.json is not a style record"),
    ],
)
def test_a_repo_that_cannot_take_styles_is_left_alone(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str],
    there: dict[str, bytes], options: list[str], words: str,
) -> None:  # fmt: skip
    hub.put(REPO, there)
    assert_refused(hub, push(*options), capsys, words, there)


@pytest.mark.parametrize(
    ("there", "words"),
    [("main.py", "alice/page is taken"), ("stylevid/__init__.py", "is there and is public")],
)
def test_nothing_is_sent_if_the_space_cannot_be(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str], there: str, words: str
) -> None:
    hub.put("alice/page", {there: b""}, type="space", sdk="gradio")
    assert_refused(hub, push("--private", "--space", "alice/page"), capsys, words)


@pytest.mark.parametrize(
    ("method", "path", "how", "words"),
    [
        ("GET", "models/", "drop", "cannot be reached (RemoteProtocolError)"),
        ("GET", "models/", "loop", "does not answer as a Hub does"),
        ("POST", "create", 402, "does not let us write to alice/styles (402: "),
        ("POST", "preupload", 503, "trouble of its own (503)"),
        ("PUT", "/lfs/", "drop", "cannot be reached"),
        ("POST", "/commit/", "drop", "cannot be reached"),
    ],
)
def test_trouble_on_the_way_leaves_the_repo_as_it_was(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str],
    method: str, path: str, how: int | str, words: str,
) -> None:  # fmt: skip
    hub.fail(method, path, how, times=50)
    code = push()
    files = hub.files(REPO) if hub.head(REPO) else None
    assert_refused(hub, code, capsys, words, files)
    assert files is None or set(files) == {".gitattributes"}
    hub.faults.clear()
    assert push() == 0 and set(hub.files(REPO)) == ALL


def test_somebody_elses_commit_is_never_trampled(
    hub: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push("--styles", "sea") == 0
    monkeypatch.setattr(push_to_hub, "_ask", lambda: hub.put(REPO, {"notes.txt": b"meanwhile"}))
    theirs = hub.files(REPO) | {"notes.txt": b"meanwhile"}
    assert_refused(
        hub, push(yes=False), capsys, "Somebody else has just changed alice/styles", theirs
    )


def test_what_was_sent_is_what_was_checked(
    hub: HubServer, push: Push, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on may write its weights while the question is on the screen."""
    before = (weights / "wave.safetensors").read_bytes()
    path = weights / "wave.safetensors"
    monkeypatch.setattr(push_to_hub, "_ask", lambda: path.write_bytes(b"half a file"))
    assert push(yes=False) == 0
    assert hub.files(REPO)["wave.safetensors"] == before


def test_files_that_come_back_different_are_noticed(
    hub: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = push_to_hub.commit

    def commit_and_rot(*arguments: Any) -> str:
        made = commit(*arguments)
        file = hub.repos["model", REPO].commits[made].files["wave.safetensors"]
        hub.content[file.sha256] = bytes(file.size)
        return made

    monkeypatch.setattr(push_to_hub, "commit", commit_and_rot)
    assert push() == 1
    assert "wave.safetensors differs" in capsys.readouterr().err


def test_trouble_while_reading_back_says_that_the_commit_was_made(
    hub: HubServer, push: Push, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fail("HEAD", "/resolve/", 503, times=50)
    code = push()
    words = "The commit was made, but it cannot be read back"
    assert_refused(hub, code, capsys, words, hub.files(REPO))
    assert set(hub.files(REPO)) == ALL
    hub.faults.clear()
    assert push() == 0 and hub.count("POST", "/commit/") == 1


def test_a_space_has_the_page_and_names_the_repo(
    hub: HubServer, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def push_page() -> dict[str, bytes]:
        assert push("--private", "--revision", "try", "--space", "alice/page") == 0
        assert "secret HF_TOKEN" in capsys.readouterr().out
        return hub.files("alice/page", type="space")

    files, page = push_page(), hub.repos["space", "alice/page"]
    paths = [ROOT / path for path in ("app.py", "requirements.txt", "LICENSE")]
    for package in ("stylevid", "webui"):
        inner = (ROOT / package).rglob("*")
        paths += [path for path in inner if path.is_file() and path.suffix != ".pyc"]
    assert all(files[p.relative_to(ROOT).as_posix()] == p.read_bytes() for p in paths)
    assert {"stylevid/example.mp4", "stylevid/learn/vgg16.safetensors"} < set(files)
    assert not any(path.endswith(".pyc") or path.startswith("weights/") for path in files)
    assert "app_file: space.py" in files["README.md"].decode() and page.sdk == "gradio"
    assert hub.repos["model", REPO].private and page.private

    hub.put("alice/page", {"stylevid/gone.py": b"", "app.py": b"old", "own.txt": b"x"}, "space")
    assert push_page() == {**files, "own.txt": b"x"}  # a mirror, and what is not ours stays
    head = hub.head("alice/page", "space")
    push_page()
    assert hub.head("alice/page", "space") == head

    called: list[list[str]] = []
    stand_in = types.SimpleNamespace(main=called.append)
    monkeypatch.setitem(sys.modules, "app", stand_in)  # pyright: ignore
    monkeypatch.setenv("STYLEVID_HUB_REPO", "")  # and afterwards it is as it was
    del os.environ["STYLEVID_HUB_REPO"]
    (tmp_path / "space.py").write_bytes(files["space.py"])
    runpy.run_path(str(tmp_path / "space.py"), run_name="__main__")
    assert os.environ["STYLEVID_HUB_REPO"] == f"{REPO}@try"
    assert called == [["--host", "0.0.0.0", "--port", "7860"]]


@pytest.mark.parametrize(
    ("method", "path", "there"), [("PUT", "lfs", True), ("POST", "commit", False)]
)
def test_a_killed_push_leaves_the_old_or_the_new(
    hub: HubServer, push: Push, weights: Path, tmp_path: Path, method: str, path: str, there: bool
) -> None:
    older = {"README.md": b"---\nlibrary_name: stylevid\n---\n", "sea.jpg": b"an old one"}
    if there:
        hub.put(REPO, older)
    command = [sys.executable, "-m", "train.push_to_hub", "--repo", REPO, "--yes", "--weights"]
    process = subprocess.Popen(
        [*command, str(weights)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, **hub.environment(tmp_path, "hf_write")},
    )  # fmt: skip
    until = time.monotonic() + 300
    while not hub.count(method, path) and time.monotonic() < until:
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    while hub.connections:  # what it had sent is still answered
        time.sleep(0.001)
    whole = (
        STYLES | {"README.md", "contact_sheet.jpg"} | ({*older} if there else {".gitattributes"})
    )
    assert hub.count(method, path)
    assert set(hub.files(REPO)) in (whole, set(older) if there else {".gitattributes"})
    assert push() == 0 and set(hub.files(REPO)) == whole
    assert len(hub.repos["model", REPO].commits) == 2  # what was there, and one more
