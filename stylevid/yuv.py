"""Pictures as H.264 stores them: YCbCr 4:2:0 in limited range, half the bytes of RGB.

The network reads and writes them by itself (a color matrix is linear, so it is part of the first
convolution), and light and color apart are what steadying and keeping colors need. So frames stay
in this form from the decoder to the encoder.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Bytes = npt.NDArray[np.uint8]

# The shares of red and blue in Y: ITU-R BT.601, BT.709, BT.2020; SMPTE 240M; FCC 73.682.
_RED_BLUE = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
MATRICES = tuple(_RED_BLUE)
ZERO = np.array([16, 128, 128], np.float32)  # black's Y; Cb and Cr of gray
RANGE = np.array([219, 224, 224], np.float32)  # levels from the least to the most


@dataclass(frozen=True, eq=False)
class Yuv:
    """One picture.

    Attributes:
        pixels: uint8 3*H/2,W: H rows of Y, then Cb and Cr, H/2,W/2 each (fourcc I420).
        matrix: one of MATRICES.
    """

    pixels: Bytes
    matrix: str = "bt601"

    def __post_init__(self) -> None:
        rows, width = self.pixels.shape if self.pixels.ndim == 2 else (0, 0)
        if self.pixels.dtype != np.uint8 or rows % 3 or width % 2 or rows == 0:
            raise ValueError(
                "a YUV picture is uint8 3*H/2,W with even H and W; got "
                f"{self.pixels.dtype} {self.pixels.shape}"
            )
        if self.matrix not in _RED_BLUE:
            raise ValueError(f"matrix is one of {', '.join(MATRICES)}; got {self.matrix!r}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        rows, width = self.pixels.shape
        return rows * 2 // 3, width

    @property
    def luma(self) -> Bytes:
        """Y, H,W; not a copy."""
        return self.pixels[: self.size[0]]

    @property
    def chroma(self) -> Bytes:
        """Cb and Cr, 2,H/2,W/2; not a copy."""
        height, width = self.size
        return self.pixels[height:].reshape(2, height // 2, width // 2)


def to_rgb_matrix(matrix: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(A, b), 3,3 and 3: A (Y, Cb, Cr) + b is (R, G, B) in [0, 1], of levels 0 to 255.

    Source: ITU-R BT.709, sections 3 and 4, for any shares of red and blue.
    """
    red, blue = _RED_BLUE[matrix]
    green = 1 - red - blue
    rows = [
        [1, 0, 2 * (1 - red)],
        [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
        [1, 2 * (1 - blue), 0],
    ]
    scaled = np.array(rows) / RANGE
    return scaled.astype(np.float32), (-scaled @ ZERO).astype(np.float32)


def from_rgb_matrix(matrix: str) -> npt.NDArray[np.float32]:
    """A, 3,3: A (R, G, B) + ZERO is (Y, Cb, Cr) in levels, of [0, 1]."""
    return np.linalg.inv(to_rgb_matrix(matrix)[0].astype(np.float64)).astype(np.float32)


def planes_to_image(pixels: Tensor, matrix: str) -> Tensor:
    """An image N,3,H,W float32, of pictures N,3*H/2,W: color is repeated 2 x 2.

    In [0, 1] but for levels that no RGB picture has.
    """
    count, rows, width = pixels.shape
    height = rows * 2 // 3
    luma = pixels[:, None, :height].float()
    chroma = pixels[:, height:].reshape(count, 2, height // 2, width // 2).float()
    levels = torch.cat([luma, F.interpolate(chroma, scale_factor=2, mode="nearest")], dim=1)
    factors, offset = (torch.from_numpy(part).to(pixels.device) for part in to_rgb_matrix(matrix))
    return torch.einsum("ck,nkhw->nchw", factors, levels) + offset.view(1, 3, 1, 1)


def image_to_planes(image: Tensor, matrix: str) -> Tensor:
    """Pictures N,3*H/2,W uint8, of an image N,3,H,W with even sides, clamped to [0, 1]; a color is
    the mean of 2 x 2 pixels'."""
    count, _, height, width = image.shape
    factors = torch.from_numpy(from_rgb_matrix(matrix)).to(image.device)
    levels = torch.einsum("ck,nkhw->nchw", factors, image.float().clamp(0, 1))
    levels = levels + torch.from_numpy(ZERO).to(image.device).view(1, 3, 1, 1)
    luma, chroma = levels[:, :1], F.avg_pool2d(levels[:, 1:], 2)
    rows = [luma.reshape(count, height, width), chroma.reshape(count, height // 2, width)]
    return torch.cat(rows, dim=1).round().to(torch.uint8)


def yuv_to_image(picture: Yuv, device: torch.device | str = "cpu") -> Tensor:
    """A float32 image, 1,3,H,W in [0, 1] on `device`."""
    pixels = torch.tensor(picture.pixels, device=device)
    return planes_to_image(pixels.unsqueeze(0), picture.matrix).clamp(0, 1)


def image_to_yuv(image: Tensor, matrix: str = "bt601") -> Yuv:
    """A picture, of an image 1,3,H,W in [0, 1]; the last pixels of an odd side are repeated."""
    height, width = image.shape[-2:]
    whole = F.pad(image.detach(), (0, width % 2, 0, height % 2), mode="replicate")
    return Yuv(image_to_planes(whole, matrix)[0].cpu().numpy(), matrix)
