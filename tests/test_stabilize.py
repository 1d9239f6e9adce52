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
    _from_image,
    _to_image,
    raise_texture,
    texture_gain,
)
from stylevid.yuv import image_to_yuv, yuv_to_image


def texture(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    coarse = torch.rand(
        1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed)
    )
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 1)


def detailed(seed: int) -> Tensor:
    """A muted picture of 180x320 with details of every size, as real ones have."""
    picture = torch.full((1, 3, 180, 320), 0.3)
    for scale, share in ((4, 0.2), (2, 0.12), (1, 0.08)):
        part = texture(180 // scale, 320 // scale, seed + 50 * scale)
        picture += share * torch.nn.functional.interpolate(part, (180, 320), mode="bicubic")
    return picture


def noisy(image: Tensor, seed: int, sigma: float = 0.05) -> Tensor:
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + sigma * grain).clamp(0, 1)


def pulsing(image: Tensor, seed: int) -> Tensor:
    """The picture with coarse independent blotches: the flicker of a style network."""
    return (image + 0.3 * (texture(*image.shape[-2:], seed + 100) - 0.5)).clamp(0, 1)


def flicker(frames: list[Tensor]) -> float:
    changes = [(b - a).square().mean().item() for a, b in pairwise(frames)]
    return sum(changes) / len(changes)


def test_first_frame_is_the_painting_itself() -> None:
    stylized = texture(seed=1)
    assert torch.equal(TemporalStabilizer().step(texture(), stylized), stylized)


@pytest.mark.parametrize("disturb", [noisy, pulsing])
def test_still_clip_becomes_much_steadier(disturb) -> None:
    image, stabilizer = texture(), TemporalStabilizer()
    off = [disturb(texture(seed=1), seed) for seed in range(20)]
    on = [stabilizer.step(image, stylized) for stylized in off]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def flicker_along(motion: int) -> tuple[float, float]:
    """Of a clip 160 pixels wide that moves to the left: without the stabilizer, and with it."""
    wide, painted, stabilizer = texture(48, 280), texture(48, 280, 1), TemporalStabilizer()
    off, on = [], []
    for i in range(12):
        window = (..., slice(motion * i, motion * i + 160))
        off.append(pulsing(painted[window], i))
        on.append(stabilizer.step(wide[window], off[-1]))
    ways = (
        [flicker([a[..., motion:], b[..., :-motion]]) for a, b in pairwise(frames[4:])]
        for frames in (off, on)
    )
    without, steadied = (sum(changes) for changes in ways)
    return without, steadied


def test_moving_clip_becomes_steadier_along_its_motion() -> None:
    off, on = flicker_along(motion=2)
    assert on < 0.3 * off


def test_where_all_rushes_by_more_of_the_painting_is_fresh() -> None:
    (slow_off, slow_on), (fast_off, fast_on) = flicker_along(motion=2), flicker_along(motion=10)
    assert 2 * slow_on / slow_off < fast_on / fast_off < 0.9


def test_hard_cut_gives_exactly_the_unstabilized_frame() -> None:
    stabilizer = TemporalStabilizer()
    stabilizer.step(texture(seed=0), texture(seed=1))
    stylized = texture(seed=3)
    assert torch.equal(stabilizer.step(1 - texture(seed=0).round(), stylized), stylized)


@pytest.mark.parametrize("seed", range(2, 8))
def test_a_cut_between_scenes_of_the_same_brightness_is_seen(seed: int) -> None:
    """Flow finds something as bright everywhere: their difference alone would tell no cut."""
    stabilizer = TemporalStabilizer()
    stabilizer.step(detailed(0), texture(180, 320, 1))
    stylized = texture(180, 320, 3)
    output = stabilizer.step(detailed(seed), stylized)
    assert torch.equal(output, stylized)


@pytest.mark.parametrize("to_black", [True, False])
def test_black_and_a_scene_are_two_scenes(to_black: bool) -> None:
    stabilizer = TemporalStabilizer()
    frames = [texture(96, 128), torch.zeros(1, 3, 96, 128)]
    before, after = frames if to_black else reversed(frames)
    stabilizer.step(before, texture(96, 128, 1))
    stylized = texture(96, 128, 2)
    assert torch.equal(stabilizer.step(after, stylized), stylized)


def test_after_a_cut_the_new_scene_is_steadied() -> None:
    stabilizer = TemporalStabilizer()
    stabilizer.step(texture(seed=0), texture(seed=1))
    new_scene = 1 - texture(seed=0).round()
    off = [noisy(texture(seed=3), seed) for seed in range(12)]
    on = [stabilizer.step(new_scene, stylized) for stylized in off]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def test_reset_forgets_the_past() -> None:
    stabilizer = TemporalStabilizer()
    stabilizer.step(texture(), texture(seed=1))
    stabilizer.reset()
    stylized = texture(seed=2)
    assert torch.equal(stabilizer.step(texture(), stylized), stylized)


def test_no_blend_gives_the_painting_back() -> None:
    stabilizer = TemporalStabilizer(StabilizerConfig(blend=0))
    stabilizer.step(texture(), texture(seed=1))
    stylized = texture(seed=2)
    assert torch.allclose(stabilizer.step(texture(), stylized), stylized, atol=1e-4)


def test_output_is_float32_within_range_and_does_not_touch_its_inputs() -> None:
    stabilizer = TemporalStabilizer()
    for seed in range(4):
        image = noisy(texture(), seed)
        stylized = noisy(texture(seed=1), seed, sigma=0.5).round().bfloat16()
        before = image.clone(), stylized.clone()
        output = stabilizer.step(image, stylized)
        assert output.dtype == torch.float32 and output.shape == image.shape
        assert output.min() >= 0 and output.max() <= 1
        assert torch.equal(image, before[0]) and torch.equal(stylized, before[1])


def test_sharpness_is_kept_near_the_current_paintings() -> None:
    image, stabilizer = texture(96, 128), TemporalStabilizer()
    wide = texture(96, 180)
    painted = noisy(texture(96, 180, 1), 0, sigma=0.06)
    for i in range(12):
        window = (..., slice(2 * i, 2 * i + 128))
        output = stabilizer.step(wide[window], painted[window])
        ratio = gradient_energy(output) / gradient_energy(painted[window])
        assert 0.75 < ratio < 1.1
    assert output.shape == image.shape


def test_texture_that_blending_averages_away_is_restored() -> None:
    stabilizer = TemporalStabilizer()
    for seed in range(12):
        painted = noisy(texture(seed=1), seed)
        output = stabilizer.step(texture(), painted)
    assert 0.8 < gradient_energy(output) / gradient_energy(painted) < 1.1  # 0.53 if it were not


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
        assert np.array_equal(stabilizer.step_frame(frame, painted).pixels, painted.pixels)


@pytest.mark.parametrize(("colorful", "most"), [(False, 0.015), (True, 0.3)])
def test_frames_and_images_are_steadied_alike(colorful: bool, most: float) -> None:
    """But for the colors, which frames have at half the size."""
    by_frame, by_image = TemporalStabilizer(), TemporalStabilizer()
    for seed in range(5):
        image, painting = noisy(texture(), seed, 0.01), pulsing(texture(seed=1), seed)
        if not colorful:
            image, painting = luma(image).repeat(1, 3, 1, 1), luma(painting).repeat(1, 3, 1, 1)
        frame, painted = image_to_yuv(image), image_to_yuv(painting)
        kept = painted.pixels.copy()
        ours = by_frame.step_frame(frame, painted)
        theirs = by_image.step(yuv_to_image(frame), yuv_to_image(painted))
        assert ours.size == frame.size and np.array_equal(painted.pixels, kept)
        difference = (yuv_to_image(ours) - theirs).abs()
        assert difference.mean() < most / 10 and difference.max() < most


def test_a_result_stays_when_more_frames_come() -> None:
    stabilizer = TemporalStabilizer()
    frame = image_to_yuv(texture())
    results = [
        stabilizer.step_frame(frame, image_to_yuv(pulsing(texture(seed=1), seed)))
        for seed in range(4)
    ]
    kept = [result.pixels.copy() for result in results]
    for seed in range(4, 8):
        stabilizer.step_frame(frame, image_to_yuv(pulsing(texture(seed=1), seed)))
    assert all(np.array_equal(a.pixels, b) for a, b in zip(results, kept, strict=True))


def test_an_image_survives_its_planes() -> None:
    image = torch.rand(1, 3, 9, 7)
    assert torch.allclose(_to_image(_from_image(image)), image, atol=1e-5)


@pytest.mark.parametrize("light", [1.8, 0.35])
def test_a_flash_is_no_cut(light: float) -> None:
    """The paint of the frame before is still there: the new painting alone would be another."""
    stabilizer = TemporalStabilizer()
    image = 0.1 + 0.45 * texture(96, 128)
    stabilizer.step(image, texture(96, 128, 1))
    stylized = texture(96, 128, 2)
    output = stabilizer.step((image * light).clamp(0, 1), stylized)
    before, now = (output - texture(96, 128, 1)).abs().mean(), (output - stylized).abs().mean()
    assert before < 0.5 * now


def test_a_blank_scene_with_noise_is_no_row_of_cuts() -> None:
    """Nor is its noise followed: paint would swim on a wall (ten times the flicker)."""
    stabilizer = TemporalStabilizer()
    gray = torch.full((1, 3, 180, 320), 0.3)
    off = [pulsing(texture(180, 320, 1), seed) for seed in range(12)]
    on = [stabilizer.step(noisy(gray, i, 0.004), stylized) for i, stylized in enumerate(off)]
    assert flicker(on[5:]) < 0.2 * flicker(off[5:])


def test_an_exposure_ramp_on_a_moving_clip_is_followed() -> None:
    wide, painted, stabilizer = texture(96, 220), texture(96, 220, 1), TemporalStabilizer()
    off, on = [], []
    for i in range(12):
        window = (..., slice(3 * i, 3 * i + 160))
        off.append(pulsing(painted[window], i))
        on.append(stabilizer.step((0.4 + 0.05 * i) * wide[window], off[-1]))
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
        output = stabilizer.step(image, stylized)
    behind = output[..., 44:60, x - 12 : x - 3]
    assert behind.mean() < 0.25, "the square's paint is 1, the wall's 0.2"
    assert output[..., 44:60, x + 4 : x + 20].mean() > 0.9


def test_the_past_does_not_grow() -> None:
    stabilizer = TemporalStabilizer()
    sizes = []
    for seed in range(30):
        stabilizer.step(noisy(texture(), seed), texture(seed=1))
        sizes.append(len(pickle.dumps([vars(b) for b in (stabilizer._now, stabilizer._before)])))
    assert sizes[4:] == sizes[4:5] * 26
    assert sizes[-1] < 60 * 48 * 64 * 4


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 16), (5, 40), (1, 30), (33, 401)])
def test_tiny_frames_are_taken(size: tuple[int, int]) -> None:
    stabilizer = TemporalStabilizer()
    for seed in range(3):
        image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
        assert stabilizer.step(image, image).shape == image.shape


def test_frames_above_the_flow_size_are_steadied_too() -> None:
    image, stabilizer = texture(60, 96), TemporalStabilizer(StabilizerConfig(flow_size=48))
    off = [pulsing(texture(60, 96, 1), seed) for seed in range(12)]
    on = [stabilizer.step(image, stylized) for stylized in off]
    assert flicker(on[5:]) < 0.3 * flicker(off[5:])


def test_size_change_without_reset_is_refused() -> None:
    stabilizer = TemporalStabilizer()
    stabilizer.step(texture(), texture())
    with pytest.raises(ValueError, match="reset"):
        stabilizer.step(texture(24, 32), texture(24, 32))
    stabilizer.reset()
    stabilizer.step(texture(24, 32), texture(24, 32))


def test_size_change_that_shrinks_to_the_same_flow_size_is_refused() -> None:
    stabilizer = TemporalStabilizer(StabilizerConfig(flow_size=32))
    image = texture(48, 64)
    larger = resize(image, (96, 128))
    stabilizer.step(image, image)
    with pytest.raises(ValueError, match="size"):
        stabilizer.step(larger, larger)
