"""A narrower network from a wider one: the channels that do something are the ones that stay."""

import pytest
import torch

from stylevid.errors import StyleError
from stylevid.network import StyleNet, StyleNetConfig
from train.learning.shrink import shrink

CONFIG = StyleNetConfig(width=8, blocks=2)


def make_network(width: int = 8) -> StyleNet:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=width, blocks=2)).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("2.weight", "2.bias")):  # norms that differ from channel to channel
            parameter.copy_(torch.rand_like(parameter) + 0.5)
    return network


def widen(network: StyleNet, wide: int) -> StyleNet:
    """The same painting from a wider network: its other channels have no scale, and lie between
    those that have."""
    torch.manual_seed(1)
    large = StyleNet(StyleNetConfig(width=wide, blocks=2)).eval().requires_grad_(False)
    for name, parameter in large.named_parameters():
        small = network.get_parameter(name)
        if name.endswith(("2.weight", "2.bias")):
            parameter.zero_()
        places = [
            slice(None) if there == here else slice(1, 2 * here, 2) if there >= 2 * here else None
            for there, here in zip(parameter.shape, small.shape, strict=True)
        ]
        assert None not in places
        parameter[tuple(places)] = small
    return large


def image() -> torch.Tensor:
    return torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_channels_that_do_nothing_go_and_the_painting_stays() -> None:
    network = make_network()
    wide = widen(network, 16)
    assert torch.allclose(wide(image()), network(image()), atol=1e-5)
    small = shrink(wide, CONFIG)
    assert small.config == CONFIG
    assert torch.allclose(small(image()), network(image()), atol=1e-5)


def test_the_same_width_is_a_copy() -> None:
    network = make_network()
    copy = shrink(network, CONFIG)
    assert torch.equal(copy(image()), network(image()))
    copy.get_parameter("enter.1.weight").data.zero_()
    assert network.get_parameter("enter.1.weight").abs().sum() > 0


@pytest.mark.parametrize("config", [StyleNetConfig(10, 2), StyleNetConfig(8, 3)])
def test_wider_or_deeper_is_refused(config: StyleNetConfig) -> None:
    with pytest.raises(StyleError, match="only narrower"):
        shrink(make_network(), config)
