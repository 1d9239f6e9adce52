"""What a painter remembers: its last painting, carried along the motion to where the next frame has
what was painted, and how far that is to be trusted.

Flow-guided as in Ruder et al. 2016; the network itself then repaints what it trusts
(`network.Past`). All of it runs in OpenCV on the CPU, motion in a small size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

from .flow import FlowEstimator
from .frames import fit
from .yuv import RANGE, ZERO, Bytes, Yuv

Array = npt.NDArray[np.float32]
Plane = TypeVar("Plane", Array, Bytes)


SIZE = 224  # pixels, the longest side at which flow and trust are computed
_TOLERANCE = 20.0  # difference of the input frames, 0 to 255, at which trust falls to 1/e
_REST = 1.0  # mean difference around a pixel, 0 to 255, up to which nothing moves there
# Likeness to the warped last frame under which the scene is a new one. Of 420 cuts between real
# clips none is above 0.20; of 940 pairs of neighboring frames within them none is below 0.43.
_CUT_BELOW = 0.4
# Standard deviation of a frame's light, 0 to 255, up to which it shows nothing: a norm makes much
# of little, its past included, and paint would flicker from one extreme to the other.
_BLANK = 3.0
_FLASH_BELOW = 0.5  # mean trust under which the exposure is taken to have changed


@dataclass(frozen=True)
class Motion:
    """From a frame to the one before it.

    Attributes:
        flow_cur_to_prev: h,w,2, (dx, dy) in pixels of this small size.
        trust: h,w in [0, 1], 1 where the pixel was inside the picture and looked the same.
        resting: there is nothing to be seen, as in the last frame that was painted: what was
            painted then is what is painted now.
    """

    flow_cur_to_prev: Array
    trust: Array
    resting: bool = False

    def flow_at(self, height: int, width: int) -> Array:
        """The flow for frames of this size, H,W,2, in their pixels."""
        small_height, small_width = self.trust.shape
        scale = np.array([width / small_width, height / small_height], np.float32)
        return cast(Array, cv2.resize(self.flow_cur_to_prev * scale, (width, height)))

    def trust_at(self, height: int, width: int) -> Array:
        """The trust for frames of this size, H,W."""
        return cast(Array, cv2.resize(self.trust, (width, height)))


@dataclass(frozen=True)
class Remembered:
    """The last painting on the grid of the frame that is to be painted.

    Attributes:
        painting: of the frame's size.
        trust: uint8 H/2,W/2, 255 where it shows the same thing as the frame.
    """

    painting: Yuv
    trust: Bytes


def carry(painting: Yuv, motion: Motion) -> Remembered:
    """The last painting, drawn where the current frame has what it shows: bicubic, since what a
    bilinear warp softens would soften more with each frame."""
    height, width = painting.size
    carried = Yuv(np.empty_like(painting.pixels), painting.matrix)
    flow, half_flow = motion.flow_at(height, width), motion.flow_at(height // 2, width // 2)
    _warp(painting.luma, flow, cv2.INTER_CUBIC, target=carried.luma)
    for plane, target in zip(painting.chroma, carried.chroma, strict=True):
        _warp(plane, half_flow, cv2.INTER_CUBIC, target=target)
    trust = motion.trust_at(height // 2, width // 2)
    return Remembered(carried, np.rint(trust * 255).astype(np.uint8))


class Follower:
    """Follows motion from frame to frame; its only state is the last frame in gray, small, and the
    last one that showed nothing and was painted."""

    def __init__(self, estimator: Callable[[Array, Array], Array] | None = None) -> None:
        """`estimator` gives `flow_a_to_b`, H,W,2, of two pictures H,W, 0 to 255; None takes DIS."""
        self._estimate = estimator or FlowEstimator()
        self._prev_gray: Array | None = None
        self._blank: Array | None = None

    def step(self, frame: Yuv) -> Motion | None:
        """The motion from a frame to the last one; None where a scene starts.

        Raises:
            ValueError: the size is not the last frame's.
        """
        return self.step_gray(_gray(frame))

    def step_gray(self, gray: Array) -> Motion | None:
        """The same, for a frame's light h,w from 0 to 255 in the small size."""
        prev_gray, self._prev_gray = self._prev_gray, gray
        blank, self._blank = self._blank, gray if gray.std() < _BLANK else None
        if prev_gray is None:
            return None
        if prev_gray.shape != gray.shape:
            raise ValueError("the size of the frames has changed; a new video needs a new Follower")
        flow_cur_to_prev = self._follow(gray, prev_gray)
        warped_gray = _warp(prev_gray, flow_cur_to_prev)
        if _likeness(gray, warped_gray) < _CUT_BELOW:
            return None
        if self._blank is not None:
            return self._rest(gray, blank)
        trust = _trust(gray, warped_gray, flow_cur_to_prev)
        if trust.mean() < _FLASH_BELOW:
            matched = _match_exposure(prev_gray, gray)
            flow_cur_to_prev = self._follow(gray, matched)
            trust = _trust(gray, _warp(matched, flow_cur_to_prev), flow_cur_to_prev)
        return Motion(flow_cur_to_prev, trust)

    def _rest(self, gray: Array, blank: Array | None) -> Motion:
        """Of a frame that shows nothing, after one that showed nothing, if there is one: rest, or a
        painting without a past."""
        resting = False
        if blank is not None:
            change = cv2.absdiff(cv2.blur(gray, (9, 9)), cv2.blur(blank, (9, 9)))
            resting = bool(change.max() < _REST)
        if resting:
            self._blank = blank
        return Motion(np.zeros((*gray.shape, 2), np.float32), np.full_like(gray, resting), resting)

    def _follow(self, gray: Array, prev_gray: Array) -> Array:
        """The flow from the current frame to the last, and 0 where the picture has not changed, or
        where the flow follows mere noise: on a blank wall paint would swim, to ten times the
        flicker of the painting alone, and before a fixed camera it would tremble.

        White noise of variance s has details of power s, and differs by 2 s from the last frame's;
        along the best flow it still differs by 1.1 s and more (standard deviations of 0.7 to 5).
        """
        flow_cur_to_prev = self._estimate(gray, prev_gray)
        left = _power(gray - _warp(prev_gray, flow_cur_to_prev))
        noise = cv2.max(_power(_details(gray, 9)), _power(gray - prev_gray) / 2)
        change = cv2.blur(cv2.absdiff(gray, prev_gray), (9, 9))
        worth = np.minimum((1.1 - left / noise) / 0.4, change / _REST - 1)
        return flow_cur_to_prev * np.clip(worth, 0, 1)[..., None]


def _trust(gray: Array, warped_gray: Array, flow_cur_to_prev: Array) -> Array:
    """How far to trust the flow, as in `Motion`.

    What was hidden looks different, and is not trusted; a second flow, backwards, did not make
    this better on real clips.
    """
    difference = cv2.blur(cv2.absdiff(gray, warped_gray), (3, 3))
    trust = cv2.exp(-np.square(difference / np.float32(_TOLERANCE)))
    trust *= _warp(np.ones_like(gray), flow_cur_to_prev, border=cv2.BORDER_CONSTANT)
    return cast(Array, cv2.blur(trust, (3, 3)))


def _gray(frame: Yuv) -> Array:
    """A frame's light from 0 to 255, scaled down to the small size."""
    height, width = fit(*frame.size, SIZE, enlarge=False)
    light = cast(Bytes, cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA))
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
    plane: Plane, flow: Array, how: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE,
    target: Plane | None = None,
) -> Plane:  # fmt: skip
    """`warp.warp` for planes H,W, into `target`; beyond the edge lies the edge, or 0."""
    none = cast(Array, None)  # the second map, which OpenCV's type hints demand
    how |= cv2.WARP_RELATIVE_MAP
    return cast(Plane, cv2.remap(plane, flow, none, how, dst=target, borderMode=border))
