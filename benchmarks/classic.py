"""The classic style transfer network, to compare with: Johnson, Alahi, Fei-Fei 2016 with the
instance norm of Ulyanov et al. 2017, as in PyTorch's own example `fast_neural_style`."""

from collections.abc import Callable

import torch
from torch import nn

from stylevid.frames import Frame
from stylevid.network import ConvNorm, ResidualBlock


class ClassicNet(nn.Sequential):
    """N,3,H,W in, N,3,H,W out, H and W in fours; 1.68 million parameters, and 40 GMAC at 512x512,
    over a third of them at full and half size."""

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__(
            nn.ReflectionPad2d(4),
            nn.Conv2d(3, width, 9),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
            ConvNorm(width, 2 * width, stride=2),
            nn.ReLU(),
            ConvNorm(2 * width, 4 * width, stride=2),
            nn.ReLU(),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ConvNorm(4 * width, 2 * width),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ConvNorm(2 * width, width),
            nn.ReLU(),
            nn.ReflectionPad2d(4),
            nn.Conv2d(width, 3, 9),
        )


def in_torch(
    network: ClassicNet, device: torch.device, dtype: torch.dtype
) -> Callable[[Frame], Frame]:
    """The network, which is taken over, in eager torch, as people run it."""
    network = network.eval().requires_grad_(False).to(device, dtype)

    @torch.inference_mode()
    def run(frame: Frame) -> Frame:
        pixels = torch.from_numpy(frame).to(device)[None].permute(0, 3, 1, 2)
        painted = network(pixels.to(dtype).div(255)).clamp(0, 1).mul(255).round()
        return painted.to(torch.uint8)[0].permute(1, 2, 0).contiguous().cpu().numpy()

    return run
