"""Direct optimization: its loss is the training's, and L-BFGS finds what is known to be there."""

import pytest
import torch
from torch import Tensor

from benchmarks.optimize import optimize_pixels, picture_loss
from stylevid.learn import losses
from stylevid.learn.objective import LossWeights, Objective
from stylevid.learn.vgg import VGG16Features
from stylevid.network import StyleNet, StyleNetConfig


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


def test_the_loss_is_the_one_that_the_training_lowers(objective: Objective) -> None:
    judge = picture_loss(objective, PHOTO, WEIGHTS)
    with torch.no_grad():
        painted = objective.network(PHOTO)
        terms = objective.perceptual_terms(painted, PHOTO, WEIGHTS)
        wanted = sum(term.item() for term in terms.values())
    assert judge(painted).item() == pytest.approx(wanted, rel=1e-4)
    pixels = random_image(1, 3, 16, 24).requires_grad_(True)
    judge(pixels).backward()
    assert pixels.grad is not None and (pixels.grad != 0).float().mean() > 0.9


def test_the_bottom_of_a_convex_bowl_is_found() -> None:
    bowl, start = Bowl(random_image(1, 3, 4, 4) * 0.5 + 0.25), torch.zeros(1, 3, 4, 4)
    found = optimize_pixels(bowl, start, 100)
    torch.testing.assert_close(found, bowl.wanted, atol=1e-3, rtol=0)
    assert len(bowl.seen) <= 101 and not start.any(), "the start is left as it was"
    assert bowl(optimize_pixels(bowl, start, 3)) > bowl(found)


def test_what_lies_outside_is_found_at_the_bound() -> None:
    wanted = torch.full((1, 3, 4, 4), 0.5)
    wanted[:, 0] = 2.0
    bowl = Bowl(wanted)
    optimize_pixels(bowl, torch.zeros(1, 3, 4, 4), 200)
    lowest = bowl.curvature[:, 0].sum()  # red is one unit away at best
    assert 0.999 * lowest < min(bowl(picture) for picture in [*bowl.seen]) < 1.001 * lowest
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in bowl.seen)


def test_a_channels_last_picture_is_optimized_alike() -> None:
    start = random_image(1, 3, 4, 6, seed=5)
    wanted = random_image(1, 3, 4, 6)
    plain = optimize_pixels(Bowl(wanted), start, 3)
    last = start.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(optimize_pixels(Bowl(wanted), last, 3), plain)
