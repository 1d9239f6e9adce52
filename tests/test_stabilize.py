"""The stabilizer steadies what flickers, and leaves everything else as it was."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.frames import luma, resize
from stylevid.metrics import gradient_energy
from stylevid.stabilize import (
    Buffers,
    StabilizerConfig,
    TemporalStabilizer,
    raise_texture,
    texture_gain,
)
from stylevid.yuv import Yuv, image_to_yuv, yuv_to_image


def texture(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    coarse = torch.rand(
        1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed)
    )
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 1)


def detailed(seed: int) -> Tensor:
    """A muted picture of 180x320 with details of every size, as real ones have."""
    picture = torch.full((1, 3, 180, 320), 0.3)
    for scale, share in ((4, 0.2), (2, 0.16), (1, 0.12)):
        part = texture(180 // scale, 320 // scale, seed + 50 * scale)
        picture += share * torch.nn.functional.interpolate(part, (180, 320), mode="bicubic")
    return picture


def step(stabilizer: TemporalStabilizer, image: Tensor, stylized: Tensor) -> Tensor:
    """`TemporalStabilizer.step` for images 1,3,H,W."""
    height, width = image.shape[-2:]
    steadied = stabilizer.step(image_to_yuv(image), image_to_yuv(stylized))
    return yuv_to_image(steadied)[..., :height, :width]


def as_shown(image: Tensor) -> Tensor:
    """The image in the colors that 4:2:0 has for it."""
    return yuv_to_image(image_to_yuv(image))


def noisy(image: Tensor, seed: int, sigma: float = 0.05) -> Tensor:
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + sigma * grain).clamp(0, 1)


def pulsing(image: Tensor, seed: int) -> Tensor:
    """The picture with coarse independent blotches: the flicker of a style network."""
    return (image + 0.3 * (texture(*image.shape[-2:], seed + 100) - 0.5)).clamp(0, 1)


def flicker(frames: list[Tensor]) -> float:
    changes = [(b - a).square().mean().item() for a, b in pairwise(frames)]
    return sum(changes) / len(changes)


@pytest.mark.parametrize("disturb", [noisy, pulsing])
@pytest.mark.parametrize("flow_size", [224, 48])
def test_still_clip_becomes_much_steadier(disturb, flow_size: int) -> None:
    image, stabilizer = texture(), TemporalStabilizer(StabilizerConfig(flow_size=flow_size))
    off = [disturb(texture(seed=1), seed) for seed in range(20)]
    on = [step(stabilizer, image, stylized) for stylized in off]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def flicker_along(motion: int) -> tuple[float, float]:
    """Of a clip 160 pixels wide that moves to the left: without the stabilizer, and with it."""
    wide, painted, stabilizer = texture(48, 280), texture(48, 280, 1), TemporalStabilizer()
    off, on = [], []
    for i in range(12):
        window = (..., slice(motion * i, motion * i + 160))
        off.append(pulsing(painted[window], i))
        on.append(step(stabilizer, wide[window], off[-1]))
    ways = (
        [flicker([a[..., motion:], b[..., :-motion]]) for a, b in pairwise(frames[4:])]
        for frames in (off, on)
    )
    without, steadied = (sum(changes) for changes in ways)
    return without, steadied


def test_motion_is_followed_and_where_all_rushes_by_more_of_the_painting_is_fresh() -> None:
    (slow_off, slow_on), (fast_off, fast_on) = flicker_along(motion=2), flicker_along(motion=10)
    assert slow_on < 0.3 * slow_off
    assert 2 * slow_on / slow_off < fast_on / fast_off < 0.9


BLACK = torch.zeros(1, 3, 48, 64)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, texture()),
        (texture(), 1 - texture().round()),  # a hard cut
        (texture(), BLACK),
        (BLACK, texture()),
    ],
)
def test_the_first_frame_of_a_scene_is_the_painting_itself(before: Tensor | None, now) -> None:
    stabilizer = TemporalStabilizer()
    if before is not None:
        step(stabilizer, before, texture(seed=1))
    frame, painted = image_to_yuv(now), image_to_yuv(texture(seed=3))
    assert stabilizer.step(frame, painted) is painted


def test_without_blend_or_after_a_reset_the_painting_is_given_back() -> None:
    for config in (StabilizerConfig(blend=0), None):
        stabilizer = TemporalStabilizer(config)
        step(stabilizer, texture(), texture(seed=1))
        if config is None:
            stabilizer.reset()
        stylized = texture(seed=2)
        assert torch.equal(step(stabilizer, texture(), stylized), as_shown(stylized))


@pytest.mark.parametrize("seed", range(2, 8))
def test_a_cut_between_scenes_of_the_same_brightness_is_seen(seed: int) -> None:
    """Flow finds something as bright everywhere: their difference alone would tell no cut."""
    stabilizer = TemporalStabilizer()
    step(stabilizer, detailed(0), texture(180, 320, 1))
    stylized = texture(180, 320, 3)
    output = step(stabilizer, detailed(seed), stylized)
    assert torch.equal(output, as_shown(stylized))


def test_what_falls_below_black_is_black() -> None:
    """The warp overshoots at edges; what is less than 0 must not come back as more."""
    stabilizer = TemporalStabilizer()
    frame = image_to_yuv(detailed(0))
    painted = Yuv(np.zeros_like(frame.pixels))
    painted.luma[:, 100:200:8] = painted.luma[:, 101:200:8] = 255
    for shift in (0, 1, 2):
        moved = [np.roll(picture.luma, shift, axis=1) for picture in (frame, painted)]
        frame.luma[:], painted.luma[:] = moved
        output = stabilizer.step(frame, painted)
        assert stabilizer._past is not None
        kept = stabilizer._past[1][0]
        assert np.array_equal(output.luma, np.rint(kept.clip(0, 255)))
    assert kept.min() < -1, "there was nothing to clip"


def test_after_a_cut_the_new_scene_is_steadied() -> None:
    stabilizer = TemporalStabilizer()
    step(stabilizer, texture(seed=0), texture(seed=1))
    new_scene = 1 - texture(seed=0).round()
    off = [noisy(texture(seed=3), seed) for seed in range(12)]
    on = [step(stabilizer, new_scene, stylized) for stylized in off]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def test_sharpness_is_kept_near_the_current_paintings() -> None:
    image, stabilizer = texture(96, 128), TemporalStabilizer()
    wide = texture(96, 180)
    painted = noisy(texture(96, 180, 1), 0, sigma=0.06)
    for i in range(12):
        window = (..., slice(2 * i, 2 * i + 128))
        output = step(stabilizer, wide[window], painted[window])
        ratio = gradient_energy(output) / gradient_energy(painted[window])
        assert 0.75 < ratio < 1.1
    assert output.shape == image.shape


def test_texture_that_blending_averages_away_is_restored() -> None:
    stabilizer = TemporalStabilizer()
    for seed in range(12):
        painted = noisy(texture(seed=1), seed)
        output = step(stabilizer, texture(), painted)
    assert 0.8 < gradient_energy(luma(output)) / gradient_energy(luma(painted)) < 1.1


def test_texture_is_raised_where_it_was_softened_and_nowhere_else() -> None:
    sharp = noisy(texture(), 0)
    soft = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    sharp, soft = (luma(image)[0, 0].mul(255).numpy() for image in (sharp, soft))

    def restored(blended: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        plane = blended.copy()
        raise_texture(plane, texture_gain(blended, stylized, 1.3), 5, Buffers())
        return plane

    def energy(plane: np.ndarray) -> float:
        return float(sum(np.square(np.diff(plane, axis=axis)).mean() for axis in (0, 1)))

    assert energy(soft) < energy(restored(soft, sharp)) < energy(sharp)
    assert np.allclose(restored(sharp, sharp), sharp, atol=0.01)
    assert np.allclose(restored(sharp, soft), sharp, atol=0.01)


def test_a_still_clip_that_is_painted_alike_stays_exactly_the_same() -> None:
    stabilizer = TemporalStabilizer()
    frame, painted = image_to_yuv(texture()), image_to_yuv(texture(seed=1))
    for _ in range(10):
        assert np.array_equal(stabilizer.step(frame, painted).pixels, painted.pixels)


def test_results_and_inputs_stay_when_more_frames_come() -> None:
    stabilizer, frame = TemporalStabilizer(), image_to_yuv(texture())
    kept: list[tuple[Yuv, np.ndarray]] = [(frame, frame.pixels.copy())]
    for seed in range(8):
        painted = image_to_yuv(noisy(texture(seed=1), seed, sigma=0.5).round())
        kept.append((painted, painted.pixels.copy()))
        steadied = stabilizer.step(frame, painted)
        kept.append((steadied, steadied.pixels.copy()))
    assert all(np.array_equal(picture.pixels, pixels) for picture, pixels in kept)


@pytest.mark.parametrize("light", [1.8, 0.35])
def test_a_flash_is_no_cut(light: float) -> None:
    """The paint of the frame before is still there: the new painting alone would be another."""
    stabilizer = TemporalStabilizer()
    image = 0.1 + 0.45 * texture(96, 128)
    step(stabilizer, image, texture(96, 128, 1))
    stylized = texture(96, 128, 2)
    output = step(stabilizer, (image * light).clamp(0, 1), stylized)
    before, now = (output - texture(96, 128, 1)).abs().mean(), (output - stylized).abs().mean()
    assert before < 0.5 * now


def test_a_blank_scene_with_noise_is_no_row_of_cuts() -> None:
    """Nor is its noise followed: paint would swim on a wall (ten times the flicker)."""
    stabilizer = TemporalStabilizer()
    gray = torch.full((1, 3, 180, 320), 0.3)
    off = [pulsing(texture(180, 320, 1), seed) for seed in range(12)]
    on = [step(stabilizer, noisy(gray, i, 0.004), stylized) for i, stylized in enumerate(off)]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def test_an_exposure_ramp_on_a_moving_clip_is_followed() -> None:
    wide, painted, stabilizer = texture(96, 220), texture(96, 220, 1), TemporalStabilizer()
    off, on = [], []
    for i in range(12):
        window = (..., slice(3 * i, 3 * i + 160))
        painting = pulsing(painted[window], i)
        off.append(luma(painting))  # colors of half the size do not move by 3 pixels
        on.append(luma(step(stabilizer, (0.4 + 0.05 * i) * wide[window], painting)))
    before, after = (
        sum(flicker([a[..., 3:], b[..., :-3]]) for a, b in pairwise(frames[4:]))
        for frames in (off, on)
    )
    assert after < 0.3 * before


def test_what_was_hidden_gets_fresh_paint() -> None:
    """A bright square crosses a gray wall: behind it no trail of its paint is left."""
    stabilizer = TemporalStabilizer()
    for x in range(10, 70, 6):
        image = 0.35 + 0.1 * texture(96, 128)
        image[..., 40:64, x : x + 24] = 0.95
        stylized = torch.where(image > 0.9, torch.tensor(1.0), torch.tensor(0.2))
        output = step(stabilizer, image, stylized)
    behind = output[..., 44:60, x - 12 : x - 3]
    assert behind.mean() < 0.25, "the square's paint is 1, the wall's 0.2"
    assert output[..., 44:60, x + 4 : x + 20].mean() > 0.9


def test_the_past_does_not_grow() -> None:
    stabilizer = TemporalStabilizer()
    sizes = []
    for seed in range(30):
        step(stabilizer, noisy(texture(), seed), texture(seed=1))
        sizes.append(len(pickle.dumps([vars(b) for b in (stabilizer._now, stabilizer._before)])))
    assert sizes[4:] == sizes[4:5] * 26
    assert sizes[-1] < 60 * 48 * 64 * 4


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 16), (5, 40), (1, 30), (33, 401)])
def test_tiny_frames_are_taken(size: tuple[int, int]) -> None:
    stabilizer = TemporalStabilizer()
    for seed in range(3):
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
        assert step(stabilizer, image, image).shape == image.shape


@pytest.mark.parametrize("size", [(24, 32), (96, 128)])
def test_size_change_without_reset_is_refused(size: tuple[int, int]) -> None:
    stabilizer = TemporalStabilizer(StabilizerConfig(flow_size=32))  # which both are scaled to
    step(stabilizer, texture(), texture())
    other = resize(texture(), size)
    with pytest.raises(ValueError, match="the frame size changed without reset"):
        step(stabilizer, other, other)
    stabilizer.reset()
    step(stabilizer, other, other)
