"""One frame's forms: uint8 H,W,3 for files and screens, float N,C,H,W for the network.

Nothing here opens files.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Frame = npt.NDArray[np.uint8]
"""One upright picture, H,W,3, RGB, 0 to 255."""

Size = tuple[int, int]
"""(height, width), in pixels."""

# ITU-R BT.709 luma, the weights ReCoNet (Gao et al. 2018, section 3.3) uses as well.
LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)


def to_image(frame: Frame) -> Tensor:
    """A float32 image, 1,3,H,W in [0, 1], from a uint8 frame H,W,3."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame is uint8 H,W,3; got {frame.dtype} {frame.shape}")
    pixels = torch.tensor(np.ascontiguousarray(frame))
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div_(255.0)  # 1,3,H,W


def to_frame(image: Tensor) -> Frame:
    """A uint8 frame H,W,3, from an image 1,3,H,W: clamped to [0, 1] and rounded, not truncated."""
    n, c, _, _ = image.shape
    if n != 1 or c != 3:
        raise ValueError(f"an image is 1,3,H,W; got {tuple(image.shape)}")
    pixels = image.detach()[0].float().clamp(0, 1).mul(255.0).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def size_of(image: Tensor) -> Size:
    """(height, width) of an image N,C,H,W."""
    return image.shape[-2], image.shape[-1]


def fit(height: int, width: int, longest: int | None, enlarge: bool = True) -> Size:
    """The (height, width) of the picture scaled so that its longest side is `longest` pixels.

    The aspect ratio is kept, no side falls under one pixel; None keeps the size, and so does
    `enlarge=False` that of a smaller picture.

    Raises:
        ValueError: `longest` is below 1.
    """
    if longest is None or (not enlarge and max(height, width) <= longest):
        return height, width
    if longest < 1:
        raise ValueError(f"the longest side is at least 1 pixel; got {longest}")
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Tensor, size: Size) -> Tensor:
    """The image N,C,H,W at `size` (height, width): bicubic, with antialiasing when it shrinks."""
    if tuple(image.shape[-2:]) == size:
        return image
    scaled = F.interpolate(image, size, mode="bicubic", align_corners=False, antialias=True)
    return scaled.clamp(0, 1)


def pad(image: Tensor, multiple: int, minimum: int) -> Tensor:
    """The image N,C,H,W with its right and bottom edge pixels repeated until each side is a
    multiple of `multiple` and at least `minimum` pixels; `unpad` takes it off again."""
    _, _, height, width = image.shape
    down = max(-(-height // multiple) * multiple, minimum) - height
    right = max(-(-width // multiple) * multiple, minimum) - width
    if down == 0 and right == 0:
        return image
    return F.pad(image, (0, right, 0, down), mode="replicate")


def unpad(image: Tensor, height: int, width: int) -> Tensor:
    """The top-left `height` x `width` pixels of the image N,C,H,W: what `pad` was given."""
    return image[..., :height, :width]


def luma(image: Tensor) -> Tensor:
    """Relative luminance Y = 0.2126 R + 0.7152 G + 0.0722 B, N,1,H,W, of an image N,3,H,W."""
    red, green, blue = image.split(1, dim=1)
    return LUMA_WEIGHTS[0] * red + LUMA_WEIGHTS[1] * green + LUMA_WEIGHTS[2] * blue
