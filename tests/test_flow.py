"""A textured picture moved by whole pixels has a known flow."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.flow import FlowEstimator, estimate_flow
from tests.material import texture


def the_followers(image: Tensor, other: Tensor) -> Tensor:
    grays = (np.ascontiguousarray(one[0].mean(0).numpy() * 255) for one in (image, other))
    return torch.from_numpy(FlowEstimator()(*grays)).permute(2, 0, 1)[None]


# The estimator, and how many pixels its median and its mean may be off.
ESTIMATORS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float, float]] = {
    "dis": (partial(estimate_flow, method="dis"), 0.25, 0.3),
    "farneback": (partial(estimate_flow, method="farneback"), 0.25, 0.3),
    "the follower's": (the_followers, 0.05, 0.1),
}


def shifted_pair(dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """Two pictures of 64x96: what is at p in the first is at p + (dx, dy) in the second."""
    whole = texture(84, 116, cell=4)
    return whole[..., 10:74, 10:106], whole[..., 10 - dy : 74 - dy, 10 - dx : 106 - dx]


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("shift", [(3, 0), (0, 2), (-2, 3), (4, -1)])
def test_whole_pixel_shift_is_found_with_its_sign(name: str, shift: tuple[int, int]) -> None:
    estimate, median, mean = ESTIMATORS[name]
    flow = estimate(*shifted_pair(*shift))
    assert flow.shape == (1, 2, 64, 96) and flow.dtype == torch.float32
    inner = flow[0, :, 12:-12, 12:-12].flatten(1)
    assert inner.median(dim=1).values.tolist() == pytest.approx(shift, abs=median)
    assert (inner.mean(dim=1) - torch.tensor(shift)).abs().max() < mean


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 40), (33, 65)])
def test_any_size_is_taken(name: str, size: tuple[int, int]) -> None:
    flow = ESTIMATORS[name][0](texture(*size, cell=4), texture(*size, cell=4, seed=1))
    assert flow.shape == (1, 2, *size)
    assert torch.isfinite(flow).all()


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        estimate_flow(texture(32, 32), texture(32, 40))
