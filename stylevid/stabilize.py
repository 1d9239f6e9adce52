"""The temporal stabilizer: carries the last painted frame along the flow, so that paint sticks to
what it was painted on.

Flow-guided blending as in Ruder et al. 2016 and Lai et al. 2018, with the fine texture that each
warp softens restored to the level of the current frame. All of it runs in OpenCV on the CPU, in
float32, levels from 0 to 255, light and color apart: a twentieth of the time that torch takes for
the same in RGB.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from .flow import FlowEstimator
from .frames import fit
from .yuv import RANGE, ZERO, Bytes, Yuv

Array = npt.NDArray[np.float32]
Painting = tuple[Array, ...]
"""A painted frame as planes of levels: Y, H,W, and Cb and Cr, H/2,W/2."""


@dataclass(frozen=True)
class StabilizerConfig:
    """How strongly the past is trusted; tuned on real clips for steadiness at full sharpness.

    Attributes:
        blend: share of the warped last output where it is fully trusted. At 0.9 somewhat less
            flicker is left, but an average of ten paintings is no painting: on clips in motion
            the style loss is up to twice that of one, on the median clip 1.09 instead of 1.05.
        fast: motion a frame, share of the longest side, that halves it: where all rushes by, the
            eye sees smear before flicker.
        flow_size: longest side, pixels, at which flow and trust are computed.
        tolerance: difference of the input frames, 0 to 255, at which trust falls to 1/e.
        cut_below: likeness to the warped last frame under which the scene is a new one. Of 420 cuts
            between real clips none is above 0.20; of 940 pairs of neighboring frames within them
            none is below 0.43.
        flash_below: mean trust under which the exposure is taken to have changed.
        max_gain: limit of the texture restored after a warp.
    """

    blend: float = 0.7
    fast: float = 0.04
    flow_size: int = 224
    tolerance: float = 20.0
    cut_below: float = 0.4
    flash_below: float = 0.5
    max_gain: float = 1.5


class TemporalStabilizer:
    """The only state between frames: the last input in gray, and the last output."""

    def __init__(
        self,
        config: StabilizerConfig | None = None,
        estimator: Callable[[Array, Array], Array] | None = None,
    ) -> None:
        """
        Args:
            estimator: `flow_a_to_b`, H,W,2, of two pictures H,W, 0 to 255; None takes DIS.
        """
        self.config = config or StabilizerConfig()
        self._estimator = estimator or FlowEstimator()
        self._past: tuple[Array, Painting] | None = None
        self._now, self._before = Buffers(), Buffers()

    def reset(self) -> None:
        """Forget the past: the next frame starts a new scene."""
        self._past = None

    def step(self, frame: Yuv, painted: Yuv) -> Yuv:
        """The steadied painting of a frame, given the network's painting of it, of one size.

        Raises:
            ValueError: the size is not the last frame's.
        """
        painting = tuple(
            self._now(f"painted {i}", plane.shape) for i, plane in enumerate(_planes(painted))
        )
        for plane, levels in zip(painting, _planes(painted), strict=True):
            np.copyto(plane, levels)
        gray, output = _gray(frame, self.config.flow_size), painting
        if self._past is not None:
            output = self._blend(gray, painting, *self._past)
        self._past = gray, output
        self._now, self._before = self._before, self._now  # what was just made is kept for a frame
        if output is painting:
            return painted
        steadied = Yuv(np.empty_like(painted.pixels), painted.matrix)
        for plane, levels in zip(output, _planes(steadied), strict=True):
            cv2.add(plane, 0.0, dst=levels, dtype=cv2.CV_8U)  # pyright: ignore  # rounds, clips
        return steadied

    def _blend(
        self, gray: Array, painting: Painting, prev_gray: Array, prev_output: Painting
    ) -> Painting:
        """The painting of a frame, steadied; itself where a new scene starts.

        Args:
            gray, prev_gray: h,w, the frames' light from 0 to 255, in a small size.
        """
        if prev_output[0].shape != painting[0].shape:
            raise ValueError("the frame size changed without reset()")
        flow_cur_to_prev = self._follow(gray, prev_gray)
        warped_gray = _warp(prev_gray, flow_cur_to_prev)
        if _likeness(gray, warped_gray) < self.config.cut_below:
            return painting
        trust = self._trust(gray, warped_gray, flow_cur_to_prev)
        if trust.mean() < self.config.flash_below:
            matched = _match_exposure(prev_gray, gray)
            flow_cur_to_prev = self._follow(gray, matched)
            trust = self._trust(gray, _warp(matched, flow_cur_to_prev), flow_cur_to_prev)
        small_weight = trust * self._share(flow_cur_to_prev)
        fields = {
            size: _enlarge(flow_cur_to_prev, small_weight, size, self._now)
            for size in {plane.shape for plane in painting}
        }
        mixed: list[Array] = []
        for i, (now, past) in enumerate(zip(painting, prev_output, strict=True)):
            flow, weight = fields[now.shape]
            warped = self._now(f"warped {i}", now.shape)
            _warp(past, flow, cv2.INTER_CUBIC, target=warped)
            mixed.append(_mix(warped, now, weight, warped, self._now))
        gain = texture_gain(mixed[0], painting[0], self.config.max_gain)
        for plane, size in zip(mixed, (5, 3, 3), strict=True):
            raise_texture(plane, gain, size, self._now)
        return tuple(mixed)

    def _follow(self, gray: Array, prev_gray: Array) -> Array:
        """The flow from the current frame to the last, and 0 where it follows mere noise: on a
        blank wall paint would swim, to ten times the flicker of the painting alone.

        White noise of variance s has details of power s, and differs by 2 s from the last frame's;
        along the best flow it still differs by 1.1 s and more (standard deviations of 0.7 to 5).
        """
        flow_cur_to_prev = self._estimator(gray, prev_gray)
        left = _power(gray - _warp(prev_gray, flow_cur_to_prev))
        noise = cv2.max(_power(_details(gray, 9)), _power(gray - prev_gray) / 2)
        worth = np.clip((1.1 - left / noise) / 0.4, 0, 1)
        return cast(Array, flow_cur_to_prev * worth[..., None])

    def _trust(self, gray: Array, warped_gray: Array, flow_cur_to_prev: Array) -> Array:
        """How far to trust the flow: h,w in [0, 1], 1 where the pixel was inside the picture and
        looked the same.

        What was hidden looks different, and is not trusted; a second flow, backwards, did not
        make this better on real clips.
        """
        difference = cv2.blur(cv2.absdiff(gray, warped_gray), (3, 3))
        trust = cv2.exp(-np.square(difference / np.float32(self.config.tolerance)))
        trust *= _warp(np.ones_like(gray), flow_cur_to_prev, border=cv2.BORDER_CONSTANT)
        return cast(Array, cv2.blur(trust, (3, 3)))

    def _share(self, flow_cur_to_prev: Array) -> Array:
        """How much of the past to keep where it is trusted: h,w, from 0 to the configured blend."""
        square = np.square(flow_cur_to_prev).sum(axis=-1)
        fast = self.config.fast * max(square.shape)
        return cast(Array, np.float32(self.config.blend) / (1 + square / np.float32(fast**2)))


class Buffers:
    """Arrays that are kept for the next time: to get memory takes longer than to compute what goes
    into it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, tuple[int, ...]], Array] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Array:
        """The float32 array of this name and shape, with whatever was left in it."""
        key = name, shape
        if key not in self._arrays:
            self._arrays[key] = np.empty(shape, np.float32)
        return self._arrays[key]


def _enlarge(
    flow: Array, weight: Array, size: tuple[int, ...], buffers: Buffers
) -> tuple[Array, Array]:
    """Flow and weight, computed in a small size, for planes of `size` H,W and in their pixels."""
    height, width = size
    small_height, small_width = weight.shape
    scale = np.array([width / small_width, height / small_height], np.float32)
    large_flow, large_weight = buffers("flow", (height, width, 2)), buffers("weight", size)
    cv2.resize(flow * scale, (width, height), dst=large_flow)
    cv2.resize(weight, (width, height), dst=large_weight)
    return large_flow, large_weight


def _mix(one: Array, other: Array, weight: Array, target: Array, buffers: Buffers) -> Array:
    """`weight` of one plane and the rest of the other, H,W each, into `target`."""
    rest = np.subtract(1, weight, out=buffers("rest", weight.shape))
    return cast(Array, cv2.blendLinear(one, other, weight, rest, dst=target))


def texture_gain(blended: Array, stylized: Array, max_gain: float) -> Array:
    """By how much to raise the fine texture of `blended`, H,W, to the local energy of `stylized`:
    H/2,W/2, from 1 to `max_gain`.

    Each warp resamples and so softens; the gain is sqrt(energy of current / energy of blended) of
    the high-pass in a window of some 10 x 10 pixels.
    """
    ratio = cv2.divide(_energy(stylized) + np.float32(0.1), _energy(blended) + np.float32(0.1))
    return cast(Array, np.clip(cv2.sqrt(ratio), np.float32(1), np.float32(max_gain)))


def raise_texture(plane: Array, gain: Array, size: int, buffers: Buffers) -> None:
    """Multiply by the gain, in place, what `size` x `size` pixels of a plane H,W do not share."""
    height, width = plane.shape
    wanted = buffers("gain", plane.shape)
    cv2.resize(gain, (width, height), dst=wanted)
    low = cv2.blur(plane, (size, size), dst=buffers("low", plane.shape))
    _mix(plane, cast(Array, low), wanted, plane, buffers)  # low + gain * (plane - low)


def _energy(plane: Array) -> Array:
    """The local energy of the high-pass, at half the size."""
    height, width = plane.shape
    half = (max(1, width // 2), max(1, height // 2))
    high = _details(plane, 5)
    squares = cv2.resize(cv2.multiply(high, high), half, interpolation=cv2.INTER_AREA)
    return cast(Array, cv2.blur(squares, (5, 5)))


def _planes(frame: Yuv) -> tuple[Bytes, Bytes, Bytes]:
    return frame.luma, frame.chroma[0], frame.chroma[1]


def _gray(frame: Yuv, longest: int) -> Array:
    """A frame's light from 0 to 255, scaled down so that its longest side is `longest` pixels."""
    light = frame.luma
    if max(frame.size) > longest:
        height, width = fit(*frame.size, longest)
        light = cast(Bytes, cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA))
    return (light.astype(np.float32) - ZERO[0]) * np.float32(255 / RANGE[0])


def _power(image: Array) -> Array:
    """The mean square around each pixel, a tenth for rounding included."""
    return cast(Array, cv2.blur(np.square(image), (25, 25)) + np.float32(0.1))


def _details(gray: Array, size: int) -> Array:
    """The high-pass: what `size` x `size` pixels do not have in common."""
    return cast(Array, cv2.subtract(gray, cv2.blur(gray, (size, size))))


def _likeness(gray: Array, other: Array) -> float:
    """The correlation of two frames' details, -1 to 1, whatever their exposure.

    Flow can match the brightness of any two pictures, so that a difference does not tell a cut;
    their details it cannot.
    """
    details, other_details = _details(gray, 17), _details(other, 17)
    noise = 4.0  # squared, as much as nothing: a blank frame is like another
    power = float(np.square(details).mean()) + noise
    other_power = float(np.square(other_details).mean()) + noise
    return (float((details * other_details).mean()) + noise) / (power * other_power) ** 0.5


def _match_exposure(gray: Array, wanted: Array) -> Array:
    """`gray` with the mean and the spread of `wanted`."""
    spread = (float(wanted.std()) + 1) / (float(gray.std()) + 1)
    matched = (gray - gray.mean()) * np.float32(spread) + wanted.mean()
    return np.clip(matched, 0, 255).astype(np.float32)


def _warp(
    image: Array, flow: Array, how: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE,
    target: Array | None = None,
) -> Array:  # fmt: skip
    """`warp.warp` for arrays H,W, into `target`; beyond the edge lies the edge, or 0."""
    none = cast(Array, None)  # the second map, which OpenCV's type hints demand
    how |= cv2.WARP_RELATIVE_MAP
    return cast(Array, cv2.remap(image, flow, none, how, dst=target, borderMode=border))
