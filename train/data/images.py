"""Still pictures: a folder of photographs for the content, one painting for the style.

Every draw is a function of (seed, step), so that a run that was stopped continues with the very
pictures it would have seen.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylevid.errors import StyleError
from stylevid.frames import Frame, resize, to_image
from stylevid.learn.painting import read_picture

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_LARGEST_SCALE = 1.3  # of what covers a crop: content as large as it is when a video is painted


def list_photos(folder: Path, hold_out: int = 0) -> list[Path]:
    """The pictures in `folder`, sorted by name, without the last `hold_out` of them.

    Raises:
        StyleError: fewer than one picture would be left.
    """
    photos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    kept = photos[: max(len(photos) - hold_out, 0)]
    if not kept:
        raise StyleError(
            f"{folder} holds {len(photos)} pictures (jpg, png, webp) and {hold_out} are held out; "
            "at least one must be left to train on."
        )
    return kept


def draw_crop(
    shape: tuple[int, ...], size: int, rng: np.random.Generator
) -> Callable[[Frame], Tensor]:
    """What takes the same part of each frame of a shape H,W,3: a square of `size` pixels,
    1,3,size,size, of random place, scale and mirror."""
    height, width, _ = shape
    cover = size / min(height, width) * rng.uniform(1.0, _LARGEST_SCALE)
    scaled = max(round(cover * height), size), max(round(cover * width), size)
    top, left = (int(rng.integers(side - size + 1)) for side in scaled)
    mirrored = rng.random() < 0.5

    def crop(frame: Frame) -> Tensor:
        part = resize(to_image(frame), scaled)[..., top : top + size, left : left + size]
        return part.flip(-1) if mirrored else part

    return crop


def photo_batch(
    photos: list[Path], count: int, size: int, seed: int, step: int, first: int = 0
) -> Tensor:
    """`count` random crops, N,3,size,size in [0, 1].

    Each is a function of the seed, the step and its place in the batch alone, counted from `first`,
    so that several processes can share one batch.

    Raises:
        StyleError: a photograph is no picture.
    """

    def crop(place: int) -> Tensor:
        rng = np.random.default_rng((seed, step, place))
        photo = read_picture(photos[rng.integers(len(photos))])
        return draw_crop(photo.shape, size, rng)(photo)

    return torch.cat([crop(first + i) for i in range(count)])
