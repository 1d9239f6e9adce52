"""Known answers for the geometry of flow."""

import pytest
import torch
from torch import Tensor

from stylevid.warp import (
    inside,
    motion_boundary_mask,
    occlusion_mask,
    pixel_grid,
    resize_flow,
    warp,
)
from tests.material import constant_flow, random_image

HEIGHT, WIDTH = 16, 24


def moving_square() -> tuple[Tensor, Tensor, Tensor]:
    """A square at rows 4-7, columns 4-7 that moves 3 pixels right on a still background: both
    flows and the exact mask, 1 on the background that the square will cover."""
    forward, backward = constant_flow(0, 0), constant_flow(0, 0)
    forward[:, 0, 4:8, 4:8] = 3
    backward[:, 0, 4:8, 7:11] = -3
    covered = torch.zeros(1, 1, HEIGHT, WIDTH)
    covered[..., 4:8, 8:11] = 1
    return forward, backward, covered


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (270, 480)])
def test_zero_flow_is_the_identity_at_any_size(size: tuple[int, int], mode: str) -> None:
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)).bfloat16()
    warped, within = warp(image, constant_flow(0, 0, *size).bfloat16(), mode)
    assert warped.dtype == torch.float32  # whatever it is given
    assert torch.allclose(warped, image.float(), atol=2e-4)
    assert within.eq(1).all()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_whole_pixel_flow_is_an_exact_shift(mode: str) -> None:
    image = random_image()
    warped, within = warp(image, constant_flow(3, -2), mode)
    assert torch.allclose(warped[..., 2:, :-3], image[..., :-2, 3:], atol=1e-5)
    expected = torch.zeros(1, 1, HEIGHT, WIDTH)
    expected[..., 2:, :-3] = 1
    assert torch.equal(within, expected)
    assert torch.allclose(warped[..., -1], warped[..., -2], atol=1e-5)  # outside: the edge's pixel


def test_half_a_pixel_reads_half_way_on_both_axes() -> None:
    warped, _ = warp(pixel_grid(HEIGHT, WIDTH), constant_flow(0.5, 0.25))
    expected = pixel_grid(HEIGHT, WIDTH) + constant_flow(0.5, 0.25)
    assert torch.allclose(warped[..., :-1, :-1], expected[..., :-1, :-1], atol=1e-4)


def test_inside_holds_the_corner_centres_and_nothing_beyond() -> None:
    x = torch.tensor([0.0, 23.0, -0.01, 23.01, 5.0, 5.0])
    y = torch.tensor([0.0, 15.0, 5.0, 5.0, -0.01, 15.01])
    points = torch.stack((x, y)).view(1, 2, 1, 6)
    assert inside(points, HEIGHT, WIDTH).flatten().tolist() == [1, 1, 0, 0, 0, 0]


def test_each_picture_of_a_batch_follows_its_own_flow_and_gets_its_gradient() -> None:
    images = torch.cat((random_image(seed=0), random_image(seed=1))).requires_grad_()
    flows = torch.cat((constant_flow(2, 0), constant_flow(0, -1)))
    both, _ = warp(images, flows)
    for i in range(2):
        assert torch.allclose(both[i], warp(images[i : i + 1], flows[i : i + 1])[0], atol=1e-6)
    both.sum().backward()
    assert images.grad is not None and images.grad[..., :-1, 2:].min() > 0.99


def test_warp_refuses_sizes_that_differ() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        warp(random_image(), constant_flow(0, 0, HEIGHT, WIDTH - 1))
    with pytest.raises(ValueError, match="differ in size"):
        warp(random_image(), constant_flow(0, 0).expand(2, 2, HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("size", "expected"), [((4, 8), (2, 2)), ((48, 36), (9, 24)), ((HEIGHT, WIDTH), (6, 8))]
)
def test_resize_flow_scales_dx_by_width_and_dy_by_height(size, expected) -> None:
    resized = resize_flow(constant_flow(6, 8), size)
    assert torch.allclose(resized, constant_flow(*expected, *size))


def test_moving_square_occludes_what_it_will_cover_and_what_it_had_covered() -> None:
    forward, backward, covered = moving_square()
    assert torch.equal(occlusion_mask(forward, backward), covered)
    uncovered = torch.zeros(1, 1, HEIGHT, WIDTH)
    uncovered[..., 4:8, 4:7] = 1
    assert torch.equal(occlusion_mask(backward, forward), uncovered)
    wrong = occlusion_mask(forward, -forward)  # minus the flow is no backward flow
    assert (wrong * covered).sum() == 0


def test_points_that_leave_the_picture_are_occluded() -> None:
    expected = torch.zeros(1, 1, HEIGHT, WIDTH)
    expected[..., -3:] = 1
    expected[..., :2, :] = 1
    mask = occlusion_mask(constant_flow(3, -2), constant_flow(-3, 2))
    assert torch.equal(mask, expected)
    still = constant_flow(0, 0)  # a small disagreement is forgiven
    assert occlusion_mask(still, constant_flow(0.7, 0)).eq(0).all()
    assert occlusion_mask(still, constant_flow(0.72, 0)).eq(1).all()


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("downwards", [False, True])
def test_motion_boundary_lies_where_the_flow_jumps(channel: int, downwards: bool) -> None:
    flow, expected = constant_flow(0, 0), torch.zeros(1, 1, HEIGHT, WIDTH)
    beyond, last = slice(10, None), 9
    everything = slice(None)
    flow[(0, channel, beyond) if downwards else (0, channel, everything, beyond)] = 3
    expected[(0, 0, last) if downwards else (0, 0, everything, last)] = 1
    assert torch.equal(motion_boundary_mask(flow), expected)


@pytest.mark.parametrize(("jump", "boundaries"), [(0.04, 0), (0.05, HEIGHT)])
def test_motion_boundary_needs_a_jump_above_its_threshold(jump: float, boundaries: int) -> None:
    flow = constant_flow(0, 0)
    flow[:, 0, :, 10:] = jump
    assert motion_boundary_mask(flow).sum() == boundaries
