"""Learning on the spot: a minute or two on the very clip that is to be painted, with the losses of
the training, makes both richer and steadier paint, and any picture a style.

All frames share one small network, so it can learn a clip by heart; and its past is learned along
the clip's own motion. Frames are drawn from all over the clip, so memory does not grow with it.
"""

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..brush import for_brush
from ..canvas import on_canvas
from ..errors import VideoError
from ..frames import Frame, to_frame
from ..network import StyleNet
from ..painter import computes_bfloat16
from ..pipeline import Options, check_limits, target_size
from ..video import ShouldStop, Span, VideoInfo, probe, read_yuv
from ..yuv import Yuv, yuv_to_image
from .allocation import keep_memory
from .losses import PaintingTargets
from .objective import LossWeights, Objective, descend
from .sequences import Sequences, estimate_truth, observe
from .vgg import load_vgg

TAKES = 8  # places of a clip that frames are drawn from
TAKE = 15  # neighboring frames at each: of fewer, what decays is not seen decaying
MOST_PIXELS = 640 * 640  # that are learned from in a step; of larger frames, a part
SMALLEST = 32  # pixels: VGG's deepest features are an eighth
_PICTURES = 0.25  # share of the steps that learn from a frame without a past
_RATE = 1.5e-3  # Adam's learning rate at its peak


@dataclass(frozen=True)
class Lesson:
    """How far the learning is.

    Attributes:
        steps: done so far.
        fraction: of the time, 0 to 1.
        left_s: seconds left.
        losses: weighted, of the last step, by name.
        network: as it is now; it goes on changing.
        frame: from the middle of the clip.
    """

    steps: int
    fraction: float
    left_s: float
    losses: dict[str, float]
    network: StyleNet
    frame: Yuv

    @torch.no_grad()
    def preview(self) -> Frame:
        """The frame as it would be painted now, uint8 H,W,3."""
        device = next(self.network.parameters()).device
        return to_frame(self.network(yuv_to_image(on_canvas(self.frame), device)))


def learn_clip(
    network: StyleNet,
    painting: PaintingTargets,
    source: Path | str,
    options: Options,
    seconds: float,
    progress: Callable[[Lesson], None] | None = None,
    should_stop: ShouldStop = None,
    device: torch.device | str = "cpu",
) -> StyleNet:
    """A network that has learned a clip for so many seconds, starting from another, which is left
    alone.

    Args:
        painting: what is to be painted like.
        source: the clip.
        options: how it will be painted: in which size, which part of it, with which brush.
        progress: called after each step.
        should_stop: asked after each step; what was learned so far is returned.
    Raises:
        VideoError: the clip cannot be read, is too small to learn from, or more than the options
            allow.
        ValueError: there is no time to learn in.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"the time to learn is some seconds, more than 0; got {seconds:g}")
    keep_memory()
    device = torch.device(device)
    info = probe(source)
    part_s = options.span.of(info.duration_s)
    check_limits(info, options, part_s, round(part_s * info.fps))
    takes = _read_takes(info, options, should_stop)
    network = deepcopy(network).requires_grad_(True).train().to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore
    vgg = load_vgg(device, torch.bfloat16 if computes_bfloat16(device) else torch.float32)
    objective = Objective(network, vgg, painting.to(device))
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE, betas=(0.9, 0.99))
    middle = takes[len(takes) // 2][0]
    started = time.monotonic()
    for step in count():
        fraction = (time.monotonic() - started) / seconds
        if fraction >= 1 or (should_stop is not None and should_stop()):
            break
        for group in optimizer.param_groups:
            group["lr"] = _rate(fraction)
        terms = objective(_draw(takes, step).to(device), LossWeights(), step)
        loss = descend(terms, network, optimizer)
        losses = dict(zip(terms, loss.tolist(), strict=True))
        if progress is not None:
            spent_s = time.monotonic() - started
            left_s = max(seconds - spent_s, 0.0)
            fraction = min(spent_s / seconds, 1.0)
            progress(Lesson(step + 1, fraction, left_s, losses, network, middle))
    return network.requires_grad_(False).eval()


def _rate(fraction: float) -> float:
    """Up over a twentieth of the time, and a cosine down to a tenth."""
    if fraction < 0.05:
        return _RATE * max(fraction / 0.05, 0.1)
    return _RATE * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * fraction)))


def _read_takes(info: VideoInfo, options: Options, should_stop: ShouldStop) -> list[list[Yuv]]:
    """Neighboring frames from places all over the clip, as the network will see them."""
    size = target_size(info.height, info.width, options)
    part_s = options.span.of(info.duration_s)

    def read(start_s: float, frames: int) -> list[Yuv]:
        span = Span(start_s, options.end_s)
        with closing(read_yuv(info, size, span, should_stop)) as decoded:
            return [for_brush(timed.frame, options.brush) for timed in islice(decoded, frames)]

    if not part_s or part_s * info.fps <= TAKES * TAKE:
        takes = [read(options.start_s, TAKES * TAKE)]
    else:
        starts = (options.start_s + part_s * place / TAKES for place in range(TAKES))
        takes = list(_that_have_frames(read, starts))
    height, width = takes[0][0].size
    if min(height, width) < SMALLEST:
        raise VideoError(f"{info.path.name} is painted at {width}x{height}, and {SMALLEST} pixels "
                         "each way are needed to learn from. Choose a larger size.")  # fmt: skip
    return takes


def _that_have_frames(
    read: Callable[[float, int], list[Yuv]], starts: Generator[float]
) -> Generator[list[Yuv]]:
    """Where a clip's length is not told truly, its last places may have none."""
    for number, start_s in enumerate(starts):
        try:
            yield read(start_s, TAKE)
        except VideoError:
            if not number:
                raise


def _draw(takes: list[list[Yuv]], step: int) -> Sequences:
    """A sequence of the clip; what it shows follows from the step alone."""
    rng = np.random.default_rng(step)
    take = takes[rng.integers(len(takes))]
    frames = 1 if rng.random() < _PICTURES else int(rng.integers(2, TAKE + 1))
    frames = min(frames, len(take))
    start = int(rng.integers(len(take) - frames + 1))
    height, width = (side // 4 * 4 for side in take[0].size)
    if height * width > MOST_PIXELS:
        width = min(width, max(640, MOST_PIXELS // height // 4 * 4))
        height = min(height, MOST_PIXELS // width // 4 * 4)
    top, left = (
        int(rng.integers((whole - part) // 2 + 1)) * 2
        for whole, part in zip(take[0].size, (height, width), strict=True)
    )

    def crop(frame: Yuv) -> Tensor:
        return yuv_to_image(frame)[..., top : top + height, left : left + width]

    images = [crop(frame) for frame in take[start : start + frames]]
    generator = torch.Generator().manual_seed(step)
    return observe(*estimate_truth(images), noise=0.01, exposure=0.0, generator=generator)
