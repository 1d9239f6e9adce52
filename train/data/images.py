"""Still pictures: a folder of photographs for the content, one painting for the style.

Every draw is a function of (seed, step), so that a run that was stopped continues with the very
pictures it would have seen.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylevid.errors import StyleError
from stylevid.frames import resize, to_image
from stylevid.learn.painting import read_picture

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


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


def random_crop(
    photo: Path, size: tuple[int, int], rng: np.random.Generator, largest: float = 1.3
) -> Tensor:
    """A part of the photograph, 1,3,H,W of `size` (height, width): random place, scale and mirror.

    The photograph is scaled to cover between 1 and `largest` times `size`: content as large as it
    is when a video is painted.

    Raises:
        StyleError: the file is no picture.
    """
    frame = read_picture(photo)
    cover = max(size[0] / frame.shape[0], size[1] / frame.shape[1]) * rng.uniform(1.0, largest)
    height, width = (
        max(round(cover * has), wanted) for has, wanted in zip(frame.shape, size, strict=False)
    )
    image = resize(to_image(frame), (height, width))
    top, left = int(rng.integers(height - size[0] + 1)), int(rng.integers(width - size[1] + 1))
    crop = image[..., top : top + size[0], left : left + size[1]]
    return crop.flip(-1) if rng.random() < 0.5 else crop


def photo_batch(
    photos: list[Path], count: int, size: int, seed: int, step: int, first: int = 0
) -> Tensor:
    """`count` random crops, N,3,size,size in [0, 1].

    Each is a function of the seed, the step and its place in the batch alone, counted from `first`,
    so that several processes can share one batch.
    """

    def crop(place: int) -> Tensor:
        rng = np.random.default_rng((seed, step, place))
        return random_crop(photos[rng.integers(len(photos))], (size, size), rng)

    return torch.cat([crop(first + i) for i in range(count)])
