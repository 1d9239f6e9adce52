"""Repos and Hubs of strangers: each that is broken or hostile is refused in one sentence, nothing
is written outside the cache, and the process goes on. Their files are for test_weights and
test_styles."""

import json
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stylevid import hub as hub_module
from stylevid.errors import HubError
from stylevid.hub import Limits, follow_load, load_hub_styles
from tests.accidents import PICKLE, refused
from tests.hub_server import HubServer

Files = dict[str, bytes]


Make = Callable[..., Files]
STYLES: dict[str, tuple[Callable[[Make], Files], str]] = {
    "pickle": (
        lambda make: make("wave", sha256=sha256(PICKLE).hexdigest())
        | {"wave.safetensors": PICKLE}, r"wave\.safetensors is damaged or no safetensors file",
    ),
    "other weights": (lambda make: make("wave", sha256="0" * 64), "was changed: its sha256"),
    "record of another": (lambda make: make("wave", slug="../wave"), "the slug must be"),
    "large record": (lambda make: make("wave", note="x" * 70_000), "the limit is 65,536"),
    "preview of text": (lambda make: make("wave") | {"wave.jpg": b"A letter."}, "no readable JPEG"),
    "large preview": (
        lambda make: make("wave") | {"wave.jpg": bytes(5 << 20)}, "the limit is 4,194,304"
    ),
}  # fmt: skip


# Repos.

NO_SLUG = "is no style, which has a record beside it, and a name of lower-case words"
NAMES = [
    "Wave", "-wave", "wa--ve", "wave.x", "w\u0430ve", "wave\u202e", "wave\n", "..", "../wave",
    "/etc/wave", "C:\\wave", "~", ".hidden", "%2e%2e%2fwave", "<img src=x>", "w" * 5000,
]  # fmt: skip


@pytest.fixture
def good(style_files: Make) -> Files:
    return style_files("wave")


@pytest.fixture
def server(server: HubServer, good: Files) -> HubServer:
    """A Hub with a good style, for a start."""
    server.put("mallory/styles", good)
    return server


@pytest.fixture
def load(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Loads a repo; afterwards all that was written is in the cache, and nothing was run."""
    cache, work = tmp_path / "inner" / "cache", tmp_path / "inner" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's attempts

    server.use(monkeypatch, cache)
    yield lambda name="mallory/styles": load_hub_styles(name)
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    outside = [path for path in found if not path.startswith("inner/cache")]
    assert sorted(outside) == ["inner", "inner/work"]


def assert_refused(load: Any, match: str) -> None:
    with refused(HubError, match):
        load()


@pytest.mark.parametrize("case", STYLES)
def test_hostile_styles(case: str, style_files: Make, server: HubServer, load: Any) -> None:
    change, match = STYLES[case]
    server.put("mallory/styles", change(style_files))
    assert_refused(load, match)


def rewrite(server: HubServer, change: Callable[[bytes], bytes]) -> None:
    """Changes what the server says of a repo."""
    answer = server.answer

    def changed(request: Any) -> Any:
        reply = answer(request)
        return reply._replace(body=change(reply.body)) if "/revision/" in request.path else reply

    server.answer = changed  # pyright: ignore


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_names_that_are_no_slugs(name: str, server: HubServer, load: Any) -> None:
    spelled = json.dumps(name)[1:-1].encode()
    rewrite(server, lambda body: body.replace(b'"wave.', b'"' + spelled + b"."))
    assert_refused(load, r"holds no style\." if "/" in name else NO_SLUG)
    assert server.count("HEAD", "") == 0


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), "1,509 files; the limit is 1,000"),
        (Limits(styles=1), "2 styles; the limit is 1"),
        (Limits(size_bytes=1000), r"[\d,]+ bytes; the limit is 1,000"),
    ],
)  # fmt: skip
def test_too_much(limits: Limits, words: str, good: Files, server: HubServer, load: Any) -> None:
    more = {path.replace("wave", "acorn"): body for path, body in good.items()}
    if limits == Limits():
        more |= {f"{n}.txt": b"x" for n in range(1503)}
    server.put("mallory/styles", good | more)
    assert_refused(lambda: list(follow_load("mallory/styles", limits=limits)), f"holds {words}")
    assert server.count("HEAD", "") == 0


def test_a_claim_of_5_gb(server: HubServer, load: Any) -> None:
    files = server.repos["model", "mallory/styles"].at("main").files
    files["wave.safetensors"] = files["wave.safetensors"]._replace(size=5 << 30)  # pyright: ignore
    assert_refused(load, r"wave\.safetensors has 5,368,709,120 bytes; the limit is 67,108,864")
    assert server.count("HEAD", "") == 0


def test_a_repo_without_styles(server: HubServer, load: Any) -> None:
    others = {"README.md": b"hello", "model.bin": b"\x80", "config.json": b"{}"}
    for more in (others, {"deep/er/wave.safetensors": b"x", "deep/er/wave.json": b"{}"}):
        server.put("mallory/none", more)
        assert_refused(lambda: load("mallory/none"), r"mallory/none holds no style\.")


def test_only_safetensors_are_asked_for(server: HubServer, load: Any) -> None:
    others = {f"wave.{kind}": b"\x80\x04." for kind in ("pt", "pth", "bin", "pkl", "ckpt", "py")}
    server.put("mallory/styles", {**others, "setup.py": b"import os"})
    assert [style.slug for style in load().styles] == ["wave"]
    assert server.count("HEAD", "") == 3


# Servers.

STEPS = [("GET", "/revision/"), ("HEAD", "/resolve/"), ("GET", "/cdn/")]


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (401, "does not know our token"),
        (403, "does not let us read mallory/styles"),
        (404, r"does not let us read mallory/styles \(404: "),
        (418, r"does not let us read mallory/styles \(418: "),
        (429, r"asks for fewer requests \(429\)"),
        (500, r"has trouble of its own \(500\)"),
        ("drop", r"cannot be reached \(RemoteProtocolError\)"),
        ("half", r"(RemoteProtocolError)|does not answer as a Hub does"),
        ("loop", "does not answer as a Hub does"),
    ],
)
@pytest.mark.parametrize(("method", "path"), STEPS)
def test_servers_in_trouble(
    how: int | str, match: str, method: str, path: str, server: HubServer, load: Any
) -> None:
    if how == "half" and method == "HEAD":
        return  # which has no body to halve
    server.fail(method, path, how)
    assert_refused(load, match)
    server.faults.clear()
    assert [style.slug for style in load().styles] == ["wave"]


@pytest.mark.parametrize(("method", "path"), STEPS)
def test_a_server_that_hangs(
    method: str, path: str, server: HubServer, load: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(hub_module, "SILENCE_S", 0.5)
    server.fail(method, path, "hang")
    assert_refused(load, r"has been silent for 0 s\. Try again later\.")
    server.close()  # and the load that nobody waits for comes to an end
    for thread in threading.enumerate():
        if thread.name == "hub":
            thread.join(30)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda body: body[:-9], "mallory/styles: Consistency check failed: file should be"),
        (lambda body: body + bytes(9), r"is longer than the \d,\d+ bytes that"),
        (lambda body: bytes(reversed(body)), "its content has another hash"),
    ],
    ids=["shorter", "longer", "of another hash"],
)
def test_content_that_is_not_what_was_announced(
    change: Callable[[bytes], bytes], match: str, good: Files, server: HubServer, load: Any
) -> None:
    stored = sha256(good["wave.safetensors"]).hexdigest()
    server.content[stored] = change(good["wave.safetensors"])
    assert_refused(load, match)


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[1]", b'{"id": 7}', b"<html>hello</html>", b"[" * 50_000, b'"\xff"',
     b'{"id": "a", "sha": "../../x"}', b'{"id": "a", "sha": 7}'],
)  # fmt: skip
def test_a_server_that_talks_nonsense(answer: bytes, server: HubServer, load: Any) -> None:
    rewrite(server, lambda _: answer)
    assert_refused(load, "does not answer as a Hub does|holds no style")
