"""Whenever a command is killed, and wherever it cannot write, no half file stands under a final
name, and the next run works. STYLEVID_KILLS and STYLEVID_FUZZ ask for more than the few here."""

import json
import os
import random
import resource
import signal
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import av
import pytest
import torch
from huggingface_hub import HfApi, constants

from stylevid.__main__ import main as stylevid
from stylevid.batch.__main__ import main as batch
from stylevid.weights import load_network, save_network
from tests import fuzz
from tests.clips import generated, run_ffmpeg, tone
from tests.hub_server import HubServer
from tests.material import tiny_network, tiny_style
from train import push_to_hub
from train.config import TrainConfig
from train.learning.checkpoint import save_checkpoint

KILLS = int(os.environ.get("STYLEVID_KILLS", "5"))
PUSHED = {"wave.safetensors", "wave.json", "wave.jpg", "README.md", "contact_sheet.jpg"}
FUZZ = int(os.environ.get("STYLEVID_FUZZ", "20"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of a second, and a tiny style."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "weights").mkdir()
    tiny_style(folder / "weights")
    (folder / "clips").mkdir()
    run_ffmpeg(*generated("testsrc=s=128x96:d=1"), *tone(1), folder / "clips" / "clip.mp4")
    run_ffmpeg(*generated("testsrc2=s=256x192"), "-frames:v", "1", folder / "picture.png")
    return folder


def is_whole(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return load_network(path) is not None
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0)) == 25 and bool(video.streams.audio)


def commands(place: Path, out: Path) -> dict[str, tuple[Callable[[list[str]], int], list[str]]]:
    clip, style = str(place / "clips" / "clip.mp4"), str(place / "weights" / "wave.safetensors")
    plain = ["--device", "cpu", "--engine", "torch-float32"]
    common = ["--style", style, *plain]
    learned = ["--painting", str(place / "picture.png"), "--learn-seconds", "0.5"]
    return {
        "paint": (stylevid, [clip, *common, "-o", str(out / "out.mp4")]),
        "batch": (batch, [str(place / "clips"), "--out", str(out), *common]),
        "learn": (stylevid, [clip, *common, *learned, "--keep", str(out / "kept.safetensors"),
                             "-o", str(out / "out.mp4")]),
        "download": (stylevid, [clip, "--style", "alice/styles/wave", *plain,
                                "-o", str(out / "out.mp4")]),
        "push": (push, ["--repo", f"alice/{out.name}", "--weights", str(place / "weights"),
                        "--yes"]),
    }  # fmt: skip


def push(arguments: list[str]) -> int:
    return push_to_hub.main(arguments, HfApi(constants.ENDPOINT, token="hf_write"))


def start(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """The command in a process of its own, which has all its modules already; its id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        status = run(arguments)
    except BaseException:
        traceback.print_exc()
        status = 99
    os._exit(status)


def whole_results(out: Path, hub: HubServer) -> int:
    """How many results stand under their names, on the Hub one for all of a push."""
    found = [path.relative_to(out) for path in out.rglob("*")]
    shown = [path for path in found if not any(part[0] == "." for part in path.parts)]
    final = [out / path for path in shown if path.suffix in (".mp4", ".safetensors")]
    assert all(map(is_whole, final)), final
    there = hub.files(f"alice/{out.name}") if hub.head(f"alice/{out.name}") else {}
    pushed = there.keys() - {".gitattributes"}
    assert not pushed or pushed == PUSHED
    return len(final) + bool(pushed)


@pytest.mark.slow
def test_killed_at_any_moment(
    place: Path, tmp_path: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, ended = random.Random(0), Counter[str]()
    longest: dict[str, float] = {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    styles = {path.name: path.read_bytes() for path in (place / "weights").glob("wave.*")}
    server.put("alice/styles", styles)
    for number in range(KILLS):
        out = tmp_path / str(number)
        out.mkdir()
        name, (run, arguments) = list(commands(place, out).items())[number % 5]
        how = chance.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
        if name not in longest:
            other = tmp_path / f"{name}-first"
            other.mkdir()
            server.use(monkeypatch, other / ".cache")
            began = time.monotonic()
            first = start(*commands(place, other)[name])
            assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0
            longest[name] = time.monotonic() - began
            assert whole_results(other, server)
        server.use(monkeypatch, out / ".cache")
        child = start(run, arguments)
        time.sleep(chance.random() * longest[name])
        with suppress(ProcessLookupError):
            os.killpg(child, how) if how == signal.SIGKILL else os.kill(child, how)
        os.waitpid(child, 0)
        done = whole_results(out, server)
        ended[f"{name} {how.name} {'done' if done else 'nothing'}"] += 1
        if number % 25 < 5:
            again = os.waitpid(start(run, arguments), 0)[1]
            assert os.waitstatus_to_exitcode(again) == 0, f"{name} after {how.name}"
            assert whole_results(out, server)
    print(json.dumps(ended, sort_keys=True))  # noqa: T201


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a size, or one that cannot be written to."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("file systems can be mounted by root only")
        return path

    yield mount
    subprocess.run(["umount", str(path)], capture_output=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [("size=8k", "could not be written|cannot be written"),
     ("size=1m,ro", "Read-only file system|cannot be written")],
    ids=["full", "read-only"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["paint", "batch"])
def test_where_nothing_can_be_written_the_sentence_says_so(
    place: Path, small_disk, capfd, options: str, said: str, name: str
) -> None:
    out = small_disk(options)
    run, arguments = commands(place, out)[name]
    assert run(arguments) == 1
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output
    assert any(word in output for word in said.split("|")), output
    assert not [path for path in out.rglob("*.mp4")]


def test_a_network_that_does_not_fit_on_the_disk_is_an_os_error(tmp_path: Path) -> None:
    network, (soft, hard) = tiny_network(), resource.getrlimit(resource.RLIMIT_FSIZE)
    optimizer, config = torch.optim.Adam(network.parameters()), TrainConfig()
    for name, save in {
        "wave": partial(save_network, network),
        "run": lambda path: save_checkpoint(path, network, optimizer, 1, config),
    }.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                save(tmp_path / f"{name}.safetensors")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("make", "count"), [(fuzz.fuzz_videos, FUZZ), (fuzz.fuzz_styles, 200 * FUZZ)]
)
def test_what_is_spoiled_at_random_is_read_or_refused(make, count: int, tmp_path: Path) -> None:
    found = make(count, tmp_path / "kept")
    assert not found.broken, "\n".join(found.broken)
    assert len(found.ended) == 2, "it is all read, or all refused"
