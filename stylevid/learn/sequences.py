"""Short videos to learn from. Each carries, beside the truth that losses are computed with, what a
painter at work would know: frames with noise, and the motion that `memory.Follower` estimates from
them."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..canvas import light_on_canvas, weave
from ..flow import estimate_flow
from ..frames import Frame, fit, luma, resize, size_of, to_frame, to_image
from ..memory import SIZE, Array, Follower
from ..metrics import trusted
from ..yuv import RANGE, ZERO, Bytes

LEARNED = 2  # frames at the end of a sequence that gradients flow through; the others are replayed
_FOLLOWED_AT = SIZE / 640  # of a frame's size, as in a video of 640 pixels
_BLOCK = 8  # pixels, of JPEG
_QUALITIES = 10, 60  # of JPEG, at which blocks are seen
_SMALLEST_SCALE = 0.5  # a small clip that is painted large has larger blocks


@dataclass(frozen=True)
class Sequences:
    """A batch of N sequences of T frames.

    Attributes:
        frames: T,N,3,H,W in [0, 1], without noise.
        seen: T,N,3,H,W in [0, 1], the same as a camera gives them to the painter.
        flow_cur_to_prev: L,N,2,H,W, (dx, dy) in pixels, true; of the last L = min(T-1, LEARNED)
            frames, from each to the one before it.
        visible: L,N,1,H,W on their grids, 1 where the pixel is also seen in the frame before.
        followed: T-1,N,2,H,W, the flow as estimated from `seen`.
        trust: T-1,N,1,H/2,W/2 in [0, 1], how far `followed` is to be trusted.
    """

    frames: Tensor
    seen: Tensor
    flow_cur_to_prev: Tensor
    visible: Tensor
    followed: Tensor
    trust: Tensor

    def to(self, device: torch.device) -> "Sequences":
        return Sequences(*(t.to(device, non_blocking=True) for t in vars(self).values()))


def concatenate(parts: list[Sequences]) -> Sequences:
    """One batch of several, whose sequences are as long."""
    tensors = zip(*(vars(part).values() for part in parts), strict=True)
    return Sequences(*(torch.cat(one, dim=1) for one in tensors))


def estimate_truth(frames: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Frames T,1,3,H,W, flow and visibility, as in `Sequences`, of a real clip's neighboring frames
    1,3,H,W: its flow as well as DIS finds it, both ways."""
    first, count = frames[0], len(frames)
    flows = [first.new_zeros(0, 1, 2, *size_of(first))]
    visible = [first.new_zeros(0, 1, 1, *size_of(first))]
    for t in range(max(1, count - LEARNED), count):
        there, back = (estimate_flow(frames[a], frames[b]) for a, b in ((t, t - 1), (t - 1, t)))
        flows.append(there[None])
        visible.append(trusted(there, back)[None])
    return torch.stack(frames), torch.cat(flows), torch.cat(visible)


def observe(
    frames: Tensor, flow_cur_to_prev: Tensor, visible: Tensor, noise: float, exposure: float,
    generator: torch.Generator,
    stray: float = 0.0,
    compressed: float = 0.0,
) -> Sequences:  # fmt: skip
    """Sequences as a painter gets to see them: noise and blocks that are to be painted over,
    changes of exposure that are real light, and all of it on a canvas, somewhere.

    Args:
        frames, flow_cur_to_prev, visible: as in `Sequences`.
        noise: largest standard deviation of a sensor's noise; each sequence has its own.
        exposure: standard deviation of the logarithm of a frame's exposure.
        stray: largest standard deviation, pixels, of errors of the estimated flow: a painter must
            not rely on it more than on real clips, where it is worse than on generated ones.
        compressed: share of the sequences that were compressed until it shows.
        generator: of the CPU; the only source of chance.
    Source: stability training, Zheng et al. 2016, section 3; compound regularization, Wang et al.
        2020 (Consistent Video Style Transfer via Compound Regularization), section 3.2.
    """
    count, batch = frames.shape[:2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    exposed = (frames * (normal(count, batch, 1, 1, 1) * exposure).exp()).clamp(0, 1)
    level = torch.rand(1, batch, 1, 1, 1, generator=generator) * noise
    seen = (exposed + normal(*frames.shape) * level).clamp(0, 1)
    for place in range(batch):
        if torch.rand(1, generator=generator) < compressed:
            seen[:, place] = _compress(seen[:, place], generator)
    motions = [_follow(seen[:, place]) for place in range(batch)]
    followed, trust = (torch.stack(parts, dim=1) for parts in zip(*motions, strict=True))
    if stray and count > 1:
        error = normal((count - 1) * batch, 2, 12, 12) * torch.rand(1, generator=generator) * stray
        error = F.interpolate(error, size_of(frames), mode="bicubic")
        followed = followed + error.view_as(followed)
    canvas = _on_canvas(seen, generator)
    return Sequences(exposed, canvas, flow_cur_to_prev, visible, followed, trust)


def _on_canvas(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames T,N,3,H,W on a canvas that lies anywhere, and stays there."""
    size = size_of(frames)
    place = torch.randint(max(size), (2,), generator=generator).tolist()
    threads = np.roll(weave(*size), place, (0, 1))
    light = luma(frames.flatten(0, 1))[:, 0] * float(RANGE[0]) + float(ZERO[0])
    before = light.round().to(torch.uint8).numpy()
    after = np.stack([light_on_canvas(cast(Bytes, one), threads) for one in before])
    change = torch.from_numpy(after.astype(np.float32) - before) / float(RANGE[0])
    return frames + change.view(*frames.shape[:2], 1, *size)


def _compress(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames T,3,H,W as from a JPEG each, of one quality, smaller, and blocks of any place."""
    low, high = _QUALITIES
    quality = int(torch.randint(low, high, (1,), generator=generator))
    scale = _SMALLEST_SCALE + (1 - _SMALLEST_SCALE) * torch.rand(1, generator=generator).item()
    top, left = torch.randint(_BLOCK, (2,), generator=generator).tolist()
    size = size_of(frames)
    small = resize(frames, (round(scale * size[0]), round(scale * size[1])))
    padded = F.pad(small, (left, 0, top, 0), mode="replicate")
    pictures: list[Tensor] = []
    for frame in padded.split(1):
        bgr = cv2.cvtColor(to_frame(frame), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pictures.append(to_image(cast(Frame, cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))))
    return resize(torch.cat(pictures)[..., top:, left:], size)


def _follow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """What `Follower` makes of frames T,3,H,W: flow T-1,2,H,W and trust T-1,1,H/2,W/2."""
    height, width = size_of(frames)
    small_height, small_width = fit(height, width, round(_FOLLOWED_AT * max(height, width)))
    follower = Follower()
    flows = np.zeros((len(frames) - 1, height, width, 2), np.float32)
    trusts = np.zeros((len(frames) - 1, 1, height // 2, width // 2), np.float32)
    for number, frame in enumerate(frames):
        gray = luma(frame[None])[0, 0].mul(255).numpy()
        small = cv2.resize(gray, (small_width, small_height), interpolation=cv2.INTER_AREA)
        if motion := follower.step_gray(cast(Array, small)):  # None: a cut, nothing is known
            flows[number - 1] = motion.flow_at(height, width)
            trusts[number - 1] = motion.trust_at(height // 2, width // 2)
    return torch.from_numpy(flows).permute(0, 3, 1, 2), torch.from_numpy(trusts)
