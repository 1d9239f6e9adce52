"""What strangers may send: each broken or hostile file, repo or server is refused in one sentence,
nothing is written outside the cache, and the process goes on."""

import json
import math
import os
import pickle
import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.utils import logging as hub_logging
from PIL import Image

from stylevid import hub as hub_module
from stylevid.errors import HubError, StyleError, StylevidError, WeightsError
from stylevid.hub import load_hub_styles
from stylevid.styles import read_preview, read_style
from stylevid.weights import FORMAT, load_network
from tests.hub_server import HubServer

Files = dict[str, bytes]
NAME = "enter.1.weight"


# Safetensors files, taken apart and put together again.


def taken_apart(weights: bytes) -> tuple[dict[str, Any], bytearray]:
    size = int.from_bytes(weights[:8], "little")
    return json.loads(weights[8 : 8 + size]), bytearray(weights[8 + size :])


def joined(header: object, values: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def with_entry(weights: bytes, **changes: object) -> bytes:
    """The first tensor said to be another."""
    header, values = taken_apart(weights)
    header[NAME] = {**header[NAME], **changes}
    return joined(header, values)


def with_metadata(weights: bytes, **changes: str) -> bytes:
    header, values = taken_apart(weights)
    header["__metadata__"] = {**header["__metadata__"], **changes}
    return joined(header, values)


def with_value(weights: bytes, value: float) -> bytes:
    header, values = taken_apart(weights)
    struct.pack_into("<e", values, header[NAME]["data_offsets"][0], value)
    return joined(header, values)


def with_huge_value(weights: bytes) -> bytes:
    """All tensors in float32, one value far beyond float16."""
    header, values = taken_apart(weights)
    wide = torch.frombuffer(values, dtype=torch.float16).float()
    wide[0] = 1e30
    for name, entry in header.items():
        if name != "__metadata__":
            entry |= {"dtype": "F32", "data_offsets": [2 * at for at in entry["data_offsets"]]}
    return joined(header, wide.numpy().tobytes())


def moved(weights: bytes, by: int) -> bytes:
    header, values = taken_apart(weights)
    start, end = header[NAME]["data_offsets"]
    return with_entry(joined(header, values), data_offsets=[start + by, end + by])


def with_hole(weights: bytes) -> bytes:
    """All tensors eight bytes further on, and eight bytes of nobody's before them."""
    header, values = taken_apart(weights)
    for name, entry in header.items():
        if name != "__metadata__":
            entry["data_offsets"] = [at + 8 for at in entry["data_offsets"]]
    return joined(header, bytes(8) + values)


def without_tensor(weights: bytes) -> bytes:
    header, values = taken_apart(weights)
    del header[NAME]
    return joined(header, values)


def with_tensor(weights: bytes, name: str) -> bytes:
    header, values = taken_apart(weights)
    more = {"dtype": "F16", "shape": [1], "data_offsets": [len(values), len(values) + 2]}
    return joined({**header, name: more}, values + bytes(2))


def with_key_twice(weights: bytes) -> bytes:
    header, values = taken_apart(weights)
    text = json.dumps(header)
    twice = f'{{"{NAME}": {json.dumps(header[NAME])}, {text[1:]}'
    return joined(twice.encode(), values)


class Exploit:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("pickle-was-opened",)


DAMAGED = r"wave\.safetensors is damaged or no safetensors file: .+"
ANOTHER = r"wave\.safetensors does not fit its network: 'enter\.1\.weight' has another form\."
NO_NETWORK = r"wave\.safetensors describes no network of ours: .+"
Make = Callable[[bytes], bytes]
WEIGHTS: dict[str, tuple[Make, str]] = {
    "empty": (lambda w: b"", DAMAGED),
    "pickle renamed": (lambda w: pickle.dumps(Exploit()) * 50, DAMAGED),
    "link to a file elsewhere": (lambda w: b"../../../../../../etc/passwd", DAMAGED),
    "header of 2^40": (lambda w: (1 << 40).to_bytes(8, "little") + w[8:], DAMAGED),
    "header of 2^64-1": (lambda w: b"\xff" * 8 + w[8:], DAMAGED),
    "header of 1 MB": (lambda w: joined(b" " * (1 << 20) + b"{}", b""), DAMAGED),
    "header that is no JSON": (lambda w: joined(b"not json at all" * 9, w), DAMAGED),
    "header that is a list": (lambda w: joined([1, 2], b""), DAMAGED),
    "header in latin-1": (lambda w: joined(b'{"\xe9": 1}', b""), DAMAGED),
    "header 100,000 deep": (lambda w: joined(b"[" * 100_000, b""), DAMAGED),
    "header 1,000 deep": (lambda w: joined(b'{"a":' * 1000 + b"1" + b"}" * 1000, b""), "too deep"),
    "number of 5,000 digits": (lambda w: joined(b"[" + b"9" * 5000 + b"]", b""), "5000 digits"),
    "key twice": (with_key_twice, "file: a key comes twice in it"),
    "no metadata": (lambda w: joined({}, b""), "is not a stylevid weights file"),
    "metadata that is a text": (lambda w: joined({"__metadata__": "x"}, b""), "is not a stylevid"),
    "other format": (lambda w: with_metadata(w, format="stylevid-9"), "is not a stylevid"),
    "no network": (lambda w: joined({"__metadata__": {"format": FORMAT}}, b""), NO_NETWORK),
    "width of 10^9": (
        lambda w: with_metadata(w, network='{"width": 1000000000, "blocks": 5}'), NO_NETWORK,
    ),
    "widest network in a small file": (
        lambda w: with_metadata(w, network='{"width": 512, "blocks": 32}'), "is amiss",
    ),
    "width with 5,000 digits": (
        lambda w: with_metadata(w, network='{"width": ' + "9" * 5000 + "}"), NO_NETWORK,
    ),
    "unknown setting of 100 KB": (
        lambda w: with_metadata(w, network=json.dumps({"x" * 100_000: 1})), NO_NETWORK,
    ),
    "network 20,000 deep": (lambda w: with_metadata(w, network="[" * 20_000), NO_NETWORK),
    "overlapping tensors": (lambda w: moved(w, 2), DAMAGED),
    "tensors before the data": (lambda w: with_entry(w, data_offsets=[-2, 2]), DAMAGED),
    "offsets of 2^63": (lambda w: with_entry(w, data_offsets=[1 << 63, (1 << 63) + 2]), DAMAGED),
    "offsets that are no numbers": (lambda w: with_entry(w, data_offsets="all"), DAMAGED),
    "hole before the tensors": (with_hole, DAMAGED),
    "bytes after the tensors": (lambda w: w + bytes(64), DAMAGED),
    "cut in the data": (lambda w: w[:-7], DAMAGED),
    "cut in the header": (lambda w: w[:300], DAMAGED),
    "whole numbers": (lambda w: with_entry(w, dtype="I16"), ANOTHER),
    "unknown dtype": (lambda w: with_entry(w, dtype="F17"), ANOTHER),
    "dtype that is a list": (lambda w: with_entry(w, dtype=["F16"]), ANOTHER),
    "eight-bit floats": (lambda w: with_entry(w, dtype="F8_E5M2"), ANOTHER),
    "shape of terabytes": (lambda w: with_entry(w, shape=[1 << 38]), ANOTHER),
    "shape that overflows": (lambda w: with_entry(w, shape=[1 << 63, 1 << 63]), ANOTHER),
    "shape with a minus": (lambda w: with_entry(w, shape=[-2, -12, 3, 3]), ANOTHER),
    "tensor that is a number": (
        lambda w: joined({**taken_apart(w)[0], NAME: 7}, taken_apart(w)[1]), ANOTHER,
    ),
    "tensor missing": (without_tensor, r"'enter\.1\.weight' is amiss"),
    "tensor too many": (lambda w: with_tensor(w, "more"), "'more' is amiss"),
    "tensor named like a path": (lambda w: with_tensor(w, "../../x\n"), "is amiss"),
    "NaN": (lambda w: with_value(w, math.nan), r"not finite, in 'enter\.1\.weight'"),
    "infinity": (lambda w: with_value(w, -math.inf), r"not finite, in 'enter\.1\.weight'"),
    "value of 65504": (lambda w: with_value(w, 65504), r"holds the value 6\.55e\+04"),
    "value of 10^30": (with_huge_value, r"holds the value 1e\+30"),
}  # fmt: skip


# Records and previews.


def changed(record: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(record), **changes}).encode()


RECORDS: dict[str, tuple[Make, str]] = {
    "empty": (lambda r: b"", "is not a readable style record"),
    "no JSON": (lambda r: b"\x80\x04pickle", "is not a readable style record"),
    "a list": (lambda r: b"[1, 2]", "holds no JSON object"),
    "100,000 deep": (lambda r: b"[" * 60_000, "is not a readable style record"),
    "key twice": (lambda r: b'{"title": "a", "title": "b"}', "a key comes twice"),
    "not a number": (lambda r: b'{"metrics": {"a": NaN}}', "NaN is no JSON number"),
    "number of 10,000 digits": (lambda r: b'{"a": ' + b"9" * 10_000 + b"}", "not a readable"),
    "too large": (lambda r: changed(r, note="x" * 70_000), "the limit is 65,536"),
    "title missing": (lambda r: changed(r, title=None), "lacks 'title'"),
    "title of 10,000 letters": (lambda r: changed(r, title="x" * 10_000), "500 are allowed"),
    "title with a new line": (lambda r: changed(r, title="a\nb"), "cannot be shown"),
    "title written backwards": (lambda r: changed(r, title="gpj.\u202eexe"), "cannot be shown"),
    "title with half a character": (lambda r: changed(r, title="\ud800"), "cannot be shown"),
    "other slug": (lambda r: changed(r, slug="acorn"), "the slug must be"),
    "slug with a path": (lambda r: changed(r, slug="../../wave"), "the slug must be"),
    "slug with a full path": (lambda r: changed(r, slug="/etc/passwd"), "the slug must be"),
    "other sha256": (lambda r: changed(r, sha256="0" * 64), "was changed: its sha256 is not"),
    "sha256 that is a path": (lambda r: changed(r, sha256="../x"), "64 hexadecimal digits"),
    "network that is a list": (lambda r: changed(r, network=[64, 5]), "'network' is not an object"),
}


def jpeg(size: tuple[int, int] = (16, 16)) -> bytes:
    picture = BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(picture, "JPEG")
    return picture.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header says that it is large."""
    picture = bytearray(jpeg())
    at = picture.index(b"\xff\xc0") + 5
    picture[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(picture)


def png_bomb() -> bytes:
    """20,000 x 20,000 pixels in 50 KB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    size = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(2501 * 20_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PREVIEWS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no readable JPEG"),
    "no picture": (lambda: b"This is a letter.\n" * 40, "no readable JPEG"),
    "svg with a script": (lambda: b"<svg><script>alert(1)</script></svg>", "no readable JPEG"),
    "png that unpacks to 50 MB": (png_bomb, "no readable JPEG"),
    "65500 x 65500 pixels": (lambda: claiming(65500, 65500), "no readable JPEG"),
    "8000 x 8000 pixels": (lambda: claiming(8000, 8000), "claims 8000x8000 pixels"),
    "cut off": (lambda: jpeg((99, 99))[:-2000], "no readable JPEG"),
    "5 MB": (lambda: jpeg() + bytes(5 << 20), r"has 5,\d+,\d+ bytes; the limit is 4,194,304"),
}


# Repos.

NO_SLUG = "is no name of a style, which is lower-case words joined by dashes"
NAMES = [
    "Wave", "wa ve", "wave_1", "-wave", "wave-", "wa--ve", "wave.x", "w\u0430ve", "\uff57ave",
    "wave\u202e", "wave\n", "wave\u200b", "..", "../wave", "../../../../tmp/wave", "/etc/wave",
    "C:\\wave", "~",
    ".hidden", "con:", "%2e%2e%2fwave", "<img src=x onerror=alert(1)>", "w" * 65, "w" * 5000,
]  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> None:
    """As in the programs: the client says nothing of its own."""
    hub_logging.set_verbosity_error()


@pytest.fixture(scope="module")
def good(tiny_weights: Path, record: dict[str, object]) -> Files:
    """The files of a style that is as it should be."""
    weights = tiny_weights.read_bytes()
    text = json.dumps({**record, "sha256": sha256(weights).hexdigest()}).encode()
    return {"wave.json": text, "wave.safetensors": weights, "wave.jpg": jpeg()}


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


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


def assert_refused(load: Any, match: str) -> str:
    with pytest.raises(HubError, match=match) as caught:
        load()
    assert_one_sentence(caught.value)
    return str(caught.value)


def assert_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert text.isprintable() and len(text) < 400 and text.endswith(".")


@pytest.mark.parametrize("case", WEIGHTS)
def test_hostile_weights(
    case: str, good: Files, server: HubServer, load: Any, tmp_path: Path
) -> None:
    make, match = WEIGHTS[case]
    body = make(good["wave.safetensors"])
    digest = sha256(body).hexdigest()
    server.put("mallory/styles", {**good, "wave.safetensors": body})
    server.put("mallory/styles", {"wave.json": changed(good["wave.json"], sha256=digest)})
    started = time.monotonic()
    said = assert_refused(load, match)
    assert time.monotonic() - started < 5, "a small file took long"
    path = tmp_path / "inner" / "cache" / "wave.safetensors"
    path.write_bytes(body)  # and the same as a lone file
    with pytest.raises(WeightsError) as caught:
        load_network(path)
    assert str(caught.value) in said


@pytest.mark.parametrize("case", RECORDS)
def test_hostile_records(case: str, good: Files, server: HubServer, load: Any) -> None:
    make, match = RECORDS[case]
    server.put("mallory/styles", {**good, "wave.json": make(good["wave.json"])})
    assert_refused(load, match)


@pytest.mark.parametrize("case", PREVIEWS)
def test_hostile_previews(case: str, good: Files, server: HubServer, load: Any) -> None:
    make, match = PREVIEWS[case]
    server.put("mallory/styles", {**good, "wave.jpg": make()})
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


def test_thousands_of_files(good: Files, server: HubServer, load: Any) -> None:
    server.put("mallory/styles", {f"{n}.txt": b"x" for n in range(1500)} | good)
    assert_refused(load, "holds 1,503 files; the limit is 1,000")
    assert server.count("HEAD", "") == 0


def test_hundreds_of_styles(good: Files, server: HubServer, load: Any) -> None:
    many = {p.replace("wave", f"w{n}"): b for n in range(200) for p, b in good.items()}
    server.put("mallory/styles", many)
    assert_refused(load, "holds 200 styles; the limit is 100")
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
        (400, r"refuses to let us read mallory/styles \(400: "),
        (401, "does not know our token"),
        (403, "does not let us read mallory/styles"),
        (404, "There is no mallory/styles on"),
        (418, r"\(418: "),
        (429, r"asks for fewer requests \(429\)"),
        (500, r"has trouble of its own \(500\)"),
        (503, r"has trouble of its own \(503\)"),
        ("drop", r"cannot be reached \(RemoteProtocolError\)"),
        ("half", r"(RemoteProtocolError)|does not answer as a Hub does"),
        ("loop", "sends us round in circles"),
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
    server.fail(method, path, how, times=60)
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
    server.fail(method, path, "hang", times=60)
    assert_refused(load, r"has been silent for 0 s\. Try again later\.")
    server.close()  # and the load that nobody waits for comes to an end
    for thread in threading.enumerate():
        if thread.name == "hub":
            thread.join(30)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda body: body[:-9], "sends less of mallory/styles than"),
        (lambda body: body + bytes(9), "is longer than the 3,"),
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


def test_a_record_that_is_not_what_was_announced(good: Files, server: HubServer, load: Any) -> None:
    server.put("mallory/styles", good)
    other = changed(good["wave.json"], title="B Square")
    server.content[sha256(good["wave.json"]).hexdigest()] = other
    assert_refused(load, r"wave\.json is not what was announced")


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[]", b"[1]", b'{"id": 7}', b"<html>hello</html>", b"[" * 50_000, b'"\xff"',
     b'{"id": "a", "sha": "main"}', b'{"id": "a", "sha": "../../x"}', b'{"id": "a", "sha": 7}'],
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


def test_html_in_a_record_is_a_text_like_others(good: Files, server: HubServer, load: Any) -> None:
    title = "<script>alert(1)</script><img src=x onerror=alert(2)> & [a](javascript:b) `c`"
    server.put("mallory/styles", {**good, "wave.json": changed(good["wave.json"], title=title)})
    assert load().styles[0].title == title


# Thousands of broken files, made by chance.


def mutated(body: bytes, chance: random.Random) -> bytes:
    """The file with one to three accidents of one kind: in its values, in what its header says, or
    anywhere."""
    accidents = chance.choice([IN_VALUES, IN_HEADER, ANYWHERE])
    for _ in range(chance.randint(1, 3)):
        body = chance.choice(accidents)(body, chance)
    return body


def place(body: bytes, chance: random.Random) -> int:
    header = 8 + int.from_bytes(body[:8], "little")
    return chance.randrange(min(len(body), chance.choice([8, header, len(body)])) or 1)


def flip_bits(body: bytes, chance: random.Random) -> bytes:
    found = bytearray(body)
    for _ in range(chance.randint(1, 8) if found else 0):
        found[place(body, chance)] ^= 1 << chance.randrange(8)
    return bytes(found)


def cut(body: bytes, chance: random.Random) -> bytes:
    return body[: place(body, chance)]


def remove(body: bytes, chance: random.Random) -> bytes:
    at = place(body, chance)
    return body[:at] + body[at + chance.randint(1, 40) :]


def insert(body: bytes, chance: random.Random) -> bytes:
    at = place(body, chance)
    return body[:at] + chance.randbytes(chance.randint(1, 40)) + body[at:]


def change_values(body: bytes, chance: random.Random) -> bytes:
    """Some bytes of the values replaced; every so often by those of infinity."""
    found, start = bytearray(body), 8 + int.from_bytes(body[:8], "little")
    for _ in range(chance.randint(1, 8) if len(body) > start + 2 else 0):
        at = chance.randrange(start, len(body) - 1)
        found[at : at + 2] = chance.choice([chance.randbytes(2), b"\x00\x7c", bytes(2)])
    return bytes(found)


def edit_header(body: bytes, chance: random.Random) -> bytes:
    """A part of the header replaced by something else that is JSON, its length kept true."""
    try:
        header, values = taken_apart(body)
    except (ValueError, RecursionError):
        return body
    odd: list[Any] = [None, 0, -1, 1 << 70, 1.5, "", "F16", "F32", "F64", "I8", [], [0], {}, True]
    spot: Any = header
    while isinstance(spot, dict | list) and spot:
        key = chance.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
        if chance.random() < 0.3 or not isinstance(spot[key], dict | list):
            spot[key] = chance.choice(odd)
            break
        spot = spot[key]
    return joined(header, values)


def lie_about_the_header(body: bytes, chance: random.Random) -> bytes:
    size = int.from_bytes(body[:8], "little")
    near = [size + chance.randint(-9, 9), chance.getrandbits(chance.randint(1, 64)), 0, 1 << 40]
    return max(0, chance.choice(near) % (1 << 64)).to_bytes(8, "little") + body[8:]


IN_VALUES = [change_values]
IN_HEADER = [edit_header, lie_about_the_header]
ANYWHERE = [flip_bits, cut, remove, insert]


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_weights_load_with_sound_values_or_are_refused(
    count: int, good: Files, tmp_path: Path
) -> None:
    chance, path, loaded = random.Random(count), tmp_path / "wave.safetensors", 0
    weights = good["wave.safetensors"]
    for _ in range(count):
        path.write_bytes(mutated(weights, chance))
        try:
            network = load_network(path)
        except WeightsError as error:
            assert_one_sentence(error)
        else:
            loaded += 1
            assert network.config.width == 4
            assert all(p.isfinite().all() and p.abs().max() <= 1000 for p in network.parameters())
    assert 0 < loaded < count / 2


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_records_are_read_or_refused(count: int, good: Files, tmp_path: Path) -> None:
    chance, path, read = random.Random(count), tmp_path / "wave.json", 0
    text = good["wave.json"]
    accidents = ANYWHERE
    for _ in range(count):
        body = text
        for _ in range(chance.randint(1, 3)):
            body = chance.choice(accidents)(body, chance)
        path.write_bytes(body)
        try:
            style = read_style(path)
        except StyleError as error:
            assert_one_sentence(error)
        else:
            read += 1
            assert style.slug == "wave" and style.title.encode()
    assert 0 < read < count


def test_mutated_previews_are_read_or_refused(good: Files, tmp_path: Path) -> None:
    chance, path = random.Random(0), tmp_path / "wave.jpg"
    for _ in range(500):
        path.write_bytes(chance.choice([flip_bits, cut, remove, insert])(jpeg(), chance))
        try:
            assert max(read_preview(path).size) <= 512
        except StylevidError as error:
            assert_one_sentence(error)
