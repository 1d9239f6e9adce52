"""Clips with exact flow: the flow leads from any frame to any other, and says what is hidden."""

import pytest
import torch
import torch.nn.functional as F

from stylevid.warp import warp
from train.data.sequences import Sequence, draw_sequence

SIZE = (72, 96)


def smooth_pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 8, 10, generator=generator)
    return F.interpolate(coarse, (120, 150), mode="bicubic").clamp(0, 1)


def sequence(seed: int = 0, cutouts: int = 2, still: bool = False) -> Sequence:
    generator = torch.Generator().manual_seed(seed)
    return draw_sequence(smooth_pictures(1 + cutouts), SIZE, generator, speed=1.5, still=still)


@pytest.mark.parametrize(("cur", "prev"), [(1, 0), (2, 1), (6, 2), (2, 6), (10, 0)])
def test_frames_warped_along_the_flow_are_the_other_frame(cur: int, prev: int) -> None:
    clip = sequence()
    flow_cur_to_prev, visible = clip.flow(cur, prev)
    warped, _ = warp(clip.view(prev).image, flow_cur_to_prev)
    difference = (warped - clip.view(cur).image).abs() * visible
    unmoved = (clip.view(prev).image - clip.view(cur).image).abs() * visible
    assert visible.mean() > 0.5
    assert difference.mean() < 0.05 * unmoved.mean()
    assert difference.max() < 0.05


def test_what_is_hidden_in_the_other_frame_is_not_visible() -> None:
    clip = sequence(seed=1)
    flow, visible = clip.flow(6, 0)
    warped, _ = warp(clip.view(0).image, flow)
    hidden = (warped - clip.view(6).image).abs().mean(1, keepdim=True)[visible == 0]
    assert len(hidden) and hidden.max() > 0.1


def test_a_frame_to_itself_does_not_move() -> None:
    flow, visible = sequence().flow(4, 4)
    assert flow.abs().max() < 1e-2 and visible.min() == 1


def test_before_a_fixed_camera_the_background_stands_still() -> None:
    clip = sequence(still=True)
    flow, _ = clip.flow(5, 1)
    assert flow[(clip.view(5).owner == 0).expand_as(flow)].abs().max() == 0
    assert flow.abs().max() > 1, "but what is before it moves"


def test_frames_have_whole_levels_and_the_noise_that_was_asked_for() -> None:
    clip = sequence(cutouts=0, still=True)
    frames = list(clip.frames(8, 0.02, torch.Generator().manual_seed(1)))
    assert len(frames) == 8
    levels = torch.cat(frames) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    middle = (levels.mean(0, keepdim=True) > 40) & (levels.mean(0, keepdim=True) < 215)
    assert levels.std(0, keepdim=True)[middle].mean() == pytest.approx(0.02 * 255, rel=0.1)
    again = list(clip.frames(8, 0.02, torch.Generator().manual_seed(1)))
    assert all(torch.equal(one, other) for one, other in zip(frames, again, strict=True))
