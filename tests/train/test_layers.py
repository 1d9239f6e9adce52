"""Moving layers: their flow, direction and visibility are exact, from any time to any other."""

import pytest
import torch
from torch import Tensor, nn

from stylevid.warp import occlusion_mask, pixel_grid, warp
from tests.train.flow_truth import assert_true
from train.data.layers import Layer, Motion, draw_layers, paint, true_flow
from train.data.pair_files import Pairs

WIDE = (60, 96)


def make_layers(
    seed: int = 0, cutouts: int = 3, speed: float = 5.0, still: float = 0.0
) -> list[Layer]:
    coarse = torch.rand(1 + cutouts, 3, 9, 12, generator=torch.Generator().manual_seed(seed))
    pictures = nn.functional.interpolate(coarse, (75, 120), mode="bicubic").clamp(0, 1)
    return draw_layers(pictures, WIDE, torch.Generator().manual_seed(seed), speed, still)


def pair(layers: list[Layer], cur: float = 1, prev: float = 0) -> Pairs:
    """Two views of the layers, with flow and visibility."""
    after, before = paint(layers, cur), paint(layers, prev)
    return Pairs(before.image, after.image, *true_flow(layers, after, before))


def square_layers(shift: tuple[float, float]) -> list[Layer]:
    """A white square, rows 8-13 and columns 10-15 of 24x32 at time 0, that moves (dx, dy) =
    `shift` over a black background at rest."""
    inner = torch.full((1, 1, 24, 32), -1.0)
    inner[..., 8:14, 10:16] = 1
    backwards = -torch.tensor(shift, dtype=torch.float32).view(1, 2, 1, 1)
    background = Layer(torch.zeros(1, 3, 24, 32), Motion((24, 32), torch.zeros(1, 2, 1, 1)))
    square = Layer(torch.ones(1, 3, 24, 32), Motion((24, 32), backwards), shape=inner)
    return [background, square]


def filled(rows: range, columns: range) -> Tensor:
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., rows.start : rows.stop, columns.start : columns.stop] = 1
    return mask


def test_inverse_motion_leads_back() -> None:
    shift, points = torch.tensor((17.3, -8.6)).view(1, 2, 1, 1), pixel_grid(*WIDE)
    motion = Motion(WIDE, shift, angle=0.05, zoom=-0.04)
    there = motion.from_start(points, 3)
    assert (there + motion.to_start(points + there, 3)).abs().max() < 1e-3
    assert (there + motion.to_start(points, 3)).abs().max() > 1  # minus the flow is not it


@pytest.mark.parametrize(("seed", "first", "last"), [(0, 0, 1), (1, 0, 1), (2, 2, 6), (3, 0, 10)])
def test_both_flows_are_exact_and_undo_each_other_where_visible(
    seed: int, first: int, last: int
) -> None:
    layers = make_layers(seed, speed=5 / (last - first))
    there, back = pair(layers, cur=first, prev=last), pair(layers, cur=last, prev=first)
    for one, other in ((back, there), (there, back)):
        flow, visible = one.flow_cur_to_prev, one.visible
        assert flow.shape == (1, 2, *WIDE) and visible.shape == (1, 1, *WIDE)
        assert one.cur.min() >= 0 and one.cur.max() <= 1
        assert_true(one, 0.12, 0.2)
        returned = flow + warp(other.flow_cur_to_prev, flow)[0]
        assert (visible * returned).abs().max() < 0.01 and 0.5 < visible.mean() < 0.99
        checked = occlusion_mask(flow, other.flow_cur_to_prev)
        agree = (checked == 1 - visible).float().mean()
        assert agree > 0.85 and agree > 0.1 + (checked == visible).float().mean()
        assert (checked * visible).max() == 0
        explained, _ = warp(one.prev, flow, "bicubic")
        assert (visible * (explained - one.cur)).abs().max() < 0.03
    itself = pair(layers, cur=last, prev=last)
    assert itself.flow_cur_to_prev.abs().max() < 1e-2 and itself.visible.min() == 1


@pytest.mark.parametrize("shift", [(3, 2), (-4, 1), (0, 5)])
def test_square_over_a_background_at_rest_hides_what_it_must(shift: tuple[int, int]) -> None:
    dx, dy = shift
    layers = square_layers(shift)
    before = filled(range(8, 14), range(10, 16))
    after = filled(range(8 + dy, 14 + dy), range(10 + dx, 16 + dx))
    assert torch.equal(paint(layers, 0).owner, before)
    assert torch.equal(paint(layers, 1).owner, after)
    motion = torch.tensor(shift, dtype=torch.float32).view(1, 2, 1, 1)
    there, back = pair(layers, cur=0, prev=1), pair(layers, cur=1, prev=0)
    assert torch.equal(there.flow_cur_to_prev, before * motion)
    assert torch.equal(back.flow_cur_to_prev, after * -motion)
    assert torch.equal(1 - there.visible, after * (1 - before))
    assert torch.equal(1 - back.visible, before * (1 - after))


def test_what_a_bicubic_warp_would_mix_with_another_surface_is_not_visible() -> None:
    seen = pair(square_layers((2.5, 0)))
    hidden = filled(range(8, 14), range(10, 13))  # background that the square was before
    hidden += filled(range(8, 14), range(13, 14)) + filled(range(8, 14), range(17, 18))  # its rims
    assert torch.equal(1 - seen.visible, hidden)
    warped, _ = warp(seen.prev, seen.flow_cur_to_prev, "bicubic")
    assert (seen.visible * (warped - seen.cur)).abs().max() < 1e-5


def test_background_at_rest_leaves_the_cutouts_as_they_were() -> None:
    still, moving = make_layers(still=1.0), make_layers()
    before, after = paint(still, 0), paint(still, 1)
    flow, visible = true_flow(still, after, before)
    background = (before.owner == 0) & (after.owner == 0)
    assert flow[background.expand_as(flow)].abs().max() == 0
    for at_rest, drawn in zip(still[1:], moving[1:], strict=True):
        assert torch.equal(at_rest.flow(1, 0), drawn.flow(1, 0))
    assert torch.equal(still[0].picture, moving[0].picture)
    assert torch.equal(before.image.where(background, 0), after.image.where(background, 0))
    assert visible[background].mean() > 0.9
