"""Shapes that the network could have had, for `network_study`: what runs is `stylevid.network`."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """A network to be tried.

    Attributes:
        width, half: channels at a quarter and at half of the picture's resolution.
        dilations: of the residual blocks, one each.
        enlarge: how a quarter becomes a half: bilinear or nearest x2 and a convolution, or a
            convolution to four times the channels and a pixel-shuffle ("sub-pixel").
        norm: "instance", or "batch", which is folded into the convolution before it.
        padding: of every convolution; "zeros" costs nothing at run time.
        eighth: channels of an added 1/8 level where the residual blocks then are; 0 for none.
        unshuffle: 4 goes to a quarter at once, without a convolution at half resolution.
        depthwise: residual blocks of a 3x3 per channel and two 1x1 (MobileNet, Howard et al. 2017).
        branches: residual convolutions trained as 3x3 + 1x1 + identity, to be one 3x3 at run time
            (RepVGG, Ding et al. 2021).
        blur: a binomial filter before each stride (blur-pooling, Zhang 2019).
    """

    width: int = 64
    half: int = 32
    dilations: tuple[int, ...] = (1, 1, 1, 1, 1)
    enlarge: Literal["bilinear", "nearest", "sub-pixel"] = "bilinear"
    norm: Literal["instance", "batch"] = "instance"
    padding: Literal["reflect", "replicate", "zeros"] = "reflect"
    eighth: int = 0
    unshuffle: int = 2
    depthwise: bool = False
    branches: bool = False
    blur: bool = False


class Conv(nn.Module):
    """Padding, a square convolution, and the shape's norm unless `bare`."""

    def __init__(
        self, shape: Shape, inputs: int, outputs: int, size: int = 3, stride: int = 1,
        dilation: int = 1, groups: int = 1, bare: bool = False, branches: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, dilation * (size // 2), dilation,
                              groups, padding_mode=shape.padding)  # fmt: skip
        self.beside = nn.Conv2d(inputs, outputs, 1, bias=False) if branches else None
        kinds = {"instance": lambda: nn.InstanceNorm2d(outputs, affine=True),
                 "batch": lambda: nn.BatchNorm2d(outputs)}  # fmt: skip
        self.norm = nn.Identity() if bare else kinds[shape.norm]()
        self.blur = Blur(inputs) if shape.blur and stride > 1 else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        if self.beside is None:
            return self.norm(self.conv(self.blur(features)))
        return self.norm(self.conv(features) + self.beside(features) + features)

    def fold(self) -> None:
        """Make one 3x3 of the branches; the outputs stay the same to rounding."""
        if self.beside is None:
            return
        with torch.no_grad():
            center = self.conv.weight[:, :, 1, 1]
            center += self.beside.weight[:, :, 0, 0] + torch.eye(len(center))
        self.beside = None


class Blur(nn.Module):
    """[1, 2, 1] / 4 in both directions, per channel."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", torch.outer(line, line).expand(channels, 1, 3, 3).clone())

    def forward(self, features: Tensor) -> Tensor:
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.kernel.to(padded.dtype), groups=len(self.kernel))


class Residual(nn.Module):
    """x + F(x), as in `stylevid.network`."""

    def __init__(self, shape: Shape, channels: int, dilation: int) -> None:
        super().__init__()
        if shape.depthwise:
            self.first = nn.Sequential(
                Conv(shape, channels, channels, dilation=dilation, groups=channels, bare=True),
                Conv(shape, channels, 2 * channels, size=1),
            )
            self.second = Conv(shape, 2 * channels, channels, size=1)
        else:
            self.first, self.second = (
                Conv(shape, channels, channels, dilation=dilation, branches=shape.branches)
                for _ in range(2)
            )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


class VariantNet(nn.Module):
    """A network of the given shape, with `StyleNet`'s interface; sizes are multiples of 8."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, half, inner = shape.width, shape.half, shape.eighth or shape.width
        entered = width if shape.unshuffle == 4 else half
        self.enter = Conv(shape, 3 * shape.unshuffle**2, entered)
        self.down = None if shape.unshuffle == 4 else Conv(shape, half, width, stride=2)
        self.deeper = Conv(shape, width, inner, stride=2) if shape.eighth else None
        self.blocks = nn.Sequential(*(Residual(shape, inner, d) for d in shape.dilations))
        self.back = Conv(shape, inner, width) if shape.eighth else None
        many = 4 if shape.enlarge == "sub-pixel" else 1
        self.up = Conv(shape, width, many * half)
        self.leave = Conv(shape, half, 12, bare=True)
        _start_sub_pixels_equal(self.leave.conv)
        if many == 4:
            _start_sub_pixels_equal(self.up.conv)

    def encode(self, image: Tensor) -> Tensor:
        """The encoder's last map, N,width,H/4,W/4, of an image N,3,H,W in [0, 1]."""
        features = F.relu(self.enter(F.pixel_unshuffle(image - 0.5, self.shape.unshuffle)))
        return F.relu(self.down(features)) if self.down else features

    def decode(self, features: Tensor) -> Tensor:
        """The stylized image N,3,H,W in [0, 1]."""
        if self.deeper and self.back:
            coarse = self.back(self.blocks(F.relu(self.deeper(features))))
            features = features + _twice(coarse, "bilinear")
        else:
            features = self.blocks(features)
        if self.shape.enlarge == "sub-pixel":
            features = F.pixel_shuffle(self.up(features), 2)
        else:
            features = self.up(_twice(features, self.shape.enlarge))
        return torch.sigmoid(F.pixel_shuffle(self.leave(F.relu(features)), 2))

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image))

    def fold(self) -> None:
        """Make the network what it is at run time: one convolution where several were trained."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()


def _twice(features: Tensor, mode: str) -> Tensor:
    corners = False if mode == "bilinear" else None
    return F.interpolate(features, scale_factor=2, mode=mode, align_corners=corners)


def _start_sub_pixels_equal(conv: nn.Conv2d) -> None:
    """Aitken et al. 2017 (ICNR)."""
    with torch.no_grad():
        for parameter in (conv.weight, conv.bias):
            assert parameter is not None
            parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))
