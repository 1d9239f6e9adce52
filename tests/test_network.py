"""Known answers for StyleNet and its configuration."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from stylevid.network import BLEND, InstanceNorm, Past, StyleNet, StyleNetConfig, mix_networks
from tests.material import random_image


@pytest.fixture
def network() -> StyleNet:
    """Tiny and random, with the last layer's sub-pixels apart as after training."""
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=4, blocks=1)).requires_grad_(False)
    last = network.get_parameter("leave.1.weight")
    last.add_(torch.randn(last.shape) * 0.3)
    return network


def past_of(image: Tensor, trust: float = 1.0) -> Past:
    known = torch.full_like(image[:, :1, ::2, ::2], trust)
    return Past(image.flip(-1), known)


@pytest.mark.parametrize("count", [1, 3])
def test_each_picture_has_its_own_statistics(count: int) -> None:
    norm = InstanceNorm(5)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    features = (torch.randn(count, 5, 8, 9) * 3 + 1).to(memory_format=torch.channels_last)
    variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
    weight, bias = norm.weight.view(5, 1, 1), norm.bias.view(5, 1, 1)
    expected = (features - mean) / (variance + norm.eps).sqrt() * weight + bias
    assert torch.allclose(norm(features), expected, atol=1e-5)
    if count == 1:
        assert norm(features).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 24), (40, 38)])
def test_a_new_network_blends_its_past_in(network: StyleNet, size) -> None:
    image = random_image(*size)
    alone, past = network(image), past_of(image, 0.5)
    blended = alone + BLEND * 0.5 * (past.painting - alone)
    assert torch.allclose(network(image, past), blended, atol=1e-6)


def test_a_mix_lies_between_two_of_one_start(network: StyleNet) -> None:
    other = deepcopy(network)
    for parameter in other.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    image = random_image()
    ends, half = [network(image), other(image)], mix_networks(network, other, 0.5)(image)
    for share, wanted in enumerate(ends):
        assert torch.allclose(mix_networks(network, other, share)(image), wanted, atol=1e-5)
    assert all((half - end).abs().mean() < (ends[0] - ends[1]).abs().mean() for end in ends)
    strangers = [StyleNet(network.config), StyleNet(StyleNetConfig(width=4, blocks=2))]
    for stranger in strangers:
        with pytest.raises(ValueError, match="not learned from one start"):
            mix_networks(network, stranger, 0.5)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 24), (40, 38)])
def test_what_is_not_trusted_is_not_seen(network: StyleNet, size: tuple[int, int]) -> None:
    for name in ("recall.1.weight", "keep.1.weight"):
        torch.nn.init.normal_(network.get_parameter(name))
    image = random_image(*size)
    alone = network(image)
    assert torch.equal(network(image, past_of(image, 0.0)), alone)
    assert not torch.allclose(network(image, past_of(image)), alone, atol=0.01)


@pytest.mark.parametrize(("blocks", "dilation", "wanted"), [
    (5, 4, [1, 2, 4, 2, 1]), (5, 1, [1] * 5), (4, 4, [1, 2, 2, 1]), (1, 8, [1]),
])  # fmt: skip
def test_the_middle_blocks_reach_far(blocks: int, dilation: int, wanted: list[int]) -> None:
    config = StyleNetConfig(4, blocks, dilation)
    assert config.dilations == wanted
    blocks_of = list(StyleNet(config).blocks)
    assert [block.first[1].dilation[0] for block in blocks_of] == wanted


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (16, 24), (31, 33)])
def test_any_size_comes_back_at_its_size_and_in_range(
    network: StyleNet, size: tuple[int, int]
) -> None:
    image = random_image(*size)
    before = image.clone()
    stylized = network(image)
    assert stylized.shape == (1, 3, *size)
    assert stylized.isfinite().all()
    assert stylized.min() >= 0 and stylized.max() <= 1
    assert torch.equal(image, before)
    assert torch.equal(network.train()(image), stylized)  # no statistics are kept


def test_batch_of_two_is_two_singles(network: StyleNet) -> None:
    images = random_image(n=2)
    singles = torch.cat([network(images[:1]), network(images[1:])])
    assert torch.allclose(network(images), singles, atol=1e-5)
    network = network.to(memory_format=torch.channels_last)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(channels_last), singles, atol=1e-5)


def test_a_picture_moved_by_four_pixels_moves_the_painting_alike(network: StyleNet) -> None:
    image = torch.full((1, 3, 48, 64), 0.5)
    moved = image.clone()
    image[..., 16:24, 20:28] = random_image(8, 8)
    moved[..., 16:24, 24:32] = random_image(8, 8)
    painted, painted_moved = network(image), network(moved)
    assert torch.allclose(painted[..., :, 8:44], painted_moved[..., :, 12:48], atol=1e-4)


def test_a_new_network_paints_no_two_by_two_grid() -> None:
    torch.manual_seed(0)
    stylized = StyleNet(StyleNetConfig(width=4, blocks=1))(random_image())
    corner = stylized[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(stylized, corner, atol=1e-6)
    assert stylized.std() > 1e-3


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=4, blocks=1))
    network(random_image(), past_of(random_image())).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    first = network.get_parameter("enter.1.weight").grad
    assert first is not None and first.abs().sum() > 0


@pytest.mark.parametrize(
    "values",
    [{"depth": 3}, {"blocks": True}, {"width": 64.0}, {"width": 0}, {"width": 5}, {"width": 514},
     {"blocks": 0}, {"blocks": 33}, {"dilation": 0}, {"dilation": 9}],
)  # fmt: skip
def test_config_refuses_what_is_no_network(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"network setting|(width|blocks|dilation) is"):
        StyleNetConfig.from_dict(values)


def test_level_sub_pixels_leave_no_grid_on_flat_features_and_keep_what_answers_to_edges() -> None:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=8, blocks=1)).requires_grad_(False)
    weight = network.get_parameter("leave.1.weight").normal_()
    network.get_parameter("leave.1.bias").normal_()
    flat, taps = torch.rand(1, 4, 1, 1).expand(1, 4, 6, 7), weight.clone()
    before = network.leave(flat).unflatten(1, (3, 4))
    network.level_sub_pixels()
    after = network.leave(flat).unflatten(1, (3, 4))
    assert before.std(dim=2).min() > 0.1 and after.std(dim=2).max() < 1e-5
    assert torch.allclose(after.mean(dim=2), before.mean(dim=2), atol=1e-5)
    edges, edges_before = (w - w.mean((2, 3), keepdim=True) for w in (weight, taps))
    assert torch.allclose(edges, edges_before, atol=1e-5)
    once = weight.clone()
    network.level_sub_pixels()
    assert torch.allclose(weight, once, atol=1e-6)
