"""The classic style transfer network, to compare with: Johnson, Alahi, Fei-Fei 2016 with the
instance norm of Ulyanov et al. 2017, as in PyTorch's own example `fast_neural_style`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..frames import Frame


class ClassicConv(nn.Sequential):
    """Reflection pad, convolution, affine instance norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReflectionPad2d(kernel // 2),
            nn.Conv2d(inputs, outputs, kernel, stride),
            nn.InstanceNorm2d(outputs, affine=True),
        )


class ClassicBlock(nn.Module):
    """x + F(x), two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ClassicConv(channels, channels, 3)
        self.second = ClassicConv(channels, channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


class ClassicNet(nn.Sequential):
    """N,3,H,W in, N,3,H,W out, H and W in fours; 1.68 million parameters, and 40 GMAC at 512x512,
    over a third of them at full and half size."""

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__(
            ClassicConv(3, width, 9),
            nn.ReLU(),
            ClassicConv(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            ClassicConv(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
            *(ClassicBlock(4 * width) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ClassicConv(4 * width, 2 * width, 3),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ClassicConv(2 * width, width, 3),
            nn.ReLU(),
            nn.ReflectionPad2d(4),
            nn.Conv2d(width, 3, 9),
        )


class TorchClassic:
    """The classic network in eager torch, from and to uint8 frames."""

    def __init__(
        self, network: ClassicNet, device: torch.device, dtype: torch.dtype, channels_last: bool
    ) -> None:
        """
        Args:
            network: taken over, not copied.
        """
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        network = network.eval().requires_grad_(False).to(device, dtype)
        self._network = network.to(memory_format=self._layout)  # pyright: ignore
        self._device, self._dtype = device, dtype

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> Frame:
        """The painting of a frame, uint8 H,W,3."""
        pixels = torch.from_numpy(frame).to(self._device)[None].permute(0, 3, 1, 2)
        image = pixels.to(self._dtype, memory_format=self._layout).div(255)
        painted: Tensor = self._network(image).clamp(0, 1).mul(255).round().to(torch.uint8)
        return painted[0].permute(1, 2, 0).contiguous().cpu().numpy()
