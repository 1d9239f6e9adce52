"""What a network is given to paint: the frame with clearer forms, on the weave of a canvas.

Clearer: of a face in full light, or an arm before a wall, a network keeps the outline and covers
the rest with strokes; with more local contrast, eyes and fingers are kept as well.

The weave: a convolutional network paints what is alike alike. An overexposed sky stays empty, and
a camera's noise draws the strokes of flats anew in each frame. A faint noise that stays where it
is gives strokes a place to start from. The noise of StyleGAN (Karras et al. 2019, section 3.2) is
there for the same reason; this one lies in the picture, so that networks need no input for it.
"""

import math
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from .frames import size_of, unpad
from .yuv import Bytes, Yuv, image_to_yuv, yuv_to_image

CLEARER = 1.0  # of what differs from the light around it, so much is added
LEVELS = 2.2  # standard deviation of the weave, of the 219 levels from black to white
_AROUND = 24.0  # pixels: the Gaussian that is the light around
_FINE, _COARSE = 1.5, 3.75  # pixels: the Gaussians whose difference the weave is
_SMALL = 4  # times smaller: the picture in which the light around is computed

Threads = npt.NDArray[np.int8]


def on_canvas(frame: Yuv) -> Yuv:
    """The frame as the network is given it; a copy, with other light and the same color."""
    canvas = Yuv(frame.pixels.copy(), frame.matrix)
    canvas.luma[:] = light_on_canvas(frame.luma, weave(*frame.size))
    return canvas


def image_on_canvas(image: Tensor) -> Tensor:
    """The same for an image 1,3,H,W in [0, 1]."""
    return unpad(yuv_to_image(on_canvas(image_to_yuv(image))), *size_of(image))


def light_on_canvas(luma: Bytes, threads: Threads) -> Bytes:
    """Y as the network is given it, uint8 H,W in levels: of Y by unsharp masking with a wide
    Gaussian, and of a weave's levels H,W, which are added.
    """
    height, width = luma.shape
    size = max(1, width // _SMALL), max(1, height // _SMALL)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    around = cv2.resize(cv2.GaussianBlur(small, (0, 0), _AROUND / _SMALL), (width, height))
    clear = cv2.addWeighted(luma, 1 + CLEARER, around, -CLEARER, 0)
    return cast(Bytes, cv2.add(clear, threads, dtype=cv2.CV_8U))


@lru_cache(maxsize=8)
def weave(height: int, width: int) -> Threads:
    """Levels to add to Y, int8 H,W: band-passed Gaussian noise, one shared array for a size."""
    noise = np.random.default_rng(0).standard_normal((height, width), np.float32)
    fine, coarse = (cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    return np.rint((fine - coarse) * (LEVELS / _deviation())).astype(np.int8)


def _deviation() -> float:
    """Of the difference of two Gaussians of white noise: a product of Gaussians is one."""
    both = 2 / (_FINE**2 + _COARSE**2)
    return math.sqrt((1 / (2 * _FINE**2) + 1 / (2 * _COARSE**2) - both) / (2 * math.pi))
