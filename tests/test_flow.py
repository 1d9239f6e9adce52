"""A textured picture moved by whole pixels has a known flow."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.flow import FlowEstimator, Method, estimate_flow

METHODS: list[Method] = ["dis", "farneback"]
SIZES = [(1, 1), (1, 40), (40, 1), (5, 40), (33, 65)]


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(
        1, 3, height // 4 + 1, width // 4 + 1, generator=torch.Generator().manual_seed(seed)
    )
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 1)


def shifted_pair(dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """Two pictures of 64x96: what is at p in the first is at p + (dx, dy) in the second."""
    whole = texture(84, 116)
    return whole[..., 10:74, 10:106], whole[..., 10 - dy : 74 - dy, 10 - dx : 106 - dx]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [(3, 0), (0, 2), (-2, 3), (4, -1)])
def test_whole_pixel_shift_is_found_with_its_sign(method: Method, shift: tuple[int, int]) -> None:
    flow = estimate_flow(*shifted_pair(*shift), method)
    assert flow.shape == (1, 2, 64, 96)
    assert flow.dtype == torch.float32
    inner = flow[0, :, 12:-12, 12:-12].flatten(1)
    assert inner.median(dim=1).values.tolist() == pytest.approx(shift, abs=0.25)
    assert (inner.mean(dim=1) - torch.tensor(shift)).abs().max() < 0.3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_taken(method: Method, size: tuple[int, int]) -> None:
    flow = estimate_flow(texture(*size), texture(*size, seed=1), method)
    assert flow.shape == (1, 2, *size)
    assert torch.isfinite(flow).all()


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        estimate_flow(texture(32, 32), texture(32, 40))


def gray(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].mean(0).numpy() * 255)


@pytest.mark.parametrize("shift", [(3, 0), (0, 2), (-2, 3), (4, -1)])
def test_the_stabilizers_estimator_finds_a_shift_to_a_tenth_of_a_pixel(
    shift: tuple[int, int],
) -> None:
    flow = FlowEstimator()(*map(gray, shifted_pair(*shift)))
    assert flow.shape == (64, 96, 2) and flow.dtype == np.float32
    inner = flow[12:-12, 12:-12].reshape(-1, 2)
    assert np.median(inner, axis=0).tolist() == pytest.approx(shift, abs=0.05)
    assert np.median(np.abs(inner - shift)) < 0.1


@pytest.mark.parametrize("size", SIZES)
def test_the_stabilizers_estimator_takes_any_size(size: tuple[int, int]) -> None:
    flow = FlowEstimator()(gray(texture(*size)), gray(texture(*size, seed=1)))
    assert flow.shape == (*size, 2)
    assert np.isfinite(flow).all()
