"""The generated pairs: their flow, direction and visibility are exact."""

import pytest
import torch
from torch import Tensor, nn

from stylevid.warp import inside, pixel_grid, warp
from train.clips import Pairs, generate_pairs

SIZE = 48


def smooth_pictures(count: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (64, 64), mode="bicubic", align_corners=False).clamp(
        0, 1
    )


def make_pairs(batch: int = 2, cutouts: int = 2, seed: int = 0, speed: float = 6.0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    pictures = smooth_pictures(batch * (1 + cutouts))
    return generate_pairs(pictures, SIZE, generator, cutouts, speed)


def masked_error(pairs: Pairs, flow: Tensor, visible: Tensor) -> float:
    warped, _ = warp(pairs.prev, flow)
    squared = (visible * (warped - pairs.cur).square()).sum()
    return (squared / visible.sum()).item()


def test_shapes_and_ranges() -> None:
    pairs = make_pairs(batch=2)
    assert pairs.prev.shape == pairs.cur.shape == (2, 3, SIZE, SIZE)
    assert pairs.flow_cur_to_prev.shape == (2, 2, SIZE, SIZE)
    assert pairs.visible.shape == (2, 1, SIZE, SIZE)
    for image in (pairs.prev, pairs.cur):
        assert image.min() >= 0 and image.max() <= 1


def test_visible_is_0_or_1_and_mostly_1() -> None:
    visible = make_pairs().visible
    assert set(visible.unique().tolist()) == {0.0, 1.0}
    assert 0.4 < visible.mean() < 0.99


@pytest.mark.parametrize("seed", range(4))
def test_flow_is_exact_where_visible(seed: int) -> None:
    pairs = make_pairs(seed=seed)
    flow = pairs.flow_cur_to_prev
    exact = masked_error(pairs, flow, pairs.visible)
    assert exact < 1e-3
    assert exact < 0.02 * masked_error(pairs, torch.zeros_like(flow), pairs.visible)
    assert exact < 0.02 * masked_error(pairs, -flow, pairs.visible)
    assert exact < 0.02 * masked_error(pairs, flow.flip(1), pairs.visible)


def test_mask_is_not_inverted() -> None:
    pairs = make_pairs(batch=4)
    exact = masked_error(pairs, pairs.flow_cur_to_prev, pairs.visible)
    assert exact < 0.02 * masked_error(pairs, pairs.flow_cur_to_prev, 1 - pairs.visible)


def test_background_alone_is_visible_wherever_it_stays_inside() -> None:
    pairs = make_pairs(batch=1, cutouts=0)
    points = pixel_grid(SIZE, SIZE) + pairs.flow_cur_to_prev
    assert torch.equal(pairs.visible, inside(points, SIZE, SIZE))
    assert masked_error(pairs, pairs.flow_cur_to_prev, pairs.visible) < 1e-3


def test_cutouts_jump_against_the_background() -> None:
    with_cutouts, without = make_pairs(batch=1, cutouts=2), make_pairs(batch=1, cutouts=0)

    def largest_jump(pairs: Pairs) -> float:
        return pairs.flow_cur_to_prev.diff(dim=-1).abs().max().item()

    assert largest_jump(without) < 1.5
    assert largest_jump(with_cutouts) > 2


def test_faster_layers_have_longer_flow() -> None:
    slow = make_pairs(speed=1.0).flow_cur_to_prev.abs().mean()
    fast = make_pairs(speed=10.0).flow_cur_to_prev.abs().mean()
    assert fast > 3 * slow


def test_pairs_are_a_function_of_the_generators_seed() -> None:
    pairs, again, other = make_pairs(seed=3), make_pairs(seed=3), make_pairs(seed=4)
    for name in ("prev", "cur", "flow_cur_to_prev", "visible"):
        assert torch.equal(getattr(pairs, name), getattr(again, name))
    assert not torch.equal(pairs.flow_cur_to_prev, other.flow_cur_to_prev)


def test_global_chance_is_neither_used_nor_changed() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    make_pairs()
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_that_do_not_make_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="4 pictures do not make groups of 3"):
        generate_pairs(smooth_pictures(4), SIZE, torch.Generator())
