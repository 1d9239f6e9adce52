"""A narrower network from a wider one: the channels that matter most are kept, so that training
starts from a picture and not from noise.

Filter pruning after Li et al. 2017 (Pruning Filters for Efficient ConvNets), with a channel's
weight in its norm and in the convolutions that read it as its importance.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from stylevid.errors import StyleError
from stylevid.network import ConvNorm, ResidualBlock, StyleNet, StyleNetConfig


@torch.no_grad()
def shrink(network: StyleNet, config: StyleNetConfig) -> StyleNet:
    """A copy of the network with fewer channels and as many blocks.

    Raises:
        StyleError: the configuration is not a narrower one with as many blocks.
    """
    if config.width > network.config.width or config.blocks != network.config.blocks:
        raise StyleError(f"{network.config} cannot be made {config}: only narrower, with as many "
                         "blocks.")  # fmt: skip
    small = StyleNet(config)
    width, half = config.width, config.width // 2
    blocks = [cast(ResidualBlock, block) for block in network.blocks]
    last = cast(nn.Conv2d, network.leave[1])
    entered = _most_important(half, [network.enter], [_conv(network.down)])
    stream = _most_important(
        width,
        [network.down, *(block.second for block in blocks)],
        [*(_conv(block.first) for block in blocks), _conv(network.up)],
    )
    raised = _most_important(half, [network.up], [last])
    image = torch.arange(_conv(network.enter).in_channels)
    _copy(network.enter, small.enter, entered, image)
    _copy(network.down, small.down, stream, entered)
    for block, smaller in zip(blocks, small.blocks, strict=True):
        assert isinstance(smaller, ResidualBlock)
        inner = _most_important(width, [block.first], [_conv(block.second)])
        _copy(block.first, smaller.first, inner, stream)
        _copy(block.second, smaller.second, stream, inner)
    _copy(network.up, small.up, raised, stream)
    _copy_conv(last, cast(nn.Conv2d, small.leave[1]), torch.arange(last.out_channels), raised)
    return small


def _most_important(
    count: int, writers: Sequence[ConvNorm], readers: Sequence[nn.Conv2d]
) -> Tensor:
    """The `count` channels with the largest scale in their norms times the size of the weights
    that read them, in order."""
    scale = sum((_norm(layer).weight.square() for layer in writers), start=torch.zeros(())).sqrt()
    read = sum((conv.weight.square().sum((0, 2, 3)) for conv in readers), start=torch.zeros(()))
    return (scale * read.sqrt()).topk(count).indices.sort().values


def _copy(layer: ConvNorm, small: ConvNorm, outputs: Tensor, inputs: Tensor) -> None:
    _copy_conv(_conv(layer), _conv(small), outputs, inputs)
    _norm(small).weight.copy_(_norm(layer).weight[outputs])
    _norm(small).bias.copy_(_norm(layer).bias[outputs])


def _copy_conv(conv: nn.Conv2d, small: nn.Conv2d, outputs: Tensor, inputs: Tensor) -> None:
    assert conv.bias is not None and small.bias is not None
    small.weight.copy_(conv.weight[outputs][:, inputs])
    small.bias.copy_(conv.bias[outputs])


def _conv(layer: ConvNorm) -> nn.Conv2d:
    return cast(nn.Conv2d, layer[1])


def _norm(layer: ConvNorm) -> nn.InstanceNorm2d:
    return cast(nn.InstanceNorm2d, layer[2])
