"""`python -m benchmarks.gpu OUT.json`: our network beside the classic one, the pieces of a frame's
way, and a step of training, from 360p to 4K on the GPU, or else to 720p on the CPU; as one JSON."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stylevid.engine import Engine, is_out_of_memory
from stylevid.errors import exit_status
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.objective import LossWeights, Objective
from stylevid.learn.vgg import load_vgg
from stylevid.memory import Follower, carry
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter, computes_bfloat16, find_device
from stylevid.yuv import Yuv, image_to_planes, image_to_yuv, planes_to_image

from .classic import ClassicNet, in_torch

ON_A_CPU = ("360p", "720p")  # a system ends what asks for too much memory, without a word
SIZES = {"360p": (360, 640), "720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
TURNS, TURN_S = 9, 3.0  # of one piece, whichever ends first


class Clock:
    """Times pieces of work until there is no time left."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.end_s = device, time.monotonic() + seconds

    def ms(self, work: Callable[[], object], count: int = 1) -> dict[str, Any]:
        """Milliseconds of one of the `count` that the work does: median, and how often it was
        timed; or why it was not."""
        took: list[float] = []
        try:
            if time.monotonic() > self.end_s:
                return {"left out": "there was no time left"}
            self._once(work)  # finds its kernels and its memory
            began = time.monotonic()
            while len(took) < TURNS and time.monotonic() < min(began + TURN_S, self.end_s):
                took.append(1000 * self._once(work) / count)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return {"left out": "there is not enough memory"}
        if not took:
            return {"left out": "there was no time left"}
        return {"ms": round(statistics.median(took), 2), "turns": len(took)}

    def _once(self, work: Callable[[], object]) -> float:
        self._wait()
        began = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=300, help="in all (300)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """
    Raises:
        StylevidError: there is no such device.
        OSError: the file cannot be written.
    """
    device = find_device(options.device)
    options.out.parent.mkdir(parents=True, exist_ok=True)  # known before all is measured
    report = json.dumps(measure(device, Clock(device, options.seconds)), indent=1)
    options.out.write_text(f"{report}\n", "utf-8")
    print(report)  # noqa: T201


def measure(device: torch.device, clock: Clock) -> dict[str, Any]:
    """All pieces at all sizes, the small ones first."""
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig()).eval()
    painter = Painter(network, str(device))
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "machine": platform.machine(), "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1), "torch": torch.__version__,
        "engine": painter.engine.name, "sizes": {},
    }  # fmt: skip
    for name, size in SIZES.items():
        if device.type == "cpu" and name not in ON_A_CPU:
            continue
        pieces: dict[str, Any] = dict(inference(painter.engine, network, size, device, clock))
        pieces |= training(network, size, device, clock)
        if device.type == "cuda":
            pieces["peak MiB"] = torch.cuda.max_memory_allocated(device) >> 20
            torch.cuda.reset_peak_memory_stats(device)
            torch.cuda.empty_cache()
        report["sizes"][name] = pieces
    return report


def inference(
    engine: Engine, network: StyleNet, size: tuple[int, int], device: torch.device, clock: Clock
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The networks, and what a frame meets on its way."""
    frames = [moving(size, index) for index in range(max(2, engine.batch))]
    shown = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    half = torch.float16 if device.type == "cuda" else torch.float32
    half = torch.bfloat16 if half != torch.float16 and computes_bfloat16(device) else half
    group = frames[: engine.batch]
    yield "ours, frames alone", clock.ms(lambda: engine.submit(group)(), len(group))
    follower = Follower()
    follower.step(frames[0])
    motion = follower.step(frames[1])
    if motion is not None:
        past = carry(frames[0], motion)
        yield "ours, with its past", clock.ms(lambda: engine.submit([frames[1]], past)())
        yield "carrying the past", clock.ms(lambda: carry(frames[0], motion))
    classic = in_torch(ClassicNet(), device, half)
    yield "classic", clock.ms(lambda: classic(shown))

    def follow() -> None:
        fresh = Follower()
        for frame in frames[:2]:
            fresh.step(frame)

    yield "following motion", clock.ms(follow, 2)
    planes = torch.from_numpy(frames[0].pixels)[None]
    there = planes.to(device)
    image = planes_to_image(there, frames[0].matrix)
    yield "to the device", clock.ms(lambda: planes.to(device))
    yield "YUV to RGB", clock.ms(lambda: planes_to_image(there, frames[0].matrix))
    yield "RGB to YUV", clock.ms(lambda: image_to_planes(image, frames[0].matrix))
    yield "from the device", clock.ms(lambda: there.cpu())
    copy = StyleNet(network.config)
    copy.load_state_dict(network.state_dict())
    copy = copy.eval().requires_grad_(False).to(device, half).to(memory_format=torch.channels_last)  # pyright: ignore
    ready = image.to(half, memory_format=torch.channels_last)
    with torch.inference_mode():
        yield "ours, the network only", clock.ms(lambda: copy(ready))


def training(
    network: StyleNet, size: tuple[int, int], device: torch.device, clock: Clock
) -> dict[str, dict[str, Any]]:
    """A perceptual step of either network: forward, VGG, backward, Adam."""
    precision = torch.bfloat16 if computes_bfloat16(device) else torch.float32
    vgg = load_vgg(device, precision)
    painting = PaintingTargets.of(torch.rand(1, 3, 480, 640).to(device), vgg)
    image = torch.rand(1, 3, *size).to(device)
    objective = Objective(StyleNet(network.config), vgg, painting)

    def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            painted = net(image.contiguous(memory_format=torch.channels_last)).float()
        terms = objective.perceptual_terms(painted, image, LossWeights())
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    found: dict[str, dict[str, Any]] = {}
    nets: dict[str, nn.Module] = {"ours": StyleNet(network.config), "classic": ClassicNet()}
    for name, net in nets.items():
        net = net.train().to(device).to(memory_format=torch.channels_last)  # pyright: ignore
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-6)
        found[f"{name}, a training step"] = clock.ms(partial(step, net, optimizer))
    return found


def moving(size: tuple[int, int], index: int) -> Yuv:
    """A smooth picture that moves by four pixels a frame."""
    coarse = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(coarse, (size[0], size[1] + 64), mode="bicubic")
    return image_to_yuv(wide.clamp(0, 1)[..., 4 * index : 4 * index + size[1]])


if __name__ == "__main__":
    sys.exit(main())
