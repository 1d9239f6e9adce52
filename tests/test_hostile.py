"""Repos and Hubs of strangers: each that is broken or hostile is refused in one sentence, nothing
is written outside the cache, and the process goes on. Their files are for test_weights and
test_styles."""

import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stylevid import hub as hub_module
from stylevid.errors import HubError
from stylevid.hub import Limits, follow_load, load_hub_styles
from tests.accidents import assert_one_sentence
from tests.hub_server import HubServer

Files = dict[str, bytes]


class Exploit:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("pickle-was-opened",)


PICKLE = pickle.dumps(Exploit()) * 50
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
def load(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Loads a repo; afterwards all that was written is in the cache, and nothing was run."""
    cache, work = tmp_path / "inner" / "cache", tmp_path / "inner" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's attempts

    server.use(monkeypatch, cache)
    yield lambda: load_hub_styles("mallory/styles")
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    outside = [path for path in found if not path.startswith("inner/cache")]
    assert sorted(outside) == ["inner", "inner/work"]


def assert_refused(load: Any, match: str) -> None:
    with pytest.raises(HubError, match=match) as caught:
        load()
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("case", STYLES)
def test_hostile_styles(case: str, style_files: Make, server: HubServer, load: Any) -> None:
    change, match = STYLES[case]
    server.put("mallory/styles", change(style_files))
    assert_refused(load, match)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_names_that_are_no_slugs(name: str, good: Files, server: HubServer, load: Any) -> None:
    server.put("mallory/styles", good)
    answer = server.answer

    def renamed(request: Any) -> Any:
        reply = answer(request)
        if "/revision/" not in request.path:
            return reply
        told = json.loads(reply.body)
        for one in told["siblings"]:
            one["rfilename"] = one["rfilename"].replace("wave", name, 1)
        return reply._replace(body=json.dumps(told).encode())

    server.answer = renamed  # pyright: ignore
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


def test_a_claim_of_5_gb(good: Files, server: HubServer, load: Any) -> None:
    server.put("mallory/styles", good)
    files = server.repos["model", "mallory/styles"].at("main").files
    files["wave.safetensors"] = files["wave.safetensors"]._replace(size=5 << 30)  # pyright: ignore
    assert_refused(load, r"wave\.safetensors has 5,368,709,120 bytes; the limit is 67,108,864")
    assert server.count("HEAD", "") == 0


def test_a_repo_without_styles(server: HubServer, load: Any) -> None:
    server.put(
        "mallory/styles", {"README.md": b"hello", "model.bin": b"\x80", "config.json": b"{}"}
    )
    assert_refused(load, r"mallory/styles holds no style\.")
    server.put("mallory/styles", {"deep/er/wave.safetensors": b"x", "deep/er/wave.json": b"{}"})
    assert_refused(load, r"mallory/styles holds no style\.")


def test_only_safetensors_are_asked_for(good: Files, server: HubServer, load: Any) -> None:
    others = {f"wave.{kind}": b"\x80\x04." for kind in ("pt", "pth", "bin", "pkl", "ckpt", "py")}
    server.put("mallory/styles", {**good, **others, "setup.py": b"import os"})
    assert [style.slug for style in load().styles] == ["wave"]
    assert server.count("HEAD", "") == 3


# Servers.


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
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/revision/"), ("HEAD", "/resolve/"), ("GET", "/cdn/")]
)
def test_servers_in_trouble(
    how: int | str, match: str, method: str, path: str, good: Files, server: HubServer, load: Any
) -> None:
    if how == "half" and method == "HEAD":
        return  # which has no body to halve
    server.put("mallory/styles", good)
    server.fail(method, path, how)
    assert_refused(load, match)
    server.faults.clear()
    assert [style.slug for style in load().styles] == ["wave"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/revision/"), ("HEAD", "/resolve/"), ("GET", "/cdn/")]
)
def test_a_server_that_hangs(
    method: str, path: str, good: Files, server: HubServer, load: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(hub_module, "SILENCE_S", 0.5)
    server.put("mallory/styles", good)
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
    server.put("mallory/styles", good)
    stored = sha256(good["wave.safetensors"]).hexdigest()
    server.content[stored] = change(good["wave.safetensors"])
    assert_refused(load, match)


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[1]", b'{"id": 7}', b"<html>hello</html>", b"[" * 50_000, b'"\xff"',
     b'{"id": "a", "sha": "../../x"}', b'{"id": "a", "sha": 7}'],
)  # fmt: skip
def test_a_server_that_talks_nonsense(
    answer: bytes, good: Files, server: HubServer, load: Any
) -> None:
    server.put("mallory/styles", good)
    ask = server.answer

    def nonsense(request: Any) -> Any:
        reply = ask(request)
        return reply._replace(body=answer) if "/revision/" in request.path else reply

    server.answer = nonsense  # pyright: ignore
    assert_refused(load, "does not answer as a Hub does|holds no style")


def test_html_in_a_record_is_a_text_like_others(
    style_files: Make, server: HubServer, load: Any
) -> None:
    title = "<script>alert(1)</script><img src=x onerror=alert(2)> & [a](javascript:b) `c`"
    server.put("mallory/styles", style_files("wave", title=title))
    assert load().styles[0].title == title
