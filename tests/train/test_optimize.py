"""Direct optimization: its loss is the training's, and L-BFGS finds what is known to be there."""

import pytest
import torch
from torch import Tensor

from stylevid.learn import losses
from stylevid.learn.objective import LossWeights, Objective
from stylevid.learn.vgg import VGG16Features
from stylevid.network import StyleNet, StyleNetConfig
from train.learning.optimize import PictureLoss, optimize_pixels


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Bowl:
    """sum of k (x - wanted)^2 with curvatures k from 1 to 100; counts its evaluations."""

    def __init__(self, wanted: Tensor) -> None:
        self.wanted = wanted
        self.curvature = torch.linspace(1, 100, wanted.numel()).view_as(wanted)
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return (self.curvature * (x - self.wanted).square()).sum()


PHOTO = random_image(1, 3, 16, 24, seed=2)
WEIGHTS = LossWeights(1.3, 2.0, 0.7, 0.5)


@pytest.fixture(scope="module")
def objective() -> Objective:
    torch.manual_seed(0)
    vgg = VGG16Features()
    with torch.no_grad():
        painting = losses.PaintingTargets.of(random_image(1, 3, 24, 24, seed=1), vgg)
    return Objective(StyleNet(StyleNetConfig(4, 1)), vgg, painting)


@pytest.fixture
def judge(objective: Objective) -> PictureLoss:
    return PictureLoss(objective, PHOTO, WEIGHTS)


def test_the_loss_is_the_one_that_the_training_lowers(
    objective: Objective, judge: PictureLoss
) -> None:
    with torch.no_grad():
        painted = objective.network(PHOTO)
        wanted = sum(term.item() for term in objective(PHOTO, WEIGHTS).values())
    assert judge(painted).item() == pytest.approx(wanted, rel=1e-4)


def test_gradients_reach_the_pixels(judge: PictureLoss) -> None:
    pixels = random_image(1, 3, 16, 24).requires_grad_(True)
    judge(pixels).backward()
    assert pixels.grad is not None and (pixels.grad != 0).float().mean() > 0.9


def test_the_bottom_of_a_convex_bowl_is_found() -> None:
    bowl = Bowl(random_image(1, 3, 4, 4) * 0.5 + 0.25)
    found = optimize_pixels(bowl, torch.zeros(1, 3, 4, 4), target=1e-6, limit=200)
    assert found.matched and 1 < found.iterations < 100
    assert found.evaluations == found.iterations + 1 == len(bowl.seen)
    assert found.loss <= 1e-6 and bowl(found.picture).item() == pytest.approx(found.loss)
    torch.testing.assert_close(found.picture, bowl.wanted, atol=1e-3, rtol=0)


def test_what_lies_outside_is_found_at_the_bound() -> None:
    wanted = torch.full((1, 3, 4, 4), 0.5)
    wanted[:, 0] = 2.0
    bowl = Bowl(wanted)
    lowest = (bowl.curvature[:, 0] * 1.0).sum().item()  # red is one unit away at best
    found = optimize_pixels(bowl, torch.zeros(1, 3, 4, 4), target=1.001 * lowest, limit=200)
    assert found.matched
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in bowl.seen)
    assert not optimize_pixels(bowl, torch.zeros(1, 3, 4, 4), 0.999 * lowest, 50).matched


def test_a_lower_target_takes_no_fewer_iterations() -> None:
    start = torch.zeros(1, 3, 4, 4)
    targets = (1e3, 1e2, 1e1, 1, 1e-2, 1e-4)
    counts = [
        optimize_pixels(Bowl(random_image(1, 3, 4, 4)), start, target, 200).iterations
        for target in targets
    ]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_the_limit_holds_and_the_start_may_be_good_enough() -> None:
    start = torch.zeros(1, 3, 4, 4)
    bowl = Bowl(random_image(1, 3, 4, 4))
    stopped = optimize_pixels(bowl, start, target=-1, limit=3)
    assert (stopped.matched, stopped.iterations, stopped.evaluations) == (False, 3, 4)
    assert stopped.loss < bowl(start).item()
    at_once = optimize_pixels(bowl, start, target=1e9, limit=3)
    assert (at_once.matched, at_once.iterations) == (True, 0)
    assert torch.equal(at_once.picture, start) and not start.any(), "the start is left as it was"


def test_a_channels_last_picture_is_optimized_alike() -> None:
    start = random_image(1, 3, 4, 6, seed=5)
    wanted = random_image(1, 3, 4, 6)
    plain = optimize_pixels(Bowl(wanted), start, target=-1, limit=3)
    last = start.contiguous(memory_format=torch.channels_last)
    turned = optimize_pixels(Bowl(wanted), last, target=-1, limit=3)
    torch.testing.assert_close(turned.picture, plain.picture)
