"""StyleNet, the feed-forward network that paints one picture, and its frozen configuration.

Perceptual-loss transformer network after Johnson et al. 2016, reshaped so that every convolution
runs at half or quarter resolution: pixel-unshuffle by 2, a stride-2 convolution, residual blocks
at a quarter, bilinear x2, pixel-shuffle by 2. It paints a frame of a video knowing its last
painting (as Ruder et al. 2018 and Gupta et al. 2017 do), and a picture without one. Reading weights
from files is `weights.py`'s work.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frames import pad, unpad

# Reflection padding at a quarter of the size needs a pixel more there than the widest dilation.
MULTIPLE, MINIMUM = 4, 36
PAST_CHANNELS = 13  # of the last painting at half the size: 2 x 2 pixels of three colors, and trust
RELATED = 0.3  # likeness of networks from one start: in the catalog 0.56 and more, else about 0
BLEND = 0.7  # of the past, before anything about it is learned


@dataclass(frozen=True)
class StyleNetConfig:
    """The network's shape.

    Attributes:
        width: channels of the residual blocks, even; the half-resolution layers have half of it.
        dilation: of the first convolution of the middle blocks, which it doubles up to from either
            end, at most: 1, 2, 4, 2, 1 of five blocks.
    """

    width: int = 48  # as good as 64 at equal training, and 1.4 times as fast: docs/network.md
    blocks: int = 5
    dilation: int = 4

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 512 or self.width % 2:
            raise ValueError(f"width is an even number from 2 to 512; got {self.width}")
        if not 1 <= self.blocks <= 32:
            raise ValueError(f"blocks is a number from 1 to 32; got {self.blocks}")
        if not 1 <= self.dilation <= 8:
            raise ValueError(f"dilation is a number from 1 to 8; got {self.dilation}")

    @property
    def dilations(self) -> list[int]:
        """Of each block."""
        last = self.blocks - 1
        return [min(2 ** min(i, last - i), self.dilation) for i in range(self.blocks)]

    @property
    def reach(self) -> int:
        """Pixels of the picture around a pixel that its painting depends on, at most, apart from
        the statistics of the norms."""
        # 3x3 convolutions: enter and leave at a half; down, blocks, up and its bilinear samples.
        return 2 * (1 + 1 + 1 + 1) + 4 * (sum(self.dilations) + self.blocks + 2)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StyleNetConfig":
        """The configuration from a record or a file's metadata.

        Raises:
            ValueError: a key is unknown, or a value is not a whole number within its limits.
        """
        unknown = sorted(set(values) - {"width", "blocks", "dilation"})
        if unknown:
            raise ValueError(f"unknown network setting {unknown[0]!r}")
        for key, value in values.items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"network setting {key} is a whole number; got {value!r}")
        return cls(**values)


class InstanceNorm(nn.InstanceNorm2d):
    """Affine instance norm (Ulyanov et al. 2016). One picture is a batch of its own, and torch's
    batch norm, unlike its instance norm, leaves channels last as they are."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, input: Tensor) -> Tensor:
        if len(input) > 1:
            return super().forward(input)
        mean, variance = self.running_mean, self.running_var  # None, unless they were fixed
        return F.batch_norm(
            input, mean, variance, self.weight, self.bias, training=mean is None, eps=self.eps
        )


class ConvNorm(nn.Sequential):
    """Reflection pad, 3x3 convolution, instance norm."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.ReflectionPad2d(dilation),
            nn.Conv2d(inputs, outputs, 3, stride, dilation=dilation),
            InstanceNorm(outputs),
        )


class ResidualBlock(nn.Module):
    """x + F(x), no activation after the sum (Johnson et al. 2016, supplement; He et al. 2016)."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, dilation=dilation)
        self.second = ConvNorm(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


class Past(NamedTuple):
    """The last painting, as the network is given it.

    Attributes:
        painting: N,3,H,W in [0, 1], drawn on the grid of the image that is to be painted.
        trust: N,1,ceil(H/2),ceil(W/2) in [0, 1], 1 where it shows the same thing as the image.
    """

    painting: Tensor
    trust: Tensor


class StyleNet(nn.Module):
    """An image and its past in, the same image as a painting out."""

    def __init__(self, config: StyleNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or StyleNetConfig()
        width, half = self.config.width, self.config.width // 2
        self.enter = ConvNorm(12, half)
        self.down = ConvNorm(half, width, stride=2)
        self.blocks = nn.Sequential(*(ResidualBlock(width, d) for d in self.config.dilations))
        self.up = ConvNorm(width, half)
        self.leave = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(half, 12, 3))
        _start_sub_pixels_equal(self.leave[1])
        # The past is seen before the first norm; without bias, one that is not trusted is nothing.
        self.recall = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(PAST_CHANNELS, half, 3, bias=False)
        )
        # And where it is trusted, this share of it is kept.
        self.keep = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(half, 1, 3))
        _start_as_a_blend(self.recall[1], self.keep[1])

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

    def forward(self, image: Tensor, past: Past | None = None) -> Tensor:
        """The stylized image, N,3,H,W in [0, 1].

        Args:
            image: N,3,H,W, RGB, [0, 1]; any height and width from one pixel up, in the dtype of
                the network's weights.
            past: of the same size and dtype; None for a picture, or the first frame of a scene.
        """
        height, width = image.shape[-2:]
        padded = pad(image, MULTIPLE, MINIMUM)
        if past is not None:
            past = Past(pad(past.painting, MULTIPLE, MINIMUM),
                        pad(past.trust, MULTIPLE // 2, MINIMUM // 2))  # fmt: skip
        pad_1, conv, norm = self.enter
        entered = conv(pad_1(F.pixel_unshuffle(padded - 0.5, 2)))  # N,width/2,H/2,W/2
        if past is not None:
            colors = F.pixel_unshuffle(past.painting - 0.5, 2) * past.trust
            entered = entered + self.recall(torch.cat((colors, past.trust), dim=1))
        features = F.relu(norm(entered))
        features = self.blocks(F.relu(self.down(features)))  # N,width,H/4,W/4
        features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        features = F.relu(self.up(features))  # N,width/2,H/2,W/2
        painted = torch.sigmoid(F.pixel_shuffle(self.leave(features), 2))
        if past is not None:
            share = torch.sigmoid(self.keep(features)) * past.trust
            share = F.interpolate(share, scale_factor=2, mode="nearest")
            painted = painted + share * (past.painting - painted)
        return unpad(painted, height, width)


@torch.no_grad()
def mix_networks(one: StyleNet, other: StyleNet, share: float) -> StyleNet:
    """A network that paints between two: the mean of their weights, `share` of it the other's.

    Source: Deep Network Interpolation, Wang et al. 2019. Two paintings laid over one another are
    pale, and cost twice as much (docs/mix.jpg).

    Raises:
        ValueError: the networks did not start from the same one, so that means mean nothing.
    """
    weights, others = one.state_dict(), other.state_dict()
    if one.config != other.config or _likeness(one, other) < RELATED:
        raise ValueError("they were not learned from one start")
    mixed = StyleNet(one.config)
    mixed.load_state_dict({key: weights[key].lerp(others[key], share) for key in weights})
    return mixed.eval().requires_grad_(False)


def _likeness(one: StyleNet, other: StyleNet) -> float:
    """The cosine of the angle between the convolutions of two networks' blocks."""
    flat = (
        torch.cat([p.flatten() for p in net.blocks.parameters() if p.dim() == 4])
        for net in (one, other)
    )
    return float(F.cosine_similarity(*flat, dim=0))


def _start_as_a_blend(recall: nn.Module, keep: nn.Module) -> None:
    """Start as the blending of Ruder et al. 2016 and Lai et al. 2018: the past is not seen, and the
    same share of it kept everywhere. Learning goes on from there."""
    assert isinstance(recall, nn.Conv2d) and isinstance(keep, nn.Conv2d) and keep.bias is not None
    for parameter in (recall.weight, keep.weight):
        nn.init.zeros_(parameter)
    nn.init.constant_(keep.bias, math.log(BLEND / (1 - BLEND)))


def _start_sub_pixels_equal(conv: nn.Module) -> None:
    """Initialize the four sub-pixels of each color alike, so that training starts without the
    2x2 grid of a random pixel-shuffle (ICNR, Aitken et al. 2017)."""
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        for parameter in (conv.weight, conv.bias):
            assert parameter is not None
            parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))
