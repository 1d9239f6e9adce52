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
from typing import Any, NamedTuple

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
Push = Callable[..., "Pushed"]


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


class Pushed(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def push(server: HubServer, weights: Path, capsys: pytest.CaptureFixture[str]) -> Push:
    """The command, with an answer of yes; later options override earlier ones."""

    def run(*options: str, token: str | bool = "hf_write", yes: bool = True) -> Pushed:
        given = ["--repo", REPO, "--weights", str(weights), *(["--yes"] if yes else []), *options]
        return Pushed(push_to_hub.main(given, HfApi(server.url, token=token)), *capsys.readouterr())

    return run


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


STYLES = {f"{slug}.{end}" for slug in ("sea", "wave") for end in ("safetensors", "json", "jpg")}
ALL = STYLES | {"README.md", "contact_sheet.jpg", ".gitattributes"}
OURS = {"README.md": b"---\nlibrary_name: stylevid\n---\n"}


def test_a_push_puts_all_files_there_in_one_commit(
    server: HubServer, push: Push, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push("--message", "Two styles")
    assert pushed.code == 0
    files = server.files(REPO)
    assert set(files) == ALL
    assert all(files[path] == (weights / path).read_bytes() for path in STYLES)
    assert server.count("POST", "/commit/") == 1
    commit = server.repos["model", REPO].commits[str(server.head(REPO))]
    assert commit.message == "Two styles"
    server.use(monkeypatch, tmp_path)
    loaded = load_hub_styles(REPO)
    assert [style.slug for style in loaded.styles] == ["sea", "wave"] and not loaded.warnings
    size = sum(len(files[path]) for path in ALL - {".gitattributes"})
    assert f"8 files, {size:,} bytes to send, in one commit." in pushed.out
    assert f"{server.url}/{REPO} is now at {str(server.head(REPO))[:12]}" in pushed.out


def test_a_push_without_a_message_makes_nothing(server: HubServer, push: Push) -> None:
    pushed = push("--message", " ")
    assert pushed.code == 1 and pushed.err.startswith("--message is empty.")
    assert not server.requests


def test_a_push_joins_what_is_there_and_pushing_again_commits_nothing(
    server: HubServer, push: Push, weights: Path
) -> None:
    assert push("--styles", "sea").code == 0
    assert "The sea" in server.files(REPO)["README.md"].decode()
    (weights / "sea.json").rename(weights / "aside")
    stored = server.count("PUT", "/lfs/")
    assert push().code == 0  # the wave alone
    assert server.count("PUT", "/lfs/") - stored == 3  # its weights and preview, and the sheet
    card = server.files(REPO)["README.md"].decode()
    assert set(server.files(REPO)) == ALL and "The sea" in card and "The wave" in card
    (weights / "aside").rename(weights / "sea.json")
    head, sent = server.head(REPO), server.count("POST", "/(commit|preupload)/")
    pushed = push(yes=False)  # there is nothing to ask
    assert pushed.code == 0 and "Nothing has changed." in pushed.out
    assert (server.head(REPO), server.count("POST", "/(commit|preupload)/")) == (head, sent)


def test_a_branch_is_made_and_main_left_alone(server: HubServer, push: Push) -> None:
    assert push("--styles", "sea").code == 0
    main = server.files(REPO)
    assert push("--revision", "try").code == push("--revision", "try").code == 0
    assert server.files(REPO) == main and set(server.files(REPO, "try")) == ALL
    assert server.count("POST", "/commit/try") == 1
    assert push("--repo", "alice/more", "--revision", "try").code == 0
    assert set(server.files("alice/more", "try")) == ALL
    assert set(server.files("alice/more")) == {".gitattributes"}


def test_a_dry_run_needs_no_token_and_no_network(server: HubServer, push: Push) -> None:
    code, said, _ = push("--dry-run", token=False, yes=False)
    assert code == 0 and "to be created" in said and said.count("  new ") == 8
    assert "nothing was sent" in said and server.head(REPO) is None
    assert push("--styles", "sea").code == 0
    code, said, _ = push("--dry-run", token=False)
    assert (code, said.count("  new "), said.count("  changed ")) == (0, 3, 2)
    assert "sea.json" not in said
    server.close()
    code, said, _ = push("--dry-run", "--space", "alice/page", token=False)
    assert code == 0 and "cannot be reached" in said
    assert "as if it were new" in said and "sea.json" in said


@pytest.mark.parametrize(("answer", "sent"), [("Yes", True), ("", False)])
def test_somebody_at_the_terminal_is_asked(
    server: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch, answer: str, sent: bool
) -> None:
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert push(yes=False).code == (0 if sent else 1)
    assert (server.head(REPO) is not None) == sent


def assert_refused(server: HubServer, pushed: Pushed, words: str, files: object = None) -> None:
    """One line on stderr with the words, exit 1, and the repo as it was."""
    lines = pushed.err.splitlines()
    assert (pushed.code, len(lines)) == (1, 1), lines
    assert words in lines[0] and "Traceback" not in lines[0]
    assert files == (server.files(REPO) if ("model", REPO) in server.repos else None)


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
    server: HubServer, push: Push, token: str | bool, words: str
) -> None:
    assert_refused(server, push(token=token), words)
    server.put(REPO, OURS)
    assert_refused(server, push(token=token), words, server.files(REPO))


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
    server: HubServer, push: Push, weights: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(weights)
    assert_refused(server, push(), words)
    for wrong in ("--repo=a/b/c", "--space=-alice/x", '--revision=x"; import os'):
        assert_refused(server, push(wrong), "is no name of a repo")
    assert_refused(server, push("--styles", "sea", "sun"), "Known styles: sea, wave")
    assert not server.requests
    assert push("--styles", "sea").code == 0


OTHERS = {"README.md": b"---\nlibrary_name: transformers\n---\n", "a.safetensors": b"\0"}
ODD = OURS | {"sun.json": b"[]"}


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
    server: HubServer, push: Push, there: dict[str, bytes], options: list[str], words: str
) -> None:
    server.put(REPO, there)
    assert_refused(server, push(*options), words, there)


@pytest.mark.parametrize(
    ("there", "words"),
    [("main.py", "alice/page is taken"), ("stylevid/__init__.py", "is there and is public")],
)
def test_nothing_is_sent_if_the_space_cannot_be(
    server: HubServer, push: Push, there: str, words: str
) -> None:
    server.put("alice/page", {there: b""}, type="space")
    assert_refused(server, push("--private", "--space", "alice/page"), words)


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
    server: HubServer, push: Push, method: str, path: str, how: int | str, words: str
) -> None:
    server.fail(method, path, how)
    pushed = push()
    files = server.files(REPO) if server.head(REPO) else None
    assert_refused(server, pushed, words, files)
    assert files is None or set(files) == {".gitattributes"}
    server.faults.clear()
    assert push().code == 0 and set(server.files(REPO)) == ALL


def test_somebody_elses_commit_is_never_trampled(
    server: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push("--styles", "sea").code == 0
    monkeypatch.setattr(push_to_hub, "_ask", lambda: server.put(REPO, {"notes.txt": b"meanwhile"}))
    theirs = server.files(REPO) | {"notes.txt": b"meanwhile"}
    words = "Somebody else has just changed alice/styles"
    assert_refused(server, push(yes=False), words, theirs)


def test_what_was_sent_is_what_was_checked(
    server: HubServer, push: Push, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on may write its weights while the question is on the screen."""
    before = (weights / "wave.safetensors").read_bytes()
    path = weights / "wave.safetensors"
    monkeypatch.setattr(push_to_hub, "_ask", lambda: path.write_bytes(b"half a file"))
    assert push(yes=False).code == 0
    assert server.files(REPO)["wave.safetensors"] == before


def test_files_that_come_back_different_are_noticed(
    server: HubServer, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = push_to_hub.commit

    def commit_and_rot(*arguments: Any) -> str:
        made = commit(*arguments)
        file = server.repos["model", REPO].commits[made].files["wave.safetensors"]
        server.content[file.sha256] = bytes(file.size)
        return made

    monkeypatch.setattr(push_to_hub, "commit", commit_and_rot)
    pushed = push()
    assert pushed.code == 1 and "wave.safetensors differs" in pushed.err


def test_trouble_while_reading_back_says_that_the_commit_was_made(
    server: HubServer, push: Push
) -> None:
    server.fail("HEAD", "/resolve/", 503)
    pushed = push()
    words = "The commit was made, but it cannot be read back"
    assert_refused(server, pushed, words, server.files(REPO))
    assert set(server.files(REPO)) == ALL
    server.faults.clear()
    assert push().code == 0 and server.count("POST", "/commit/") == 1


def test_a_space_has_the_page_and_names_the_repo(
    server: HubServer, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def push_page() -> dict[str, bytes]:
        pushed = push("--private", "--revision", "try", "--space", "alice/page")
        assert pushed.code == 0 and "secret HF_TOKEN" in pushed.out
        return server.files("alice/page", type="space")

    files, page = push_page(), server.repos["space", "alice/page"]
    paths = [ROOT / path for path in ("app.py", "requirements.txt", "LICENSE")]
    for package in ("stylevid", "webui"):
        inner = (ROOT / package).rglob("*")
        paths += [path for path in inner if path.is_file() and path.suffix != ".pyc"]
    assert all(files[p.relative_to(ROOT).as_posix()] == p.read_bytes() for p in paths)
    assert {"stylevid/example.mp4", "stylevid/learn/vgg16.safetensors"} < set(files)
    assert not any(path.endswith(".pyc") or path.startswith("weights/") for path in files)
    assert "app_file: space.py" in files["README.md"].decode() and page.sdk == "gradio"
    assert server.repos["model", REPO].private and page.private

    server.put("alice/page", {"stylevid/gone.py": b"", "app.py": b"old", "own.txt": b"x"}, "space")
    assert push_page() == {**files, "own.txt": b"x"}  # a mirror, and what is not ours stays
    head = server.head("alice/page", "space")
    push_page()
    assert server.head("alice/page", "space") == head

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
    ("stage", "older"),
    [(("PUT", "lfs"), OURS | {"sea.jpg": b"an old one"}), (("POST", "commit"), {})],
)
def test_a_killed_push_leaves_the_old_or_the_new(
    server: HubServer, push: Push, weights: Path, tmp_path: Path, stage: Any, older: Any
) -> None:
    if older:
        server.put(REPO, older)
    command = [sys.executable, "-m", "train.push_to_hub", "--repo", REPO, "--yes", "--weights"]
    process = subprocess.Popen(
        [*command, str(weights)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, **server.environment(tmp_path, "hf_write")},
    )  # fmt: skip
    until = time.monotonic() + 300
    while not server.count(*stage) and time.monotonic() < until:
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    while server.connections:  # what it had sent is still answered
        time.sleep(0.001)
    before = set(older or {".gitattributes"})
    whole = STYLES | {"README.md", "contact_sheet.jpg"} | before
    assert server.count(*stage)
    assert set(server.files(REPO)) in (whole, before)
    assert push().code == 0 and set(server.files(REPO)) == whole
    assert len(server.repos["model", REPO].commits) == 2  # what was there, and one more
