"""Known values of the flicker measures."""

import math

import pytest
import torch
from torch import Tensor

from stylevid.metrics import (
    CUT_BELOW,
    NOTHING_MEASURED,
    Flicker,
    FlickerMeter,
    gradient_energy,
    likeness,
    trusted,
    warping_error,
)
from tests.material import constant_flow, texture

# Farneback sees up to 0.03 pixels of motion in a pair of equal pictures.
STILL = 1e-6


def measure(images: list[Tensor], versions: list[Tensor], **settings: int) -> Flicker:
    meter = FlickerMeter(longest=None, **settings)
    for image, version in zip(images, versions, strict=True):
        meter.update(image, {"off": version})
    return meter.result()


def noise(image: Tensor, sigma: float, seed: int) -> Tensor:
    return sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))


def test_warping_error_counts_only_what_is_visible() -> None:
    prev, cur = torch.zeros(1, 3, 4, 6), torch.zeros(1, 3, 4, 6)
    still = constant_flow(0, 0, 4, 6)
    cur[:, 0] = 0.5  # one channel of three: mean over RGB of 0.25 is 1/12
    assert warping_error(cur, prev, still, torch.ones(1, 1, 4, 6)) == pytest.approx(0.25 / 3)
    cur = torch.zeros(1, 3, 4, 6)
    cur[..., :3] = 1
    left = torch.zeros(1, 1, 4, 6)
    left[..., :3] = 1
    assert warping_error(cur, prev, still, left) == pytest.approx(1)
    assert warping_error(cur, prev, still, 1 - left) == 0
    assert warping_error(cur, prev, still, torch.ones(1, 1, 4, 6)) == pytest.approx(0.5)
    assert warping_error(cur, prev, still, torch.zeros(1, 1, 4, 6)) == 0


def test_warping_error_follows_the_flow_and_leaves_out_the_border() -> None:
    prev = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    cur = torch.ones(1, 3, 4, 6)
    cur[..., 2:] = prev[..., :-2]  # moved right by 2: cur's p was at p - 2
    left, right = constant_flow(-2, 0, 4, 6), constant_flow(2, 0, 4, 6)
    assert warping_error(cur, prev, left, torch.ones(1, 1, 4, 6)) < 1e-10
    assert warping_error(cur, prev, right, torch.ones(1, 1, 4, 6)) > 0.01
    expected = torch.ones(1, 1, 4, 6)
    expected[..., :2] = 0
    assert torch.equal(trusted(left, right), expected)


@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_white_noise_flicker_gives_twice_its_variance(sigma: float) -> None:
    image = texture()
    versions = [image + noise(image, sigma, seed) for seed in range(6)]
    result = measure([image] * 6, versions)
    assert result.floor < STILL
    assert result.errors["off"] == pytest.approx(2 * sigma**2, rel=0.05, abs=STILL)


def test_moving_clip_has_a_small_floor() -> None:
    whole = texture(48, 96)
    images = [whole[..., 2 * i : 2 * i + 64] for i in range(8)]
    result = measure(images, images)
    unmoved = (images[1] - images[0]).square().mean().item()
    assert 0 < result.floor < 0.02 * unmoved
    assert result.errors["off"] == pytest.approx(result.floor)


def test_interval_10_compares_frames_ten_apart() -> None:
    image = texture()
    versions = [image + 0.01 * i for i in range(13)]
    result = measure([image] * 13, versions, interval=10)
    assert result.pairs == 3
    assert result.errors["off"] == pytest.approx(0.1**2, rel=1e-3)
    assert measure([image] * 13, versions).errors["off"] == pytest.approx(0.01**2, rel=0.02)


@pytest.mark.parametrize(
    ("frames", "interval", "every", "pairs"),
    # of 10 frames in threes: 0-1, 3-4, 6-7; 9 has no partner
    [(10, 1, 1, 9), (10, 1, 3, 3), (10, 10, 1, 0), (16, 10, 4, 2), (1, 1, 1, 0)],
)
def test_one_pair_in_so_many_is_measured(
    frames: int, interval: int, every: int, pairs: int
) -> None:
    image = texture(24, 32)
    result = measure([image] * frames, [image] * frames, interval=interval, every=every)
    assert result.pairs == pairs


def test_nothing_seen_gives_zeros() -> None:
    nothing = FlickerMeter().result()
    assert nothing == Flicker(floor=0, errors={}, sharpness={}, pairs=0)
    assert nothing.in_words() == NOTHING_MEASURED


def test_gradient_energy_of_a_step() -> None:
    assert gradient_energy(torch.full((1, 3, 5, 7), 0.3)) == 0
    step = torch.zeros(1, 3, 4, 6)
    step[..., 3:] = 0.5  # one of five neighbours across differs by 0.5
    assert gradient_energy(step) == pytest.approx(0.25 / 5)
    assert gradient_energy(step.transpose(2, 3)) == pytest.approx(0.25 / 5)


@pytest.mark.parametrize("interval", [1, 10])
def test_the_series_does_not_grow_with_the_clip(interval: int) -> None:
    image, meter = texture(24, 32), FlickerMeter(interval=interval, most=8)
    for number in range(80):
        meter.update(image, {"off": image + 0.001 * number**2}, float(number))
        assert len(meter.result().series) <= 8 and len(meter._waiting) <= interval
    kept, starts = meter.result(), range(0, 80 - interval, meter.every)
    assert [pair.time_s for pair in kept.series] == [interval + n for n in starts]
    steps = [0.001 * ((n + interval) ** 2 - n**2) for n in starts]
    assert kept.errors["off"] == pytest.approx(sum(x * x for x in steps) / len(steps), rel=0.01)


def test_a_cut_is_told_from_motion_and_from_a_flash() -> None:
    whole = texture(96, 160)
    image, moved, other = whole[..., :96], whole[..., 1:97], texture(96, 96, seed=1)
    assert likeness(image, image) == pytest.approx(1)
    assert likeness(image, moved) > CUT_BELOW
    assert likeness(image, 0.5 * image + 0.3) > CUT_BELOW
    assert likeness(image, other) < CUT_BELOW
    assert likeness(torch.zeros(1, 3, 9, 9), torch.ones(1, 3, 9, 9)) == pytest.approx(1)


def test_pairs_across_a_cut_are_left_out_and_counted() -> None:
    first, second = (0.5 + noise(torch.zeros(1, 3, 96, 96), 0.2, seed) for seed in (0, 1))
    scenes = [first] * 3 + [second] * 3
    meter = FlickerMeter(cut_below=CUT_BELOW)
    for number, image in enumerate(scenes):
        meter.update(image, {"off": image}, float(number))
    result = meter.result()
    assert (result.pairs, result.cuts) == (4, 1)
    assert [pair.time_s for pair in result.series] == [1, 2, 4, 5]
    assert result.errors["off"] < STILL
    assert measure(scenes, scenes).errors["off"] > 100 * STILL  # what it would have said


@pytest.mark.parametrize(
    ("floor", "off", "on", "words"),
    [
        (0.0004, 0.0051, 0.0016, "Flicker: 5.1 → 1.6; the video's own is 0.4. With temporal "
         "consistency on, 74 % of the flicker that painting adds is gone."),
        (0.0004, 0.0051, 0.0004, "on, all of the flicker that painting adds is gone."),
        (0.0004, 0.0051, 0.0051, "On this video, temporal consistency makes no difference."),
        (0.0004, 0.0051, 0.0060, "On this video, temporal consistency makes the flicker worse."),
        (0.0004, 0.0004, 0.0004, "Painting adds no flicker to this video"),
        (0.0, 0.0, 0.0, "Flicker: 0.0 → 0.0; the video's own is 0.0. Painting adds no"),
        (0.0004, 0.0051, None, "Flicker: 5.1; the video's own is 0.4. Temporal consistency was"),
        (0.0004, math.nan, 0.0, NOTHING_MEASURED),
        (0.0004, 0.0051, math.inf, NOTHING_MEASURED),
    ],
)  # fmt: skip
def test_flicker_in_words(floor: float, off: float, on: float | None, words: str) -> None:
    errors = {"off": off} if on is None else {"off": off, "on": on}
    assert words in Flicker(floor, errors, {}, pairs=7).in_words()
