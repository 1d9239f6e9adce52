"""A network's convolutions and their multiply-adds, whatever its shape."""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

_CHAIN = 32  # convolutions in a row: what comes before and after them then hardly counts


@dataclass(frozen=True)
class ConvShape:
    """A convolution.

    Attributes:
        inputs, outputs: channels.
        kernel: (height, width).
        groups: as in torch.
        height, width: of its output, in pixels.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    groups: int
    height: int
    width: int

    @property
    def macs(self) -> int:
        """Multiply-adds for one frame."""
        taps = self.kernel[0] * self.kernel[1] * self.inputs // self.groups
        return taps * self.outputs * self.height * self.width

    def __str__(self) -> str:
        grouped = f", {self.groups} groups" if self.groups > 1 else ""
        channels = f"{self.inputs} to {self.outputs}"
        size = f"{self.kernel[0]}x{self.kernel[1]}"
        return f"{channels}, {size}{grouped}, at {self.width}x{self.height}"


def conv_shapes(network: nn.Module, height: int, width: int) -> list[ConvShape]:
    """Every convolution that painting a frame of height x width runs, in order; nothing is
    computed for it."""
    shapes: list[ConvShape] = []

    def note(conv: nn.Module, _: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        kernel = (conv.kernel_size[0], conv.kernel_size[1])
        channels = (conv.in_channels, conv.out_channels)
        shapes.append(ConvShape(*channels, kernel, conv.groups, *output.shape[-2:]))

    ghost = deepcopy(network).to("meta")
    for module in ghost.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        ghost(torch.empty(1, 3, height, width, device="meta", dtype=next(ghost.parameters()).dtype))
    return shapes


def count_macs(network: nn.Module, height: int, width: int) -> int:
    """Multiply-adds of the network's convolutions for one frame."""
    return sum(shape.macs for shape in conv_shapes(network, height, width))


def main_shape(shapes: Sequence[ConvShape]) -> ConvShape:
    """The convolution on which most of the multiply-adds are spent, all its uses together."""
    spent: Counter[ConvShape] = Counter()
    for shape in shapes:
        spent[shape] += shape.macs
    return spent.most_common(1)[0][0]


def chain(shape: ConvShape) -> list[ConvShape]:
    """A row of such convolutions, back and forth where outputs are not as many as inputs."""
    back = replace(shape, inputs=shape.outputs, outputs=shape.inputs)
    return [shape, back] * (_CHAIN // 2)
