"""Any picture as the painting: read, and the style found that comes nearest to it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import StyleError
from ..frames import Frame, fit, resize, size_of, to_image
from ..styles import Style, slug_of
from ..weights import load_painting
from .losses import PaintingTargets
from .vgg import load_vgg

LONGEST = 640  # pixels, to which a painting is scaled: strokes that read at that size
SMALLEST = 64  # pixels of its shorter side then
_BLANK = 0.01  # deviation of the values in [0, 1] under which there is nothing to learn


def read_picture(path: Path, most: int | None = None) -> Frame:
    """The picture as uint8 H,W,3 RGB, turned upright as its EXIF says; white shows through where it
    is transparent; the first one of an animation.

    Args:
        most: pixels of its longest side, where it has more.

    Raises:
        StyleError: the file is missing or is no picture.
    """
    try:
        with Image.open(path) as picture:
            if most is not None:
                picture.draft("RGB", (most, most))  # a JPEG is decoded smaller
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I;16"):  # which Pillow would cut off, not scale
                upright = Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
            elif upright.mode in ("I", "F"):
                raise StyleError(f"{path.name} has numbers without a known range for colors. Save "
                                 "it as a PNG of 8 or 16 bits.")  # fmt: skip
            seen = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            if most is not None:
                seen.thumbnail((most, most))
            if seen.mode == "RGBA":
                seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
            return np.asarray(seen.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as cause:
        # Pillow says "broken PNG" with a SyntaxError.
        raise StyleError(f"{path} cannot be read as a picture: {cause}.") from cause


def read_painting(path: Path, longest: int = LONGEST) -> Tensor:
    """The painting, 1,3,H,W in [0, 1], its longest side scaled to `longest` pixels: the smaller,
    the finer the brush strokes that a style learned from it has.

    Raises:
        StyleError: the file is no picture.
    """
    image = to_image(read_picture(path, 4 * longest))  # as tensors large ones take much memory
    return resize(image, fit(*size_of(image), longest))


@torch.no_grad()
def study(path: Path) -> PaintingTargets:
    """What is to be learned of a painting.

    Raises:
        StyleError: the file is no picture, or too small, too narrow or too blank to be painted
            like.
    """
    painting = read_painting(path)
    height, width = size_of(painting)
    if min(height, width) < SMALLEST:
        raise StyleError(f"{path.name} is {width}x{height} pixels when it is scaled to {LONGEST}; "
                         f"its shorter side needs {SMALLEST}. Cut it to a part.")  # fmt: skip
    if painting.std() < _BLANK:
        raise StyleError(f"{path.name} is blank: there is nothing in it to paint like.")
    return PaintingTargets.of(painting, load_vgg())


def targets_of(style: Style | Path) -> PaintingTargets:
    """What a style's file holds of its painting, to go on learning.

    Raises:
        StyleError: it holds nothing.
    """
    if packed := load_painting(style):
        return PaintingTargets.unpack(packed)
    raise StyleError(f"{slug_of(style)} does not hold what is to be learned of its painting. Bring "
                     "the painting itself, or paint without learning.")  # fmt: skip


def nearest(painting: PaintingTargets, styles: Iterable[Style]) -> Style:
    """The style whose painting's Gram matrices are nearest: the best to start from.

    Raises:
        StyleError: none of the styles holds its painting's.
    """
    found: list[tuple[float, Style]] = []
    for style in styles:
        if packed := load_painting(style):
            found.append((painting.distance(PaintingTargets.unpack(packed)), style))
    if not found:
        raise StyleError("No style here can go on learning. Install the bundled ones again.")
    return min(found, key=lambda pair: pair[0])[1]
