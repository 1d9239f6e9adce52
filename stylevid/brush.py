"""Large strokes on large pictures: the network paints a smaller copy, and the painting is enlarged
along the picture's own edges.

A network's strokes have a size in pixels, the one that it was trained with; on a 1080p frame they
would be a third as large a part of the picture as on the 640 pixels that the styles are made for.
"""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from .yuv import Bytes, Yuv

Array = npt.NDArray[np.float32]

TRAINED_FOR = 960  # pixels, the longest side up to which strokes keep the size they were trained at
SMALLEST = 64  # pixels: no side is made smaller for the brush's sake
_WINDOW = (9, 9)  # pixels of the small picture, in which paint follows light linearly
_NOISE = 16.0  # squared levels of 255: smaller changes of light say nothing about the paint


def shrink(picture: Yuv, size: tuple[int, int]) -> Yuv:
    """The picture at (height, width), even and not larger; a copy."""
    height, width = size
    small = Yuv(np.empty((height * 3 // 2, width), np.uint8), picture.matrix)
    small.luma[:] = cv2.resize(picture.luma, (width, height), interpolation=cv2.INTER_AREA)
    for plane, small_plane in zip(picture.chroma, small.chroma, strict=True):
        small_plane[:] = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return small


def for_brush(picture: Yuv, brush: float | None) -> Yuv:
    """What the network is to paint so that its strokes are `brush` times as large: the picture, or
    a smaller copy.

    Args:
        brush: from 1 up; None lets the strokes grow with the picture, 2 for 1080p.
    """
    height, width = picture.size
    brush = max(1.0, max(height, width) / TRAINED_FOR) if brush is None else brush
    brush = min(brush, max(1.0, min(height, width) / SMALLEST))
    size = 2 * round(height / brush / 2), 2 * round(width / brush / 2)
    return picture if size == picture.size else shrink(picture, size)


def enlarge(painted: Yuv, seen: Yuv, picture: Yuv) -> Yuv:
    """The painting of `seen`, a smaller copy of `picture`, in the picture's size.

    What the copy has lost of the picture's light is added as strongly as the paint follows the
    light there: painting = a * light + b in small windows, as in the guided filter (He et al. 2010,
    section 3; He and Sun 2015, Fast Guided Filter); but the strokes stay, which the filter removes.
    """
    if painted.size == picture.size:
        return painted
    height, width = picture.size
    light, paint = seen.luma.astype(np.float32), painted.luma.astype(np.float32)
    slope = _covariance(light, paint) / (_covariance(light, light) + np.float32(_NOISE))
    slope = cast(Array, np.clip(slope, -1.5, 1.5))
    lost = picture.luma - _resize(light, (width, height))
    whole = Yuv(np.empty_like(picture.pixels), painted.matrix)
    enlarged = _resize(paint, (width, height))
    whole.luma[:] = _levels(enlarged + _resize(slope, (width, height), cv2.INTER_LINEAR) * lost)
    for plane, target in zip(painted.chroma, whole.chroma, strict=True):
        target[:] = _levels(_resize(plane.astype(np.float32), (width // 2, height // 2)))
    return whole


def _covariance(one: Array, other: Array) -> Array:
    """In windows around each pixel, H,W."""
    mean, other_mean = cv2.blur(one, _WINDOW), cv2.blur(other, _WINDOW)
    return cast(Array, cv2.blur(one * other, _WINDOW) - mean * other_mean)


def _resize(plane: Array, size: tuple[int, int], how: int = cv2.INTER_CUBIC) -> Array:
    """To size (width, height)."""
    return cast(Array, cv2.resize(plane, size, interpolation=how))


def _levels(values: npt.NDArray[np.floating]) -> Bytes:
    """Rounded and clipped to 0 to 255."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
