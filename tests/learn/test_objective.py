"""The objective of a batch: what its temporal loss punishes, and where its gradients go."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stylevid.learn.losses import PaintingTargets, output_temporal_loss
from stylevid.learn.objective import LossWeights, Objective
from stylevid.learn.sequences import Sequences, concatenate
from stylevid.learn.vgg import VGG16Features
from stylevid.network import Past, StyleNet, StyleNetConfig
from stylevid.warp import warp
from tests.material import constant_flow, random_image, single_frames

WEIGHTS = LossWeights()


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


def tiny_objective(vgg: VGG16Features, network: nn.Module | None = None) -> Objective:
    torch.manual_seed(0)
    with torch.no_grad():
        painting = PaintingTargets.of(random_image(32, 40, seed=9), vgg)
    return Objective(network or StyleNet(StyleNetConfig(4, 1)), vgg, painting)  # pyright: ignore


@pytest.fixture
def objective(vgg: VGG16Features) -> Objective:
    return tiny_objective(vgg)


def moving(dx: int, dy: int, count: int = 3) -> Sequences:
    """A gray scene of 32x48 in which what is at p is at p + (dx, dy) a frame earlier."""
    height, width = 32, 48
    far = (count - 1) * dy, (count - 1) * dx
    wide = random_image(height + far[0], width + far[1])[:, :1].expand(1, 3, -1, -1)
    views = [wide[..., t * dy : t * dy + height, t * dx : t * dx + width] for t in range(count)]
    frames = torch.stack(views)
    visible = torch.zeros(count - 1, 1, 1, height, width)
    visible[..., : height - dy, : width - dx] = 1
    flow = constant_flow(dx, dy, height, width).expand(count - 1, 1, -1, -1, -1)
    trust = torch.ones(count - 1, 1, 1, height // 2, width // 2)
    return Sequences(frames, frames, flow, visible, flow, trust)


class Copyist(nn.Module):
    """Paints each 4x4 block in its mean color: known output, exact shifts."""

    def forward(self, image: Tensor, past: Past) -> Tensor:
        return nn.functional.interpolate(nn.functional.avg_pool2d(image, 4), scale_factor=4.0)


def temporal(vgg: VGG16Features, batch: Sequences, network: nn.Module | None = None) -> Tensor:
    return tiny_objective(vgg, network)(batch, WEIGHTS)["output_temporal"]


def test_only_the_network_is_to_be_trained(objective: Objective) -> None:
    assert [*objective.parameters()] == [*objective.network.parameters()]


@pytest.mark.parametrize("name", ["enter.1.weight", "recall.1.weight", "keep.1.weight"])
def test_the_temporal_gradient_reaches_what_should_learn(objective: Objective, name: str) -> None:
    objective(moving(8, 4), WEIGHTS)["output_temporal"].backward()
    gradient = objective.network.get_parameter(name).grad
    assert gradient is not None
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_a_true_copy_of_a_moving_scene_has_no_temporal_loss(vgg: VGG16Features) -> None:
    assert temporal(vgg, moving(8, 4), Copyist()).item() < 1e-6


@pytest.mark.parametrize("wrong", ["negated", "still", "turned", "inverted mask"])
def test_a_wrong_flow_or_mask_has_a_temporal_loss(vgg: VGG16Features, wrong: str) -> None:
    right = moving(8, 4)
    flow = right.flow_cur_to_prev
    changed = {"negated": -flow, "still": flow * 0, "turned": flow.flip(2)}
    if wrong in changed:
        batch = replace(right, flow_cur_to_prev=changed[wrong])
    else:
        batch = replace(right, visible=1 - right.visible)
    assert temporal(vgg, batch, Copyist()).item() > 1e-2


class Noted(nn.Module):
    """Notes what it is given, and paints anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Past]] = []
        self.painted: list[Tensor] = []
        self.color = nn.Parameter(torch.rand(1))

    def forward(self, image: Tensor, past: Past) -> Tensor:
        self.seen.append((image, past))
        painted = random_image(*image.shape[2:], seed=len(self.seen)) + 0 * self.color
        if painted.requires_grad:
            painted.retain_grad()
        self.painted.append(painted)
        return painted


def test_the_network_gets_its_last_painting_along_the_estimated_flow(
    vgg: VGG16Features,
) -> None:
    network, right = Noted(), moving(0, 0, 4)
    followed = torch.zeros_like(right.followed)
    followed[:, :, 0] = 3.0
    trust = torch.linspace(0, 1, 3).view(3, 1, 1, 1, 1).expand_as(right.trust)
    seen = right.seen + 0.01
    temporal(vgg, replace(right, seen=seen, followed=followed, trust=trust), network)
    for t, (image, past) in enumerate(network.seen):
        assert torch.equal(image, seen[t])
        if t == 0:
            assert past.painting.abs().sum() == 0 and past.trust.abs().sum() == 0
        else:
            assert torch.allclose(
                past.painting[..., :-3], network.painted[t - 1][..., 3:], atol=1e-4
            )
            assert torch.equal(past.trust, trust[t - 1])


def test_gradients_flow_into_the_last_two_paintings(vgg: VGG16Features) -> None:
    network = Noted()
    temporal(vgg, moving(8, 4, 4), network).backward()
    assert [painted.requires_grad for painted in network.painted] == [False, False, True, True]


def test_the_earlier_painting_of_a_pair_is_moved_as_well(vgg: VGG16Features) -> None:
    network = Noted()
    temporal(vgg, moving(8, 4, 2), network).backward()
    for painted in network.painted:
        assert painted.grad is not None and painted.grad.abs().sum() > 0


def test_the_earlier_painting_is_carried_by_a_cubic_kernel(vgg: VGG16Features) -> None:
    network, batch = Noted(), moving(8, 4, 2)
    flow = torch.full_like(batch.flow_cur_to_prev, 0.5)
    found = temporal(vgg, replace(batch, flow_cur_to_prev=flow), network)
    prev, cur = batch.frames
    warped_prev, warped_painted = (
        warp(image, flow[0], "bicubic")[0] for image in (prev, network.painted[0])
    )
    expected = output_temporal_loss(
        network.painted[1], warped_painted, cur, warped_prev, batch.visible[0]
    )
    assert found.item() == pytest.approx(WEIGHTS.output_temporal * expected.item())


def test_the_temporal_loss_is_that_of_the_last_two_pairs(vgg: VGG16Features) -> None:
    network, batch = Noted(), moving(4, 2, 4)
    batch = replace(batch, flow_cur_to_prev=batch.flow_cur_to_prev[-2:], visible=batch.visible[-2:])
    found = temporal(vgg, batch, network)
    terms: list[Tensor] = []
    for t in (2, 3):
        flow = batch.flow_cur_to_prev[t - 2]
        painted, _ = warp(network.painted[t - 1], flow, "bicubic")
        frame, _ = warp(batch.frames[t - 1], flow, "bicubic")
        terms.append(output_temporal_loss(
            network.painted[t], painted, batch.frames[t], frame, batch.visible[t - 2]
        ))  # fmt: skip
    assert terms[0].item() != pytest.approx(terms[1].item(), rel=1e-3)
    assert found.item() == pytest.approx(WEIGHTS.output_temporal * sum(terms).item())  # pyright: ignore


def test_what_the_painter_sees_is_no_light_that_it_may_follow(vgg: VGG16Features) -> None:
    batch = moving(8, 4)
    noisy = replace(batch, seen=random_image(32, 48, n=3, seed=7)[:, None])
    assert temporal(vgg, noisy, Noted()).item() == temporal(vgg, batch, Noted()).item()


def test_a_share_of_a_batch_is_that_part_of_it(objective: Objective) -> None:
    """Two processes with one sequence each have the mean losses of one with both."""
    one, other = moving(8, 4), moving(4, 8)
    both = concatenate([one, other])
    with torch.no_grad():
        whole, *shares = (objective(batch, WEIGHTS) for batch in (both, one, other))
    for name, value in whole.items():
        mean = (shares[0][name] + shares[1][name]) / 2
        assert value.item() == pytest.approx(mean.item(), rel=1e-4)


def test_one_sequence_can_be_overfitted_by_more_than_half(objective: Objective) -> None:
    batch = moving(8, 4)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    values: list[float] = []
    for _ in range(30):
        loss = objective(batch, WEIGHTS)["output_temporal"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]


def test_each_term_grows_with_its_own_weight(objective: Objective) -> None:
    batch = moving(8, 4)
    with torch.no_grad():
        plain = objective(batch, WEIGHTS)
        assert plain.keys() == vars(WEIGHTS).keys() and min(plain.values()) > 0
        for name, weight in vars(WEIGHTS).items():
            heavier = objective(batch, replace(WEIGHTS, **{name: 3 * weight}))
            for other, value in heavier.items():
                times = 3 if other == name else 1
                assert value.item() == pytest.approx(times * plain[other].item())


def test_bfloat16_has_the_losses_of_float32(vgg: VGG16Features) -> None:
    batch = moving(8, 4)
    with torch.no_grad():
        exact = tiny_objective(vgg)(batch, WEIGHTS)
        half = VGG16Features()
        half.load_state_dict(vgg.state_dict())
        half.features.to(torch.bfloat16)
        rough = tiny_objective(half)(batch, WEIGHTS)
    for name, value in exact.items():
        assert rough[name].dtype == torch.float32
        assert rough[name].item() == pytest.approx(value.item(), rel=0.05, abs=1e-3)


def test_from_step_to_step_another_part_of_the_lattice_is_seen(objective: Objective) -> None:
    image = random_image(40, 48)
    alone = single_frames(image)
    with torch.no_grad():
        painted = objective.network(image, None)
        for step, (top, left) in ((0, (0, 0)), (3, (3, 0)), (13, (5, 1)), (64, (0, 0))):
            part = (..., slice(top, top + 32), slice(left, left + 40))
            wanted = objective.perceptual_terms(painted[part], image[part], WEIGHTS)
            found = objective(alone, WEIGHTS, step)
            assert found.pop("output_temporal") == 0
            assert {k: v.item() for k, v in found.items()} == pytest.approx(
                {k: v.item() for k, v in wanted.items()}, rel=1e-4
            )
