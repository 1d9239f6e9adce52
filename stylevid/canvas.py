"""The weave of the canvas: a faint fixed noise in all that a network is given to paint.

A convolutional network paints what is alike alike: an overexposed sky stays empty, and flats get a
lattice, or strokes that a camera's noise draws anew in each frame. The weave is what strokes start
from there, and stays where it is. The noise of StyleGAN (Karras et al. 2019, section 3.2) is there
for the same reason; this one lies in the picture, so that networks need no input for it.
"""

import math
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from .yuv import Bytes, Yuv

LEVELS = 2.2  # standard deviation, of the 219 from black to white
_FINE, _COARSE = 1.5, 3.75  # pixels: the Gaussians whose difference it is


def on_canvas(frame: Yuv) -> Yuv:
    """The frame with the weave in its light; a copy."""
    height, width = frame.size
    woven = Yuv(frame.pixels.copy(), frame.matrix)
    cv2.add(frame.luma, weave(height, width), dst=woven.luma, dtype=cv2.CV_8U)
    return woven


@lru_cache(maxsize=8)
def weave(height: int, width: int) -> npt.NDArray[np.int8]:
    """Levels H,W to add to Y: band-passed Gaussian noise, the same at every call."""
    noise = np.random.default_rng(0).standard_normal((height, width), np.float32)
    fine, coarse = (cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    return np.rint((fine - coarse) * (LEVELS / _deviation())).astype(np.int8)


def _deviation() -> float:
    """Of the difference of two Gaussians of white noise: a product of Gaussians is one."""
    both = 2 / (_FINE**2 + _COARSE**2)
    return math.sqrt((1 / (2 * _FINE**2) + 1 / (2 * _COARSE**2) - both) / (2 * math.pi))
