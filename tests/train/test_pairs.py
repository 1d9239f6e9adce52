"""The generated pairs: their flow, direction and visibility are exact."""

import pytest
import torch
from torch import Tensor, nn

from stylevid.warp import inside, occlusion_mask, pixel_grid, warp
from tests.train.flow_truth import assert_equal, assert_true, masked_error
from train.data.layers import Layer, Motion, Scene, draw_layers, owner_boundaries, paint, render
from train.data.pairs import Pairs, generate_pairs

SIZE = 48
WIDE = (60, 96)  # of a whole scene


def smooth_pictures(count: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (64, 64), mode="bicubic", align_corners=False).clamp(
        0, 1
    )


def make_pairs(batch: int = 2, cutouts: int = 2, seed: int = 0, speed: float = 6.0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    pictures = smooth_pictures(batch * (1 + cutouts))
    return generate_pairs(pictures, SIZE, generator, cutouts, speed)


@pytest.mark.parametrize("seed", range(4))
def test_flow_is_exact_where_visible(seed: int) -> None:
    pairs = make_pairs(seed=seed)
    shapes = [tuple(part.shape) for part in vars(pairs).values()]
    assert shapes == [
        (2, 3, SIZE, SIZE),
        (2, 3, SIZE, SIZE),
        (2, 2, SIZE, SIZE),
        (2, 1, SIZE, SIZE),
    ]
    for image in (pairs.prev, pairs.cur):
        assert image.min() >= 0 and image.max() <= 1
    assert set(pairs.visible.unique().tolist()) == {0.0, 1.0}
    assert 0.4 < pairs.visible.mean() < 0.99
    assert_true(pairs, 0.12, 0.2)


def test_background_alone_is_visible_wherever_it_stays_inside() -> None:
    pairs = make_pairs(batch=1, cutouts=0)
    points = pixel_grid(SIZE, SIZE) + pairs.flow_cur_to_prev
    assert torch.equal(pairs.visible, inside(points, SIZE, SIZE))
    assert masked_error(pairs) < 0.02


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


def test_pairs_are_a_function_of_the_generators_seed_alone() -> None:
    torch.manual_seed(0)
    state, pairs = torch.get_rng_state(), make_pairs(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal(pairs, make_pairs(seed=3))
    assert not torch.equal(pairs.flow_cur_to_prev, make_pairs(seed=4).flow_cur_to_prev)


def test_pictures_that_do_not_make_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="4 pictures do not make groups of 3"):
        generate_pairs(smooth_pictures(4), SIZE, torch.Generator())


# ---- whole scenes: both directions, owners, blur ----


def make_scene(seed: int = 0, cutouts: int = 3, speed: float = 5.0, still: float = 0.0) -> Scene:
    coarse = torch.rand(1 + cutouts, 3, 9, 12, generator=torch.Generator().manual_seed(seed))
    pictures = nn.functional.interpolate(coarse, (75, 120), mode="bicubic").clamp(0, 1)
    generator = torch.Generator().manual_seed(seed)
    return render(draw_layers(pictures, WIDE, generator, speed, still))


def square_scene(shift: tuple[float, float]) -> Scene:
    """A white square, rows 8-13 and columns 10-15 of 24x32 in prev, that moves (dx, dy) = `shift`
    over a black background at rest."""
    inner = torch.full((1, 1, 24, 32), -1.0)
    inner[..., 8:14, 10:16] = 1
    backwards = -torch.tensor(shift, dtype=torch.float32).view(1, 2, 1, 1)
    background = Layer(torch.zeros(1, 3, 24, 32), Motion((24, 32), torch.zeros(1, 2, 1, 1)))
    square = Layer(torch.ones(1, 3, 24, 32), Motion((24, 32), backwards), shape=inner)
    return render([background, square])


def filled(rows: range, columns: range) -> Tensor:
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., rows.start : rows.stop, columns.start : columns.stop] = 1
    return mask


def bent_motion(bend: float, size: tuple[int, int] = WIDE) -> Motion:
    generator = torch.Generator().manual_seed(5)
    control = torch.randn(1, 2, 4, 4, generator=generator) * bend
    shift = torch.tensor((17.3, -8.6)).view(1, 2, 1, 1)
    return Motion(size, shift, angle=0.05, zoom=-0.04, bend=control)


@pytest.mark.parametrize(("bend", "size"), [(2.0, WIDE), (8.0, (540, 960))])
def test_inverse_motion_leads_back(bend: float, size: tuple[int, int]) -> None:
    motion, points = bent_motion(bend, size), pixel_grid(*size)[..., ::5, ::5]
    there = motion.flow_prev_to_cur(points)
    assert (there + motion.flow_cur_to_prev(points + there)).abs().max() < 1e-3
    assert (there + motion.flow_cur_to_prev(points)).abs().max() > 1  # minus the flow is not it


def test_bend_is_its_control_points_over_the_frame() -> None:
    control = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    motion = Motion(WIDE, torch.zeros(1, 2, 1, 1), bend=control)
    over = nn.functional.interpolate(control, WIDE, mode="bicubic")
    assert torch.allclose(motion.flow_cur_to_prev(pixel_grid(*WIDE)), over, atol=1e-4)


def test_surface_that_folds_over_itself_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="folds over itself"):
        bent_motion(60.0).flow_prev_to_cur(pixel_grid(*WIDE))


@pytest.mark.parametrize("seed", range(4))
def test_both_flows_are_exact_and_undo_each_other_where_visible(seed: int) -> None:
    scene = make_scene(seed)
    prev, cur = scene.prev.image, scene.cur.image
    there, back = scene.flow_prev_to_cur, scene.flow_cur_to_prev
    for pair, other in (
        (Pairs(prev, cur, back, scene.visible_in_prev), there),
        (Pairs(cur, prev, there, scene.visible_in_cur), back),
    ):
        flow, visible = pair.flow_cur_to_prev, pair.visible
        assert flow.shape == (1, 2, *WIDE) and visible.shape == (1, 1, *WIDE)
        assert_true(pair, 0.12, 0.2)
        returned = flow + warp(other, flow)[0]
        assert (visible * returned).abs().max() < 0.01 and visible.mean() > 0.5
        checked = occlusion_mask(flow, other)
        agree = (checked == 1 - visible).float().mean()
        assert agree > 0.95 and agree > 0.1 + (checked == visible).float().mean()


@pytest.mark.parametrize("shift", [(3, 2), (-4, 1), (0, 5)])
def test_square_over_a_background_at_rest_hides_what_it_must(shift: tuple[int, int]) -> None:
    dx, dy = shift
    scene = square_scene(shift)
    before = filled(range(8, 14), range(10, 16))
    after = filled(range(8 + dy, 14 + dy), range(10 + dx, 16 + dx))
    assert torch.equal(scene.prev.owner, before) and torch.equal(scene.cur.owner, after)
    motion = torch.tensor(shift, dtype=torch.float32).view(1, 2, 1, 1)
    assert torch.equal(scene.flow_prev_to_cur, before * motion)
    assert torch.equal(scene.flow_cur_to_prev, after * -motion)
    assert torch.equal(1 - scene.visible_in_cur, after * (1 - before))
    assert torch.equal(1 - scene.visible_in_prev, before * (1 - after))


def test_rounding_hides_nothing() -> None:
    rounded, whole = square_scene((3.0001, -1.9999)), square_scene((3, -2))
    assert torch.equal(rounded.visible_in_cur, whole.visible_in_cur)
    assert torch.equal(rounded.visible_in_prev, whole.visible_in_prev)
    between = square_scene((3.5, -2))
    assert between.visible_in_cur.sum() < whole.visible_in_cur.sum()


def test_boundaries_are_where_owners_change() -> None:
    square = filled(range(8, 14), range(10, 16))
    inner = filled(range(9, 13), range(11, 15))
    cross = torch.maximum(
        filled(range(7, 15), range(10, 16)), filled(range(8, 14), range(9, 17))
    )  # the square and the pixels beside it
    assert torch.equal(owner_boundaries(square), cross - inner)
    assert owner_boundaries(torch.zeros(1, 1, 5, 7)).sum() == 0
    owner = make_scene().cur.owner
    assert {0.0, 1.0} == set(owner_boundaries(owner).unique().tolist())


def test_blur_is_the_mean_of_subframes_about_the_instant() -> None:
    scene = square_scene((6, 0))
    assert torch.equal(scene.blurred(0.0)[1], scene.cur.image)
    prev, cur = scene.blurred(0.5)  # 3 subframes, a pixel before, at and after the instant
    edge = torch.tensor([0, 1, 2, 3, 3, 3, 3, 2, 1, 0]) / 3
    assert torch.allclose(prev[0, :, 10, 8:18], edge, atol=1e-6)
    assert torch.allclose(cur[0, :, 10, 14:24], edge, atol=1e-6)
    assert torch.allclose(prev.sum(), scene.prev.image.sum())


def test_blur_softens_and_shifts_nothing() -> None:
    scene = make_scene(cutouts=0, speed=6.0)
    for view, blurred in zip((scene.prev, scene.cur), scene.blurred(0.8), strict=True):
        sharp = view.image[..., 12:-12, 12:-12]
        difference = blurred[..., 12:-12, 12:-12] - sharp
        assert 0.001 < difference.abs().mean() < 0.1
        for along in (-1, -2):
            slope = torch.gradient(sharp, dim=along)[0]
            shift = (difference * slope).sum() / slope.square().sum()
            assert shift.abs() < 0.05  # pixels, of a blur of 5


def test_background_at_rest_leaves_the_cutouts_as_they_were() -> None:
    still, moving = make_scene(still=1.0), make_scene()
    assert still.flow_cur_to_prev[still.cur.owner.expand(1, 2, *WIDE) == 0].abs().max() == 0
    for at_rest, drawn in zip(still.layers[1:], moving.layers[1:], strict=True):
        assert torch.equal(at_rest.flow_cur_to_prev, drawn.flow_cur_to_prev)
    assert torch.equal(still.layers[0].picture, moving.layers[0].picture)
    background = (still.prev.owner == 0) & (still.cur.owner == 0)
    assert torch.equal(still.prev.image.where(background, 0), still.cur.image.where(background, 0))
    assert still.visible_in_cur[background].mean() > 0.9


def test_share_of_still_scenes() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = generate_pairs(smooth_pictures(24), SIZE, generator, cutouts=0, still=0.5)
    still = (pairs.flow_cur_to_prev.abs().amax((1, 2, 3)) == 0).sum()
    assert 6 <= still <= 18


def test_cutout_outside_the_frame_covers_nothing() -> None:
    scene = square_scene((3, 2))
    hidden = Layer(scene.layers[1].picture, scene.layers[1].motion, shape=-torch.ones(1, 1, 24, 32))
    assert paint([scene.layers[0], hidden], [hidden.grid] * 2).owner.sum() == 0


def test_pairs_are_the_scene_reduced() -> None:
    pictures = smooth_pictures(3)
    pairs = generate_pairs(pictures, SIZE, torch.Generator().manual_seed(8), 2, 4.0)
    scene = render(draw_layers(pictures, (SIZE, SIZE), torch.Generator().manual_seed(8), 4.0))
    images = scene.prev.image, scene.cur.image
    assert_equal(pairs, Pairs(*images, scene.flow_cur_to_prev, scene.visible_in_prev))
