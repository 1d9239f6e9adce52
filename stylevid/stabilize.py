"""The temporal stabilizer: carries the last painted frame along the flow, so that paint sticks to
what it was painted on.

Flow-guided blending as in Ruder et al. 2016 and Lai et al. 2018, with the fine texture that each
warp softens restored to the level of the current frame.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .flow import estimate_flow
from .frames import fit, luma, resize, size_of
from .warp import occlusion_mask, resize_flow, warp


@dataclass(frozen=True)
class StabilizerConfig:
    """How strongly the past is trusted; tuned on real clips for steadiness at full sharpness.

    Attributes:
        blend: share of the warped last output where it is fully trusted.
        flow_size: longest side, pixels, at which flow and trust are computed.
        tolerance: difference of the input frames, in [0, 1], at which trust falls to 1/e.
        cut_below: mean trust under which the frame is taken for a new scene.
        max_gain: limit of the texture restored after a warp.
    """

    blend: float = 0.85
    flow_size: int = 512
    tolerance: float = 20 / 255
    cut_below: float = 0.25
    max_gain: float = 1.3


class TemporalStabilizer:
    """The only state between frames: the last input, and the last output."""

    def __init__(self, config: StabilizerConfig | None = None) -> None:
        self.config = config or StabilizerConfig()
        self._prev_small: Tensor | None = None
        self._prev_output: Tensor | None = None

    def reset(self) -> None:
        """Forget the past: the next frame starts a new scene."""
        self._prev_small = self._prev_output = None

    def step(self, image: Tensor, stylized: Tensor) -> Tensor:
        """The steadied painting, 1,3,H,W float32 in [0, 1].

        Args:
            image: the input frame, 1,3,H,W in [0, 1].
            stylized: the network's painting of it, of the same size.
        """
        stylized = stylized.float()
        small = _small(image, self.config.flow_size)
        output = stylized
        if self._prev_small is not None and self._prev_output is not None:
            if self._prev_output.shape != stylized.shape:
                raise ValueError("the frame size changed without reset()")
            output = self._blend(small, self._prev_small, stylized, self._prev_output)
        self._prev_small, self._prev_output = small, output
        return output

    def _blend(
        self, small: Tensor, prev_small: Tensor, stylized: Tensor, prev_output: Tensor
    ) -> Tensor:
        flow_cur_to_prev = estimate_flow(small, prev_small)
        flow_prev_to_cur = estimate_flow(prev_small, small)
        trust = self._trust(small, prev_small, flow_cur_to_prev, flow_prev_to_cur)
        if trust.mean().item() < self.config.cut_below:
            return stylized
        size = size_of(stylized)
        warped, _ = warp(prev_output, resize_flow(flow_cur_to_prev, size), mode="bicubic")
        weight = self.config.blend * F.interpolate(trust, size, mode="bilinear")
        blended = stylized + weight * (warped - stylized)
        return restore_texture(blended, stylized, self.config.max_gain).clamp(0, 1)

    def _trust(
        self, small: Tensor, prev_small: Tensor, flow_cur_to_prev: Tensor, flow_prev_to_cur: Tensor
    ) -> Tensor:
        """1,1,h,w in [0, 1]: 1 where the pixel was visible and looked the same."""
        visible = 1 - occlusion_mask(flow_cur_to_prev, flow_prev_to_cur)
        warped, _ = warp(prev_small, flow_cur_to_prev)
        difference = _box(luma(small - warped).abs(), 3) / self.config.tolerance
        # A pixel beside an occlusion is as doubtful as the occlusion itself.
        near = -F.max_pool2d(-visible, 3, stride=1, padding=1)
        return _box(near * torch.exp(-difference.square()), 3)


def restore_texture(blended: Tensor, stylized: Tensor, max_gain: float) -> Tensor:
    """`blended` with its fine texture raised to the local energy of `stylized`, N,3,H,W.

    Each warp resamples and so softens; the gain is sqrt(energy of current / energy of blended) of
    the high-pass in a window of 9 x 9 pixels, between 1 and `max_gain`.
    """
    low = _box(blended, 5)
    high = blended - low
    wanted = _energy(stylized - _box(stylized, 5))
    present = _energy(high)
    gain = ((wanted + 1e-6) / (present + 1e-6)).sqrt().clamp(1.0, max_gain)
    return low + gain * high


def _energy(high: Tensor) -> Tensor:
    return _box(high.square().mean(1, keepdim=True), 9)


def _small(image: Tensor, longest: int) -> Tensor:
    height, width = size_of(image)
    size = fit(height, width, longest) if max(height, width) > longest else (height, width)
    return resize(image.float(), size)


def _box(image: Tensor, size: int) -> Tensor:
    """The mean over `size` x `size` pixels, in two passes; edge pixels are repeated outwards."""
    half = size // 2
    padded = F.pad(image, (half, half, half, half), mode="replicate")
    across = F.avg_pool2d(padded, (1, size), stride=1)
    return F.avg_pool2d(across, (size, 1), stride=1)
