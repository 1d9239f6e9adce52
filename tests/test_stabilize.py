"""The stabilizer steadies what flickers, and leaves everything else as it was."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from stylevid.frames import resize
from stylevid.metrics import gradient_energy
from stylevid.stabilize import StabilizerConfig, TemporalStabilizer, restore_texture


def texture(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    coarse = torch.rand(
        1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed)
    )
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.clamp(0, 1)


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


def test_moving_clip_becomes_steadier_along_its_motion() -> None:
    wide, painted, stabilizer = texture(48, 120), texture(48, 120, 1), TemporalStabilizer()
    off, on = [], []
    for i in range(12):
        window = (..., slice(3 * i, 3 * i + 64))
        off.append(pulsing(painted[window], i))
        on.append(stabilizer.step(wide[window], off[-1]))
    followed = [
        flicker([a[..., 3:], b[..., :-3]]) for frames in (off, on) for a, b in pairwise(frames[4:])
    ]
    assert sum(followed[len(followed) // 2 :]) < 0.3 * sum(followed[: len(followed) // 2])


def test_hard_cut_gives_exactly_the_unstabilized_frame() -> None:
    stabilizer = TemporalStabilizer()
    stabilizer.step(texture(seed=0), texture(seed=1))
    stylized = texture(seed=3)
    assert torch.equal(stabilizer.step(1 - texture(seed=0).round(), stylized), stylized)


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
    assert torch.allclose(stabilizer.step(texture(), stylized), stylized, atol=1e-5)


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


def test_restore_texture_raises_what_was_softened_and_nothing_else() -> None:
    sharp = noisy(texture(), 0)
    soft = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    restored = restore_texture(soft, sharp, max_gain=1.3)
    assert gradient_energy(soft) < gradient_energy(restored) < gradient_energy(sharp)
    assert torch.allclose(restore_texture(sharp, sharp, 1.3), sharp, atol=1e-5)
    assert torch.allclose(restore_texture(sharp, soft, 1.3), sharp, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (1, 30)])
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
