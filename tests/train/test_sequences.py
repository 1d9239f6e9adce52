"""Clips with exact flow: the flow leads from any frame to any other, and says what is hidden."""

import pytest
import torch
import torch.nn.functional as F

from stylevid.learn.sequences import concatenate, observe
from stylevid.warp import warp
from train.data.pairs import generate_pairs
from train.data.sequences import Sequence, draw_sequence, of_pairs

SIZE = (72, 96)


def smooth_pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 8, 10, generator=generator)
    return F.interpolate(coarse, (120, 150), mode="bicubic").clamp(0, 1)


def sequence(seed: int = 0, cutouts: int = 2, still: float = 0.0) -> Sequence:
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
    clip = sequence(still=1.0)
    flow, _ = clip.flow(5, 1)
    assert flow[(clip.view(5).owner == 0).expand_as(flow)].abs().max() == 0
    assert flow.abs().max() > 1, "but what is before it moves"


def test_frames_have_whole_levels_and_the_noise_that_was_asked_for() -> None:
    clip = sequence(cutouts=0, still=1.0)
    frames = list(clip.frames(8, 0.02, torch.Generator().manual_seed(1)))
    assert len(frames) == 8
    levels = torch.cat(frames) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    middle = (levels.mean(0, keepdim=True) > 40) & (levels.mean(0, keepdim=True) < 215)
    assert levels.std(0, keepdim=True)[middle].mean() == pytest.approx(0.02 * 255, rel=0.1)
    again = list(clip.frames(8, 0.02, torch.Generator().manual_seed(1)))
    assert all(torch.equal(one, other) for one, other in zip(frames, again, strict=True))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_truth_of_a_clip_is_what_it_shows_and_how_it_moves() -> None:
    clip = sequence()
    frames, flows, visible = clip.truth(4)
    assert (frames.shape, flows.shape) == ((4, 1, 3, *SIZE), (3, 1, 2, *SIZE))
    for t in range(1, 4):
        assert torch.equal(frames[t], clip.view(t).image)
        assert torch.equal(flows[t - 1], clip.flow(t, t - 1)[0])
        assert torch.equal(visible[t - 1], clip.flow(t, t - 1)[1])
    frames, flows, visible = clip.truth(1)
    assert (len(frames), len(flows), len(visible)) == (1, 0, 0)


def test_noise_is_what_the_painter_sees_and_is_not_to_paint() -> None:
    truth = sequence().truth(5)
    quiet = observe(*truth, noise=0.0, exposure=0.0, generator=seeded())
    assert torch.equal(quiet.frames, truth[0]) and torch.equal(quiet.seen, truth[0])
    noisy = observe(*truth, noise=0.2, exposure=0.0, generator=seeded())
    assert torch.equal(noisy.frames, truth[0])
    assert 0.001 < (noisy.seen - noisy.frames).std() < 0.2
    again = observe(*truth, noise=0.2, exposure=0.0, generator=seeded())
    assert torch.equal(again.seen, noisy.seen)


def test_exposure_is_a_gain_of_each_frame_that_is_to_be_painted_too() -> None:
    truth = sequence().truth(3)
    exposed = observe(truth[0] * 0.5, *truth[1:], noise=0.0, exposure=0.1, generator=seeded())
    assert torch.equal(exposed.seen, exposed.frames)
    gains = [(exposed.frames[t].mean() / (truth[0][t] * 0.5).mean()).item() for t in range(3)]
    assert len({round(gain, 4) for gain in gains}) == 3
    for t, gain in enumerate(gains):
        assert torch.allclose(exposed.frames[t], truth[0][t] * 0.5 * gain, atol=1e-3)


def test_what_is_followed_is_the_true_motion_where_it_is_trusted() -> None:
    frames, flows, visible = sequence(cutouts=0).truth(4)
    seen = observe(frames, flows, visible, noise=0.0, exposure=0.0, generator=seeded())
    assert seen.trust.shape == (3, 1, 1, SIZE[0] // 2, SIZE[1] // 2)
    trusted = F.interpolate(seen.trust[:, 0], SIZE) > 0.9
    wrong = (seen.followed - flows)[:, 0].square().sum(1, keepdim=True).sqrt()
    assert trusted.float().mean() > 0.5
    assert wrong[trusted].median() < 0.3 < flows.square().sum(2).sqrt().median()


def test_pairs_are_sequences_of_two() -> None:
    pairs = generate_pairs(smooth_pictures(6), 64, seeded(3))
    both = observe(*of_pairs(pairs), noise=0.0, exposure=0.0, generator=seeded())
    assert torch.equal(both.frames[0], pairs.prev) and torch.equal(both.frames[1], pairs.cur)
    assert torch.equal(both.flow_cur_to_prev[0], pairs.flow_cur_to_prev)
    assert torch.equal(both.visible[0], pairs.visible)
    one, other = (
        observe(f, v, m, 0.0, 0.0, seeded())
        for f, v, m in zip(*(part.split(1, dim=1) for part in of_pairs(pairs)), strict=True)
    )
    joined = concatenate([one, other])
    assert all(
        torch.equal(a, b) for a, b in zip(vars(joined).values(), vars(both).values(), strict=True)
    )
