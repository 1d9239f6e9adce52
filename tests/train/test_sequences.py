"""Clips with exact flow: what is shown, how it moves, and what a painter is given of it."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from stylevid.canvas import weave
from stylevid.learn.sequences import LEARNED, Sequences, concatenate, observe
from train.data.layers import Layer, draw_layers, paint, show, true_flow

SIZE = (72, 96)


def clip(seed: int = 0, cutouts: int = 2) -> list[Layer]:
    coarse = torch.rand(1 + cutouts, 3, 8, 10, generator=seeded(5))
    pictures = F.interpolate(coarse, (120, 150), mode="bicubic").clamp(0, 1)
    return draw_layers(pictures, SIZE, seeded(seed), speed=1.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_is_shown_is_what_there_is_and_how_it_moves() -> None:
    layers = clip()
    frames, flows, visible = show(layers, 4)
    assert (frames.shape, flows.shape) == ((4, 1, 3, *SIZE), (LEARNED, 1, 2, *SIZE))
    views = [paint(layers, time) for time in range(4)]
    for t in range(4 - LEARNED, 4):
        flow, seen = true_flow(layers, views[t], views[t - 1])
        assert torch.equal(frames[t], views[t].image)
        assert torch.equal(flows[t - 4], flow) and torch.equal(visible[t - 4], seen)
    assert [len(part) for part in show(layers, 1)] == [1, 0, 0]


def is_on_canvas(sequences: Sequences) -> bool:
    """Whether the painter sees the truth on a canvas, and nothing else: whole levels of gray."""
    levels = (sequences.seen - sequences.frames) * 219
    return torch.allclose(levels, levels[:, :, :1].round(), atol=1e-3)


def test_the_canvas_hangs_still_and_anywhere() -> None:
    still, flow, visible = (torch.zeros(frames, 1, channels, *SIZE)
                            for frames, channels in ((3, 3), (2, 2), (2, 1)))  # fmt: skip
    truth = still + 0.5, flow, visible + 1
    seen, elsewhere = (observe(*truth, 0.0, 0.0, seeded(seed)).seen for seed in (0, 1))
    threads = (seen - 0.5) * 219
    assert torch.allclose(threads, threads[:1, :, :1], atol=1e-3)
    known = torch.from_numpy(weave(*SIZE)).float().flatten().sort().values
    assert torch.allclose(threads[0, 0, 0].flatten().sort().values, known, atol=1e-3)
    assert not torch.equal(seen, elsewhere)


def test_noise_is_what_the_painter_sees_and_is_not_to_paint() -> None:
    truth = show(clip(), 5)
    quiet = observe(*truth, noise=0.0, exposure=0.0, generator=seeded())
    assert torch.equal(quiet.frames, truth[0]) and is_on_canvas(quiet)
    noisy = observe(*truth, noise=0.2, exposure=0.0, generator=seeded())
    assert torch.equal(noisy.frames, truth[0]) and not is_on_canvas(noisy)
    assert 0.001 < (noisy.seen - quiet.seen).std() < 0.2
    again = observe(*truth, noise=0.2, exposure=0.0, generator=seeded())
    assert torch.equal(again.seen, noisy.seen)


def test_blocks_are_what_the_painter_sees_and_is_not_to_paint() -> None:
    truth = show(clip(), 5)
    blocky = observe(*truth, noise=0.0, exposure=0.0, generator=seeded(), compressed=1.0)
    assert torch.equal(blocky.frames, truth[0])
    lost = blocky.seen - observe(*truth, 0.0, 0.0, seeded()).seen
    assert 0.003 < lost.std() < 0.1
    for channel in range(3):  # none for another
        assert lost[:, :, channel].mean().abs() < 0.01
    half = [
        observe(*truth, noise=0.0, exposure=0.0, generator=seeded(n), compressed=0.5)
        for n in range(20)
    ]
    assert 4 < sum(map(is_on_canvas, half)) < 16


def test_exposure_is_a_gain_of_each_frame_that_is_to_be_painted_too() -> None:
    truth = show(clip(), 3)
    exposed = observe(truth[0] * 0.5, *truth[1:], noise=0.0, exposure=0.1, generator=seeded())
    assert is_on_canvas(exposed)
    gains = [(exposed.frames[t].mean() / (truth[0][t] * 0.5).mean()).item() for t in range(3)]
    assert len({round(gain, 4) for gain in gains}) == 3
    for t, gain in enumerate(gains):
        assert torch.allclose(exposed.frames[t], truth[0][t] * 0.5 * gain, atol=1e-3)


def test_what_is_followed_is_the_true_motion_where_it_is_trusted() -> None:
    frames, flows, visible = show(clip(cutouts=0), 4)
    seen = observe(frames, flows, visible, noise=0.0, exposure=0.0, generator=seeded())
    assert seen.trust.shape == (3, 1, 1, SIZE[0] // 2, SIZE[1] // 2)
    trusted = F.interpolate(seen.trust[-LEARNED:, 0], SIZE) > 0.9
    wrong = (seen.followed[-LEARNED:] - flows)[:, 0].square().sum(1, keepdim=True).sqrt()
    assert trusted.float().mean() > 0.5
    assert wrong[trusted].median() < 0.3 < flows.square().sum(2).sqrt().median()


def test_the_followed_flow_strays_by_so_many_pixels_at_most_and_nothing_else_does() -> None:
    truth = show(clip(), 5)
    straight = observe(*truth, noise=0.0, exposure=0.0, generator=seeded())
    for stray in (0.0, 1.0, 4.0):
        errors: list[float] = []
        for seed in range(8):  # each sequence has its own deviation, up to this one
            led = observe(*truth, noise=0.0, exposure=0.0, generator=seeded(seed), stray=stray)
            assert torch.equal(led.trust, straight.trust)
            assert torch.equal(led.flow_cur_to_prev, straight.flow_cur_to_prev)
            errors.append((led.followed - straight.followed).std().item())
        assert max(errors) <= 1.1 * stray and (max(errors) > 0.4 * stray or stray == 0)


def test_sequences_are_joined_as_they_are() -> None:
    truths = [show(clip(seed), 3) for seed in (0, 1)]
    one, other = (observe(*truth, 0.0, 0.0, seeded()) for truth in truths)
    frames, flows, visible = (torch.cat(parts, dim=1) for parts in zip(*truths, strict=True))
    both = observe(frames, flows, visible, 0.0, 0.0, seeded())
    joined = concatenate([one, other])
    assert joined.seen.shape == both.seen.shape  # on canvases that lie elsewhere
    joined = replace(joined, seen=both.seen)
    assert all(map(torch.equal, vars(joined).values(), vars(both).values()))
