"""Known answers for the losses."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from stylevid.learn.losses import (
    NOISE,
    color_loss,
    content_loss,
    gram_matrix,
    lattice_loss,
    output_temporal_loss,
    palette,
    style_loss,
    total_variation,
)


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


ALL_VISIBLE = torch.ones(1, 1, 4, 6)
GRAY = torch.full((1, 3, 4, 6), 0.5)


def test_gram_of_a_hand_made_tensor() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 1.0]]]])
    expected = torch.tensor([[[30.0, 6.0], [6.0, 2.0]]]) / 8
    assert torch.allclose(gram_matrix(features), expected)


def test_gram_treats_each_picture_of_a_batch_alone_and_forgets_where_things_are() -> None:
    features = random_tensor(2, 3, 4, 5)
    singles = torch.cat([gram_matrix(features[:1]), gram_matrix(features[1:])])
    assert torch.allclose(gram_matrix(features), singles)
    assert torch.allclose(gram_matrix(features.flip(-1)), singles, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_of_half_precision_is_summed_in_float32(dtype, layout) -> None:
    """Added up in bfloat16, ones end at 256; in float16, these overflow."""
    features = (200 * random_tensor(2, 4, 64, 64)).to(dtype, memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    assert torch.allclose(gram, gram_matrix(features.double()).float(), rtol=5e-3)


def test_content_loss_of_nothing_is_one() -> None:
    features = random_tensor(2, 3, 4, 5)
    assert content_loss(features, features).item() == 0
    assert content_loss(torch.zeros_like(features), features).item() == pytest.approx(1)
    assert content_loss(features * 3, features).item() == pytest.approx(4)
    assert content_loss(features * 0, features * 0).item() == 0  # and finite


def test_style_loss_sums_its_layers_averages_its_batch_and_takes_any_size() -> None:
    layers = [random_tensor(1, 3, 4, 5), random_tensor(1, 6, 2, 2)]
    grams = [gram_matrix(f) for f in layers]
    nothing = [torch.zeros_like(f) for f in layers]
    assert style_loss(layers, grams).item() == 0
    assert style_loss(nothing, grams).item() == pytest.approx(2)
    half_right = [torch.cat((f, torch.zeros_like(f))) for f in layers]
    assert style_loss(half_right, grams).item() == pytest.approx(1)
    of_another_size = [f.repeat(1, 1, 2, 3) for f in layers]
    assert style_loss(of_another_size, grams).item() == pytest.approx(0, abs=1e-10)
    with pytest.raises(ValueError):
        style_loss(layers, grams[:1])


def halves(left: Sequence[float], right: Sequence[float]) -> Tensor:
    """32x32, a color to the left and another to the right."""
    colors = torch.tensor([left, right]).repeat_interleave(16, dim=0)
    return colors.T.view(1, 3, 1, 32).expand(1, 3, 32, 32).clone()


def gray(value: float) -> list[float]:
    return [value] * 3


TEAL, RUST = (0.1, 0.5, 0.5), (0.7, 0.3, 0.1)
PALETTE = palette(halves(TEAL, RUST))


def test_a_palette_is_mean_and_covariance() -> None:
    found = palette(halves((0.0, 0.5, 0.5), (0.4, 0.5, 0.3)))
    assert torch.allclose(found[0, 0], torch.tensor([0.2, 0.5, 0.4]))
    covariance = torch.tensor([[0.04, 0, -0.02], [0, 0, 0], [-0.02, 0, 0.01]])
    assert torch.allclose(found[0, 1:], covariance + NOISE**2 * torch.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "painted"),
    [
        pytest.param(halves((0.2, 0.3, 0.9), (0.9, 0.4, 0.2)), halves(TEAL, RUST), id="hues"),
        pytest.param(halves((0.9, 0.4, 0.2), (0.2, 0.3, 0.9)), halves(RUST, TEAL), id="turned"),
        pytest.param(halves(TEAL, RUST), halves(TEAL, RUST), id="its own"),
    ],
)
def test_what_differs_is_painted_in_the_nearest_colors(content: Tensor, painted: Tensor) -> None:
    assert color_loss(painted, content, PALETTE).item() < 0.02
    assert color_loss(painted.flip(3), content, PALETTE).item() > 3.5  # the other way round
    middle = painted.mean((2, 3), keepdim=True).expand_as(painted)
    assert color_loss(middle, content, PALETTE).item() == pytest.approx(1, abs=0.05)


def test_color_loss_has_the_light_of_the_content_in_the_range_of_the_painting() -> None:
    painting, content = palette(halves(gray(0.1), gray(0.7))), halves(gray(0.5), gray(0.8))
    assert color_loss(halves(gray(0.1), gray(0.7)), content, painting).item() < 0.001
    assert color_loss(halves(gray(0.7), gray(0.1)), content, painting).item() > 3.8


def test_color_loss_sees_large_shapes_only() -> None:
    painted, content = halves(TEAL, RUST), halves((0.2, 0.3, 0.9), (0.9, 0.4, 0.2))
    checks = torch.tensor([-0.1, 0.1]).repeat(16).view(1, 1, 1, 32)
    with_checks, without = (
        color_loss(image, content, PALETTE).item() for image in (painted + checks, painted)
    )
    assert with_checks == pytest.approx(without, abs=1e-6)


def test_color_loss_does_not_make_shapes_of_noise() -> None:
    middle = halves(gray(0.4), gray(0.4)) * 0 + PALETTE[0, 0].view(1, 3, 1, 1)
    assert color_loss(middle, halves(gray(0.5), gray(0.501)), PALETTE).item() < 0.001


def test_each_picture_of_a_batch_has_colors_of_its_own() -> None:
    contents = [halves((0.2, 0.3, 0.9), (0.9, 0.4, 0.2)), halves(gray(0.9), gray(0.2))]
    painted = [halves(TEAL, RUST), halves(RUST, TEAL)]
    alone = [color_loss(p, c, PALETTE).item() for p, c in zip(painted, contents, strict=True)]
    together = color_loss(torch.cat(painted), torch.cat(contents), PALETTE).item()
    assert together == pytest.approx(sum(alone) / 2, rel=1e-3)


def test_a_mesh_of_the_lattice_is_told_from_other_meshes() -> None:
    def mesh(period: float) -> Tensor:
        across = 0.1 * (torch.arange(128) * 2 * math.pi / period).cos()
        return (0.5 + across).expand(1, 3, 96, 128)

    # 5 pixels' mean of a cosine of 4 is a fifth of it, turned around; its mean square is a half.
    assert lattice_loss(mesh(4)).item() == pytest.approx(1.2**2 * 0.1**2 / 2, rel=0.05)
    assert lattice_loss(mesh(5.3)).item() < 0.02 * lattice_loss(mesh(4)).item()
    assert lattice_loss(torch.full((1, 3, 8, 12), 0.7)).item() == pytest.approx(0, abs=1e-9)
    moved = mesh(4)[..., 3:]
    assert lattice_loss(moved).item() == pytest.approx(lattice_loss(mesh(4)).item(), rel=0.1)


def test_total_variation_of_a_constant_and_of_a_step() -> None:
    assert total_variation(torch.full((1, 3, 4, 6), 0.7)).item() == 0
    step = torch.zeros(1, 3, 4, 6)
    step[..., 3:] = 0.5  # one of five neighbours jumps by 0.5, across or downwards
    for turned in (step, step.transpose(2, 3)):
        assert total_variation(turned).item() == pytest.approx(0.1)


def test_output_temporal_loss_of_a_hand_made_change() -> None:
    change = torch.tensor((0.3, 0.0, -0.1)).view(1, 3, 1, 1)
    loss = output_temporal_loss(GRAY + change, GRAY, GRAY, GRAY, ALL_VISIBLE)
    assert loss.item() == pytest.approx(0.3**2 + 0.1**2, rel=1e-4)


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.2126), (1, 0.7152), (2, 0.0722)])
def test_output_temporal_loss_wants_the_change_of_luminance(channel: int, weight: float) -> None:
    image = GRAY.clone()
    image[:, channel] += 0.2
    loss = output_temporal_loss(GRAY, GRAY, image, GRAY, ALL_VISIBLE)
    assert loss.item() == pytest.approx(3 * (0.2 * weight) ** 2, rel=1e-4)


def test_a_brightness_change_that_the_painting_follows_costs_nothing() -> None:
    stylized, image = random_tensor(1, 3, 4, 6) / 2, random_tensor(1, 3, 4, 6, seed=1) / 2
    loss = output_temporal_loss(stylized + 0.1, stylized, image + 0.1, image, ALL_VISIBLE)
    assert loss.item() == pytest.approx(0, abs=1e-10)
    inverted = output_temporal_loss(stylized - 0.1, stylized, image + 0.1, image, ALL_VISIBLE)
    assert inverted.item() == pytest.approx(3 * 0.2**2, rel=1e-4)


def test_occluded_pixels_cost_nothing() -> None:
    flicker = GRAY.clone()
    flicker[..., :2] = 0.9
    visible = ALL_VISIBLE.clone()
    visible[..., :2] = 0
    assert output_temporal_loss(flicker, GRAY, GRAY, GRAY, visible).item() == 0
    assert output_temporal_loss(flicker, GRAY, GRAY, GRAY, 1 - visible).item() > 0.1


def test_temporal_gradient_flows_into_both_frames() -> None:
    image = random_tensor(1, 3, 4, 6, seed=2)
    frames = [random_tensor(1, 3, 4, 6, seed=i).requires_grad_() for i in range(2)]
    output_temporal_loss(frames[0], frames[1], image, image, ALL_VISIBLE).backward()
    assert frames[0].grad is not None and frames[1].grad is not None
    assert torch.allclose(frames[0].grad, -frames[1].grad)
    assert frames[0].grad.abs().sum() > 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: content_loss(a, b),
        lambda a, b: style_loss([a], [gram_matrix(b)]),
        lambda a, b: color_loss(a, b, palette(b)),
        lambda a, b: total_variation(a),
        lambda a, b: lattice_loss(a),
        lambda a, b: output_temporal_loss(a, b, b, b, torch.ones(1, 1, 16, 24)),
    ],
)
def test_each_loss_is_a_float32_scalar_even_of_bfloat16(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    value = loss(
        random_tensor(1, 3, 16, 24).bfloat16(), random_tensor(1, 3, 16, 24, seed=1).bfloat16()
    )
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value > 0
