"""StyleNet, the feed-forward network that paints one picture, and its frozen configuration.

Perceptual-loss transformer network after Johnson et al. 2016, reshaped so that every convolution
runs at half or quarter resolution: pixel-unshuffle by 2, a stride-2 convolution, residual blocks
at a quarter, bilinear x2, pixel-shuffle by 2. Reading weights from files is
`weights.py`'s work.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frames import pad, unpad

# Reflection padding at a quarter of the size needs two pixels there.
MULTIPLE, MINIMUM = 4, 8


@dataclass(frozen=True)
class StyleNetConfig:
    """The network's shape.

    Attributes:
        width: channels of the residual blocks, even; the half-resolution layers have half of it.
        blocks: number of residual blocks.
    """

    width: int = 48  # as good as 64 at equal training, and 1.4 times as fast: docs/network.md
    blocks: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 512 or self.width % 2:
            raise ValueError(f"width is an even number from 2 to 512; got {self.width}")
        if not 1 <= self.blocks <= 32:
            raise ValueError(f"blocks is a number from 1 to 32; got {self.blocks}")

    @property
    def reach(self) -> int:
        """Pixels of the picture around a pixel that its painting depends on, at most, apart from
        the statistics of the norms."""
        # 3x3 convolutions: enter and leave at a half; down, blocks, up and its bilinear samples.
        return 2 * (1 + 1 + 1 + 1) + 4 * (2 * self.blocks + 2)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StyleNetConfig":
        """The configuration from a record or a file's metadata.

        Raises:
            ValueError: a key is unknown, or a value is not a whole number within its limits.
        """
        unknown = sorted(set(values) - {"width", "blocks"})
        if unknown:
            raise ValueError(f"unknown network setting {unknown[0]!r}")
        for key, value in values.items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"network setting {key} is a whole number; got {value!r}")
        return cls(**values)


class ConvNorm(nn.Sequential):
    """Reflection pad, 3x3 convolution, affine instance norm (Ulyanov et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReflectionPad2d(1),
            nn.Conv2d(inputs, outputs, 3, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        )


class ResidualBlock(nn.Module):
    """x + F(x), no activation after the sum (Johnson et al. 2016, supplement; He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


class StyleNet(nn.Module):
    """An image in, the same image as a painting out."""

    def __init__(self, config: StyleNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or StyleNetConfig()
        width, half = self.config.width, self.config.width // 2
        self.enter = ConvNorm(12, half)
        self.down = ConvNorm(half, width, stride=2)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(self.config.blocks)))
        self.up = ConvNorm(width, half)
        self.leave = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(half, 12, 3))
        _start_sub_pixels_equal(self.leave[1])

    @torch.no_grad()
    def level_sub_pixels(self) -> None:
        """Let the four sub-pixels of each color answer alike to features that do not vary: flat
        areas show no grid of 2 x 2 pixels (the checkerboard of Odena et al. 2016). Edges they may
        still answer as each of them has learned to.
        """
        conv = self.leave[1]
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        taps = conv.weight.unflatten(0, (3, 4))  # color, sub-pixel, in, 3, 3; a view
        answer = taps.sum((3, 4), keepdim=True)
        taps += (answer.mean(1, keepdim=True) - answer) / taps[0, 0, 0].numel()
        bias = conv.bias.unflatten(0, (3, 4))
        bias.copy_(bias.mean(1, keepdim=True).expand_as(bias))

    def encode(self, image: Tensor) -> Tensor:
        """The encoder's last map, N,width,H/4,W/4, of an image N,3,H,W with H, W in fours."""
        features = F.pixel_unshuffle(image - 0.5, 2)  # N,12,H/2,W/2
        features = F.relu(self.enter(features))
        return F.relu(self.down(features))  # N,width,H/4,W/4

    def decode(self, features: Tensor) -> Tensor:
        """The stylized image N,3,H,W in [0, 1], of the encoder's map N,width,H/4,W/4."""
        features = self.blocks(features)
        features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        features = F.relu(self.up(features))  # N,width/2,H/2,W/2
        return torch.sigmoid(F.pixel_shuffle(self.leave(features), 2))  # N,3,H,W

    def forward(self, image: Tensor) -> Tensor:
        """The stylized image, N,3,H,W in [0, 1].

        Args:
            image: N,3,H,W, RGB, [0, 1]; any height and width from one pixel up, in the dtype of
                the network's weights.
        """
        height, width = image.shape[-2:]
        padded = pad(image, MULTIPLE, MINIMUM)
        return unpad(self.decode(self.encode(padded)), height, width)


def _start_sub_pixels_equal(conv: nn.Module) -> None:
    """Initialize the four sub-pixels of each color alike, so that training starts without the
    2x2 grid of a random pixel-shuffle (ICNR, Aitken et al. 2017)."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        for parameter in (conv.weight, conv.bias):
            assert parameter is not None
            parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))
