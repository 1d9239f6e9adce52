"""Motion is followed where it can be, the last painting is carried along it, and a new scene has
no past."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.frames import resize
from stylevid.memory import Follower, Motion, carry
from stylevid.yuv import Yuv, image_to_yuv
from tests.material import texture


def detailed(seed: int, width: int = 320) -> Tensor:
    """A muted picture, 180 pixels high, with details of every size, as real ones have."""
    picture = torch.full((1, 3, 180, width), 0.3)
    for scale, share in ((4, 0.2), (2, 0.16), (1, 0.12)):
        part = texture(180 // scale, width // scale, seed=seed + 50 * scale)
        picture += share * torch.nn.functional.interpolate(part, (180, width), mode="bicubic")
    return picture


def noisy(image: Tensor, seed: int, sigma: float) -> Tensor:
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + sigma * grain).clamp(0, 1)


def last_step(*images: Tensor) -> Motion | None:
    """The motion from the last of the images to the one before it."""
    follower = Follower()
    return [follower.step(image_to_yuv(image)) for image in images][-1]


def follow(*images: Tensor) -> Motion:
    motion = last_step(*images)
    assert motion is not None
    return motion


def test_a_still_scene_does_not_move_and_is_trusted() -> None:
    motion = follow(*[texture()] * 3)
    assert np.abs(motion.flow_cur_to_prev).max() < 0.05
    assert motion.trust.min() > 0.98


@pytest.mark.parametrize("shift", [2, 10])
def test_paint_goes_where_the_motion_goes(shift: int) -> None:
    """The scene moves to the left; `flow_cur_to_prev` leads to the right, where it was."""
    wide = detailed(0, 340)
    motion = follow(wide[..., :320], wide[..., shift : shift + 320])
    flow = motion.flow_at(180, 320)
    assert np.median(flow[..., 0]) == pytest.approx(shift, abs=0.1)
    assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.1)
    paint = image_to_yuv(detailed(9, 340))
    last = Yuv(paint.pixels[:, :320].copy())
    last.chroma[:] = np.random.default_rng(0).integers(90, 160, last.chroma.shape)
    past = carry(last, motion)
    there, here = past.painting.luma[20:160, 20:280], last.luma[20:160, 20 + shift : 280 + shift]
    assert np.abs(there.astype(int) - here).mean() < 1.5
    half = shift // 2
    colors = past.painting.chroma[:, 10:80, 10:140].astype(int)
    assert np.abs(colors - last.chroma[:, 10:80, 10 + half : 140 + half]).mean() < 4
    assert np.median(past.trust) > 240
    assert past.trust[:, -(shift // 2) :].mean() < 200, "what came into the picture has no past"


def test_without_motion_the_painting_is_carried_as_it_is() -> None:
    motion = follow(*[texture()] * 2)
    still = Motion(np.zeros_like(motion.flow_cur_to_prev), motion.trust)
    painting = image_to_yuv(noisy(texture(seed=1), 0, 0.5).round())  # overshoot would show
    kept = painting.pixels.copy()
    assert np.array_equal(carry(painting, still).painting.pixels, kept)
    assert np.array_equal(painting.pixels, kept)


def test_between_pixels_the_warp_is_cubic() -> None:
    """A line one pixel wide, moved by half a pixel, keeps 19/32 of its light on either side."""
    flow = np.zeros((48, 64, 2), np.float32)
    flow[..., 0] = 0.5
    painting = Yuv(np.zeros((72, 64), np.uint8))
    painting.luma[:, 30] = 128
    carried = carry(painting, Motion(flow, np.ones((48, 64), np.float32))).painting.luma
    assert carried[20, 27:33].tolist() == [0, 0, 76, 76, 0, 0]


BLACK = torch.zeros(1, 3, 48, 64)


@pytest.mark.parametrize(
    "images",
    [
        (texture(),),
        (texture(), 1 - texture().round()),
        (texture(), BLACK),
        (BLACK, texture()),
        *[(detailed(0), detailed(seed)) for seed in range(2, 8)],
    ],
)
def test_the_first_frame_of_a_scene_has_no_past(images: tuple[Tensor, ...]) -> None:
    """Flow finds something as bright everywhere: their difference alone would tell no cut."""
    assert last_step(*images) is None
    assert last_step(*images, images[-1]) is not None


@pytest.mark.parametrize("light", [1.8, 0.35])
def test_a_flash_is_no_cut_and_its_paint_is_trusted(light: float) -> None:
    image = 0.1 + 0.45 * texture(96, 128)
    motion = follow(image, (image * light).clamp(0, 1))
    assert motion.trust.mean() > 0.6


def test_an_exposure_ramp_on_a_moving_clip_is_followed() -> None:
    wide = texture(96, 220)
    motion = follow(*[(0.4 + 0.05 * i) * wide[..., 3 * i : 3 * i + 160] for i in range(8)])
    assert np.median(motion.flow_cur_to_prev[..., 0]) == pytest.approx(3, abs=0.2)
    assert np.median(motion.trust) > 0.5


def test_a_blank_scene_with_noise_stands_still() -> None:
    """Its noise is not followed: paint would swim on a wall."""
    gray = torch.full((1, 3, 180, 320), 0.3)
    motion = follow(*[noisy(gray, i, 0.004) for i in range(3)])
    assert np.abs(motion.flow_cur_to_prev).mean() < 0.05
    assert motion.trust.mean() > 0.9


def test_what_does_not_change_does_not_tremble_beside_what_moves() -> None:
    wide, other = detailed(0, 168), detailed(3, 160)
    halves = [
        noisy(torch.cat((other, wide[..., 8 * i : 8 * i + 160]), dim=3), i, 0.002) for i in range(2)
    ]
    motion = follow(*halves)
    flow = motion.flow_at(180, 320)
    assert np.abs(flow[:, :140]).max() < 1e-3
    assert np.median(flow[20:160, 180:300, 0]) == pytest.approx(8, abs=0.1)


def test_paint_leaves_no_trail() -> None:
    """A bright square crosses a wall: beside it, its paint is not trusted."""
    images = []
    for x in (10, 16):
        image = 0.35 + 0.1 * texture(96, 128)
        image[..., 40:64, x : x + 24] = 0.95
        images.append(image)
    motion = follow(*images)
    paint = image_to_yuv((images[0] > 0.9).float())
    past = carry(paint, motion)
    trusted = past.painting.luma[::2, ::2] / 255 * (past.trust / 255)
    assert trusted[22:30, 5:8].mean() < 0.1 and trusted[22:30, 21:24].mean() < 0.3
    assert trusted[22:30, 9:18].mean() > 0.85
    assert past.trust[36:, 30:].mean() > 230


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (6, 40), (2, 30), (34, 402)])
def test_tiny_frames_are_taken(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    motion = follow(image, image)
    past = carry(image_to_yuv(image), motion)
    assert past.painting.size == size
    assert past.trust.shape == (size[0] // 2, size[1] // 2)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the size of the frames has changed"):
        follow(texture(), resize(texture(), (24, 36)))


def test_what_shows_nothing_rests_until_it_changes() -> None:
    gray, rng = np.full((90, 160), 60, np.float32), np.random.default_rng(0)
    line, textured = gray.copy(), gray + 8 * rng.choice([-1, 1], (90, 160)).astype(np.float32)
    line[40:44, 20:40] = 90
    follower = Follower()

    def resting(picture: np.ndarray) -> bool | None:
        motion = follower.step_gray(np.float32(picture + rng.normal(0, 0.7, picture.shape)))
        if motion and not motion.resting:
            assert motion.trust.max() == 0 or motion.trust.mean() > 0.9
        return motion and motion.resting

    assert [resting(p) for p in (gray, gray, gray)] == [None, True, True]
    assert [resting(p) for p in (line, line)] == [False, True]
    slow = [resting(gray + 0.2 * step) for step in range(12)]
    assert 1 < slow.count(False) < 6, "it rests on what was painted, not on the frame before"
    assert [resting(p) for p in (textured, textured)][1] is False
