"""The objective of a batch: what its temporal losses punish, and where their gradients go."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stylevid.network import StyleNet
from train.config import TrainConfig
from train.data.pairs import CUTOUTS, Pairs, generate_pairs
from train.learning.objective import Objective, concatenate
from stylevid.learn.vgg import VGG16Features

TINY = TrainConfig(
    width=4,
    blocks=1,
    steps=2,
    batch=1,
    crop=32,
    temporal_crop=32,
    temporal_steps=2,
    temporal_batch=1,
    hold_out=0,
)


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def tiny_objective(
    vgg: VGG16Features, config: TrainConfig = TINY, network: nn.Module | None = None
) -> Objective:
    torch.manual_seed(0)
    painting = random_image(1, 3, 32, 40, seed=9)
    network = network or StyleNet(config.network)
    return Objective(config, network, vgg, painting)  # pyright: ignore


def layer_pictures(pairs: int = 1) -> Tensor:
    """What pairs of the tiny configuration are made from."""
    return random_image(pairs * (1 + CUTOUTS), 3, 40, 40)


class Copyist(nn.Module):
    """Paints each 4x4 block in its mean color: known output, exact shifts."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.interpolate(nn.functional.avg_pool2d(image, 4), scale_factor=4.0)


def whole_pixel_pair(dx: int, dy: int) -> Pairs:
    """A gray picture of 32x48 in which the point p of cur is at p + (dx, dy) in prev."""
    wide = random_image(1, 1, 32 + dy, 48 + dx).expand(1, 3, -1, -1)
    visible = torch.zeros(1, 1, 32, 48)
    visible[..., : 32 - dy, : 48 - dx] = 1
    flow = torch.tensor((dx, dy), dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, 32, 48)
    return Pairs(wide[..., :32, :48], wide[..., dy:, dx:], flow, visible)


def copyist_terms(vgg: VGG16Features, pairs: Pairs) -> dict[str, Tensor]:
    """The temporal stage's terms of the pair for a network that only copies."""
    config = replace(TINY, noise=0.0, exposure=0.0)
    with torch.no_grad():
        return tiny_objective(vgg, config, Copyist())(pairs, step=2)


def test_output_temporal_gradient_reaches_the_first_convolution(vgg: VGG16Features) -> None:
    objective = tiny_objective(vgg)
    objective(layer_pictures(), step=2)["output_temporal"].backward()
    gradient = objective.network.get_parameter("enter.1.weight").grad
    assert gradient is not None
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_only_the_network_is_to_be_trained(vgg: VGG16Features) -> None:
    objective = tiny_objective(vgg)
    assert [*objective.parameters()] == [*objective.network.parameters()]


def test_a_true_copy_of_a_moving_scene_has_no_temporal_loss(vgg: VGG16Features) -> None:
    terms = copyist_terms(vgg, whole_pixel_pair(dx=8, dy=4))
    assert terms["output_temporal"].item() < 1e-8


@pytest.mark.parametrize("wrong", ["negated", "still", "turned"])
def test_a_wrong_flow_has_a_temporal_loss(vgg: VGG16Features, wrong: str) -> None:
    right = whole_pixel_pair(dx=8, dy=4)
    flow = right.flow_cur_to_prev
    wrong_flow = {"negated": -flow, "still": flow * 0, "turned": flow.flip(1)}[wrong]
    terms = copyist_terms(vgg, replace(right, flow_cur_to_prev=wrong_flow))
    assert terms["output_temporal"].item() > 1e-2


def test_an_inverted_mask_has_a_temporal_loss(vgg: VGG16Features) -> None:
    right = whole_pixel_pair(dx=8, dy=4)
    terms = copyist_terms(vgg, replace(right, visible=1 - right.visible))
    assert terms["output_temporal"].item() > 1e-2


def test_only_the_second_frame_is_noisy_and_jittered(vgg: VGG16Features) -> None:
    seen: dict[str, Tensor] = {}
    for name, noise in (("quiet", 0.0), ("noisy", 0.5)):
        objective = tiny_objective(vgg, replace(TINY, noise=noise, exposure=0.0))
        forward = objective.network.forward

        def watch(image: Tensor, name: str = name, forward=forward) -> Tensor:  # pyright: ignore
            seen[name] = image.detach().clone()
            return forward(image)

        objective.network.forward = watch  # pyright: ignore[reportAttributeAccessIssue]
        objective(layer_pictures(), step=2)
    assert torch.equal(seen["quiet"][0], seen["noisy"][0])
    assert (seen["quiet"][1] - seen["noisy"][1]).abs().mean() > 0.01


def test_temporal_terms_are_a_function_of_seed_and_step(vgg: VGG16Features) -> None:
    objective = tiny_objective(vgg)
    with torch.no_grad():
        values, again, other = (
            objective(layer_pictures(), step)["output_temporal"].item() for step in (2, 2, 3)
        )
    assert values == again
    assert values != other


def test_pairs_that_are_given_are_the_pairs_that_are_used(vgg: VGG16Features) -> None:
    """Read from files or generated: the same pairs have the same losses."""
    objective = tiny_objective(vgg)
    pictures = layer_pictures()
    generator = objective._generator(pictures, 2, 0)  # pyright: ignore[reportPrivateUsage]
    pairs = generate_pairs(pictures, TINY.temporal_crop, generator, CUTOUTS, TINY.speed)
    with torch.no_grad():
        given, generated = objective(pairs, step=2), objective(pictures, step=2)
    assert given == generated


def test_a_share_of_a_batch_is_that_part_of_it(vgg: VGG16Features) -> None:
    """Two processes with one pair each have the mean losses of one with both."""
    objective = tiny_objective(vgg, replace(TINY, precision="float32", temporal_batch=2))
    pictures = layer_pictures(2)
    with torch.no_grad():
        whole = objective(pictures, 2)
        shares = [objective(part, 2, i) for i, part in enumerate(pictures.chunk(2))]
    for name, value in whole.items():
        mean = (shares[0][name] + shares[1][name]) / 2
        assert value.item() == pytest.approx(mean.item(), rel=1e-4)


def test_terms_with_no_weight_are_not_computed(vgg: VGG16Features) -> None:
    objective = tiny_objective(vgg, replace(TINY, output_temporal_weight=0.0, tone_weight=0.0))
    with torch.no_grad():
        assert objective(layer_pictures(), 2).keys() == {"content", "style", "tv"}


@pytest.mark.parametrize("source", ["generated", "given"])
def test_one_pair_can_be_overfitted_by_more_than_half(vgg: VGG16Features, source: str) -> None:
    config = replace(TINY, noise=0.0, exposure=0.0)
    objective = tiny_objective(vgg, config)
    batch = layer_pictures() if source == "generated" else whole_pixel_pair(dx=8, dy=4)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    values: list[float] = []
    for _ in range(30):
        loss = objective(batch, step=2)["output_temporal"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]


def test_concatenate_keeps_the_order() -> None:
    first, second = whole_pixel_pair(8, 4), whole_pixel_pair(4, 8)
    both = concatenate([first, second])
    assert torch.equal(both.flow_cur_to_prev[1:], second.flow_cur_to_prev)
    assert torch.equal(both.prev[:1], first.prev)


def test_each_stage_has_its_own_content_and_style_weights(vgg: VGG16Features) -> None:
    """Each term of a stage grows with the weight of that stage, and with no other."""
    config = replace(TINY, precision="float32")
    pairs = whole_pixel_pair(dx=8, dy=4)

    def terms(**weights: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        objective = tiny_objective(vgg, replace(config, **weights))
        with torch.no_grad():
            return objective(pairs.prev, step=0), objective(pairs, step=2)

    plain = terms()
    for field, stage, name in (
        ("content_weight", 0, "content"),
        ("style_weight", 0, "style"),
        ("temporal_content_weight", 1, "content"),
        ("temporal_style_weight", 1, "style"),
    ):
        heavier = terms(**{field: 3 * getattr(config, field)})
        assert heavier[stage][name].item() == pytest.approx(3 * plain[stage][name].item())
        assert heavier[1 - stage][name].item() == pytest.approx(plain[1 - stage][name].item())


def test_both_frames_learn_from_the_temporal_loss(vgg: VGG16Features) -> None:
    """The earlier painting is moved as well: its gradient is not cut off."""
    painted: list[Tensor] = []

    class Kept(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            painted.append(image.detach().clone().requires_grad_(True))
            return painted[0]

    right = whole_pixel_pair(dx=8, dy=4)
    wrong = replace(right, flow_cur_to_prev=-right.flow_cur_to_prev)
    tiny_objective(vgg, network=Kept())(wrong, step=2)["output_temporal"].backward()
    gradient = painted[0].grad
    assert gradient is not None
    for frame in gradient:
        assert frame.abs().sum() > 0
