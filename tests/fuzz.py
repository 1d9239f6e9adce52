"""`python -m tests.fuzz videos|styles|routes N`: files and requests spoiled at random, through
everything that reads them. Each is read or refused in one sentence, within seconds, and leaves
nothing half done; what broke something is kept."""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import httpx
import torch

from stylevid.errors import StylevidError
from stylevid.hub import open_file
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.styles import Style, read_preview, read_style
from stylevid.weights import load_network, load_painting
from tests.accidents import assert_one_sentence, spoiled
from tests.clips import generated, run_ffmpeg, tone
from tests.material import tiny_style

SLOW_S = 10.0
# name: options of ffmpeg, for ten frames of a test picture and a tone
SEEDS = {
    "a.mp4": "-c:v libx264 -c:a aac -movflags faststart",
    "b.mp4": "-c:v libx264 -c:a aac -movflags frag_keyframe+empty_moov",
    "c.mov": "-c:v mpeg4 -c:a pcm_s16le -metadata title=words",
    "d.mkv": "-c:v libx264 -c:a aac -c:s copy -metadata title=words",
    "e.webm": "-c:v libvpx -c:a libopus",
    "f.avi": "-c:v mpeg4 -c:a mp3",
    "g.avi": "-c:v mjpeg -c:a pcm_s16le",
    "h.gif": "",
    "i.ts": "-c:v mpeg2video -c:a mp2",
    "j.mp4": "-c:v libx265 -x265-params log-level=none -an",
}
_MP4 = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf", b"mvex"}
_EXTREMES = (0, 1, 2, 7, 255, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def seeds(folder: Path) -> list[Path]:
    """The sound files that are to be spoiled."""
    shown = generated("testsrc=s=48x32:r=25:d=0.4")
    for name, options in SEEDS.items():
        run_ffmpeg(*shown, *tone(), "-shortest", *options.split(), folder / name)
    return [folder / name for name in SEEDS]


def boxes(body: bytes, kind: str) -> list[tuple[int, int]]:
    """Where each box of an MP4, element of a Matroska or chunk of an AVI file begins and ends."""
    found: list[tuple[int, int]] = []
    walk = {".mp4": _mp4_box, ".mov": _mp4_box, ".mkv": _element, ".webm": _element,
            ".avi": _chunk}.get(kind)  # fmt: skip

    def descend(at: int, end: int) -> None:
        while walk is not None and at + 8 <= end:
            size, inside = walk(body, at)
            if size < 2 or at + size > end + 1:
                return
            found.append((at, min(at + size, end)))
            if inside:
                descend(at + inside, min(at + size, end))
            at += size

    descend(0, len(body))
    return found


def _mp4_box(body: bytes, at: int) -> tuple[int, int]:
    size, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
    return size, 16 if name == b"stsd" else 8 if name in _MP4 else 0


def _chunk(body: bytes, at: int) -> tuple[int, int]:
    size = int.from_bytes(body[at + 4 : at + 8], "little")
    return 8 + size + size % 2, 12 if body[at : at + 4] in (b"RIFF", b"LIST") else 0


def _element(body: bytes, at: int) -> tuple[int, int]:
    def length(first: int) -> int:
        return 9 - first.bit_length() if first else 1

    name = length(body[at])
    count = length(body[at + name] if at + name < len(body) else 0)
    size = int.from_bytes(body[at + name : at + name + count], "big") & ((1 << 7 * count) - 1)
    masters = ("18538067", "1549a966", "1654ae6b", "ae", "e0", "e1", "1f43b675", "1a45dfa3", "a0",
               "1c53bb6b", "bb", "1254c367", "7373")  # fmt: skip
    inside = name + count if body[at : at + name].hex() in masters else 0
    return min(name + count + size, len(body) - at), inside


def surgery(body: bytes, kind: str, chance: random.Random) -> bytes:
    """One to three boxes lost, doubled, moved, emptied, misnamed or with a number made extreme."""
    for _ in range(chance.randint(1, 3)):
        found = boxes(body, kind)
        if not found:
            return spoiled(body, chance)
        (at, end), (other, other_end) = chance.choice(found), chance.choice(found)
        box = body[at:end]
        spot = at + chance.randrange(max(1, min(len(box), 64)))
        number = chance.choice(_EXTREMES).to_bytes(4, chance.choice(["big", "little"]))
        body = chance.choice([
            body[:at] + body[end:],
            body[:end] + box * chance.choice([1, 2, 9]) + body[end:],
            body[:other] + box + body[other:],
            body[:other] + box + body[other_end:],
            body[: at + 8] + bytes(max(0, len(box) - 8)) + body[end:],
            body[: at + 4] + chance.randbytes(4) + body[at + 8 :],
            body[:at] + number + body[at + 4 :],
            body[:spot] + number + body[spot + 4 :],
            body[:spot] + number[: chance.randint(1, 3)] + body[spot + 3 :],
        ])  # fmt: skip
    return body


def spoil_video(body: bytes, kind: str, chance: random.Random) -> bytes:
    """The file after accidents of one kind."""
    if chance.random() < 0.6:
        return surgery(body, kind, chance)
    return spoiled(body, chance, 4096)


def read_video(path: Path, painter: Painter) -> str:
    """How the file ended: "refused" or "painted".

    Raises:
        AssertionError: the output is not what the result says, or something was left.
    """
    target = path.parent / "out" / "out.mp4"
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)  # of a case that broke
    try:
        options = Options(size=64, max_seconds=120, measure=False)
        result = stylize_video(path, target, painter, options)
    except StylevidError as error:
        assert_one_sentence(error)
        assert not list(target.parent.iterdir()), "something was left"
        return "refused"
    with av.open(str(target), metadata_errors="replace") as output:  # the source's, copied
        shown = sum(1 for _ in output.decode(video=0))
        assert shown == result.frames > 0, f"{shown} of {result.frames} frames"
        assert bool(output.streams.audio) == result.has_audio, "the sound is not there"
    target.unlink()
    return "painted"


def spoil_style(files: dict[str, bytes], chance: random.Random) -> tuple[str, bytes]:
    """One of a style's three files after accidents; the record's may be those of its meaning."""
    name = chance.choice(sorted(files))
    if not name.endswith(".json") or chance.random() < 0.5:
        return name, spoiled(files[name], chance, 1024)
    record = json.loads(files[name])
    odd = (None, 0, -1, 1e308, "", "x" * 70_000, [], {}, [[]] * 99, True, "\u202e", "../..")
    for _ in range(chance.randint(1, 2)):
        record[chance.choice([*record, "slug", "new"])] = chance.choice(odd)
    return name, json.dumps(record).encode()


def read_record(path: Path) -> None:
    style = read_style(path)
    assert style.slug == "wave" and style.title.encode()
    read_network(style)


def read_network(source: Path | Style) -> None:
    network = load_network(source)
    assert network.config.width == 4
    assert all(p.isfinite().all() and p.abs().max() <= 1000 for p in network.parameters())


READERS: dict[str, list[Callable[[Path], object]]] = {
    ".json": [read_record],
    ".safetensors": [read_network, load_painting, open_file],
    ".jpg": [read_preview],
}


def read_style_file(path: Path) -> str:
    """How a file of a style ended, "read" or "refused", by each of its readers."""
    ended = "read"
    for read in READERS[path.suffix]:
        try:
            read(path)
        except StylevidError as error:
            assert_one_sentence(error)
            ended = "refused"
    return ended


def odd_value(chance: random.Random, deep: int = 0) -> Any:
    """A value of JSON that nobody expects."""
    file = {"path": chance.choice(["/etc/passwd", "../x", "", "a" * 9000, "\0", "http://a/b.mp4"]),
            "meta": {"_type": "gradio.FileData"}}  # fmt: skip
    long, reversing = "x" * 99_999, "\u202e<script>"
    some = (None, True, -1, 1e308, 10**30, "", "\ud800", reversing, long, [], {}, file)
    if deep < 3 and chance.random() < 0.3:
        inner = [odd_value(chance, deep + 1) for _ in range(chance.randint(0, 4))]
        return chance.choice([inner, {str(one)[:9]: one for one in inner}])
    return chance.choice(some)


def ask_odd(client: httpx.Client, chance: random.Random) -> str:
    """What one of the page's routes answers to something odd: the class of its status.

    Raises:
        AssertionError: it gives a file of the machine away, or a traceback.
    """
    asked = [odd_value(chance) for _ in range(chance.randint(0, 12))]
    call = {"data": asked, "fn_index": chance.randint(-1, 40), "session_hash": odd_value(chance)}
    body = json.dumps(chance.choice([call, {"data": asked}, asked, odd_value(chance)])).encode()
    if chance.random() < 0.2:
        body = spoiled(body, chance)
    name = chance.choice(
        ["../../etc/passwd", "%2e%2e/x", "/etc/passwd", "\u202e", "C:\\x", "a" * 3000]
    )
    called = ("/queue/join", "/call/stylize", "/call/list_styles", "/run/predict",
              "/component_server")  # fmt: skip

    def post(path: str, kind: str) -> httpx.Response:
        return client.post(path, content=body, headers={"content-type": kind})

    routes: list[Callable[[], httpx.Response]] = [
        *(partial(post, path, "application/json") for path in called),
        lambda: client.post("/upload", files={"files": (name, chance.randbytes(99))}),
        lambda: post("/upload", "multipart/form-data"),
        lambda: client.get(f"/file={quote(name, safe='/%')}"),
        lambda: client.get("/info", params={"all_endpoints": name}),
    ]
    try:
        answer = chance.choice(routes)()
    except httpx.ReadError:  # it has answered before it was sent all
        return "closed"
    text = answer.text
    assert "Traceback" not in text and "root:x" not in text, text[:300]
    return f"{answer.status_code // 100}xx"


class Fuzz:
    """Counts how cases ended, and keeps what broke something in `keep`."""

    def __init__(self, keep: Path) -> None:
        self.keep, self.ended = keep, Counter[str]()
        self.broken: list[str] = []
        self.slowest_s = 0.0

    def case(self, read: Callable[[], str], files: dict[str, bytes]) -> None:
        began = time.monotonic()
        try:
            ended = read()
            if time.monotonic() - began > SLOW_S:  # was it the file, or others on this machine?
                began = time.monotonic()
                ended = read()
            self.ended[ended] += 1
        except Exception:
            self._keep(traceback.format_exc(limit=-4), files)
        if (self.ended.total() + len(self.broken)) % 100 == 0:
            print(self, file=sys.stderr, flush=True)  # noqa: T201
        seconds = time.monotonic() - began
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > SLOW_S:
            self._keep(f"took {seconds:.1f} s twice", files)

    def _keep(self, why: str, files: dict[str, bytes]) -> None:
        name = hashlib.sha256(b"".join(files.values())).hexdigest()[:8]
        self.broken.append(f"{name}: {why}")
        self.keep.mkdir(parents=True, exist_ok=True)
        for path, body in files.items():
            (self.keep / f"{name}-{path}").write_bytes(body)

    def __str__(self) -> str:
        return f"{dict(self.ended)}, broken {len(self.broken)}, slowest {self.slowest_s:.1f} s"


def fuzz_videos(count: int, keep: Path, seed: int = 0) -> Fuzz:
    """So many spoiled videos, each probed and painted."""
    fuzz, chance = Fuzz(keep), random.Random(seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        tiny_style(folder)
        painter = Painter(folder / "wave.safetensors", "cpu", "torch-float32")
        sound = seeds(folder)
        for number in range(count):
            whole = sound[number % len(sound)]
            path = folder / f"case{whole.suffix}"
            body = spoil_video(whole.read_bytes(), whole.suffix, chance)
            path.write_bytes(body)
            fuzz.case(lambda path=path: read_video(path, painter), {path.name: body})
            path.unlink()
    return fuzz


def fuzz_styles(count: int, keep: Path, seed: int = 0) -> Fuzz:
    """So many spoiled files of a style, each through all its readers."""
    fuzz, chance = Fuzz(keep), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        whole = tiny_style(folder)
        for _ in range(count):
            name, body = spoil_style(whole, chance)
            path = folder / name
            path.write_bytes(body)
            fuzz.case(lambda path=path: read_style_file(path), {name: body})
            path.write_bytes(whole[name])
    return fuzz


def fuzz_routes(count: int, keep: Path, seed: int = 0, url: str = "") -> Fuzz:
    """So many odd requests to the page at `url`, which must be there and well afterwards."""
    fuzz, chance = Fuzz(keep), random.Random(seed)
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=60) as client:
        for _ in range(count):
            fuzz.case(lambda: ask_odd(client, chance), {})
        assert httpx.get(f"{url}/health", timeout=60).text == "ok\n"
    return fuzz


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=["videos", "styles", "routes"])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("outputs/fuzz"), help="what broke it")
    parser.add_argument("--url", default="http://127.0.0.1:7860", help="of the page")
    options = parser.parse_args()
    makers = {"videos": fuzz_videos, "styles": fuzz_styles,
              "routes": partial(fuzz_routes, url=options.url)}  # fmt: skip
    fuzz = makers[options.what](options.count, options.keep, options.seed)
    print(fuzz, *fuzz.broken, sep="\n")  # noqa: T201
    return bool(fuzz.broken)


if __name__ == "__main__":
    sys.exit(main())
