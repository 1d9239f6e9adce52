"""Known answers for the forms of one frame."""

import numpy as np
import pytest
import torch

from stylevid.frames import (
    LUMA_WEIGHTS,
    fit,
    luma,
    pad,
    resize,
    to_frame,
    to_image,
    unpad,
)


def random_frame(height: int = 16, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_image(height: int = 16, width: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def flat_image(*color: float) -> torch.Tensor:
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 2, 3)


def test_every_byte_survives_the_round_trip() -> None:
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_frame(to_image(frame)), frame)


@pytest.mark.parametrize("size", [(16, 24), (7, 13), (1, 1)])
def test_random_frame_survives_the_round_trip(size: tuple[int, int]) -> None:
    frame = random_frame(*size)
    assert np.array_equal(to_frame(to_image(frame)), frame)


def test_image_is_float_with_one_picture_of_three_channels() -> None:
    image = to_image(random_frame())
    assert image.shape == (1, 3, 16, 24)
    assert image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1


def test_each_pixel_keeps_its_place() -> None:
    frame = random_frame()
    image = to_image(frame)
    for y, x, channel in ((0, 0, 0), (0, 23, 1), (15, 0, 2), (5, 17, 0), (11, 3, 1)):
        assert round(image[0, channel, y, x].item() * 255) == frame[y, x, channel]


def test_each_value_of_the_image_lands_in_its_byte() -> None:
    image = torch.zeros(1, 3, 4, 6)
    image[0, 2, 1, 5] = 1.0
    frame = to_frame(image)
    assert frame[1, 5].tolist() == [0, 0, 255]
    assert frame.sum() == 255


def test_red_stays_red() -> None:
    frame = np.zeros((2, 3, 3), np.uint8)
    frame[..., 0] = 255
    image = to_image(frame)
    assert image[:, 0].eq(1).all()
    assert image[:, 1:].eq(0).all()
    assert np.array_equal(to_frame(image), frame)


def test_to_frame_rounds_and_does_not_truncate() -> None:
    assert to_frame(flat_image(100.4 / 255, 100.6 / 255, 254.7 / 255))[0, 0].tolist() == [
        100,
        101,
        255,
    ]


def test_to_frame_clamps_and_does_not_wrap() -> None:
    assert to_frame(flat_image(-0.5, 1.5, 300.0))[0, 0].tolist() == [0, 255, 255]


def test_to_frame_takes_bfloat16_and_gradients() -> None:
    image = flat_image(0.0, 0.5, 1.0).bfloat16().requires_grad_()
    assert to_frame(image)[0, 0].tolist() == [0, 128, 255]


def test_to_frame_gives_contiguous_bytes() -> None:
    frame = to_frame(random_image())
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous


def test_to_image_does_not_share_memory() -> None:
    frame = random_frame()
    before = frame.copy()
    to_image(frame).zero_()
    assert np.array_equal(frame, before)


def test_to_image_reads_a_view_with_turned_channels() -> None:
    bgr = random_frame()
    assert np.array_equal(to_frame(to_image(bgr[..., ::-1])), bgr[..., ::-1])


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((1, 4, 6, 3), np.uint8),
    ],
)
def test_to_image_refuses_what_is_no_frame(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 H,W,3"):
        to_image(frame)


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 4, 6), (1, 4, 4, 6)])
def test_to_frame_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1,3,H,W"):
        to_frame(torch.zeros(shape))


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((480, 640), 320, (240, 320)),
        ((640, 480), 320, (320, 240)),
        ((10, 20), 40, (20, 40)),
        ((100, 100), 7, (7, 7)),
        ((1, 1000), 10, (1, 10)),
        ((3, 5), None, (3, 5)),
    ],
)
def test_fit_keeps_the_aspect_ratio(
    size: tuple[int, int], longest: int | None, expected: tuple[int, int]
) -> None:
    assert fit(*size, longest) == expected


def test_fit_refuses_no_pixels() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel; got 0"):
        fit(4, 6, 0)


def test_resize_takes_height_first() -> None:
    assert resize(random_image(), (8, 30)).shape == (1, 3, 8, 30)


def test_resize_to_its_own_size_changes_nothing() -> None:
    image = random_image()
    assert torch.equal(resize(image, (16, 24)), image)


def test_resize_keeps_a_flat_color_and_the_range() -> None:
    flat = torch.full((1, 3, 16, 24), 0.25)
    assert torch.allclose(resize(flat, (5, 7)), torch.tensor(0.25), atol=1e-6)
    enlarged = resize(random_image().round(), (33, 50))
    assert enlarged.min() >= 0 and enlarged.max() <= 1


def test_resize_antialiases_when_it_shrinks() -> None:
    stripes = torch.zeros(1, 3, 16, 24)
    stripes[..., ::2] = 1
    middle = resize(stripes, (4, 6))[..., 1:-1]
    assert torch.allclose(middle, torch.tensor(0.5), atol=0.05)


@pytest.mark.parametrize("size", [(16, 24), (7, 13), (1, 1), (1, 9), (30, 2)])
def test_unpad_takes_the_padding_off(size: tuple[int, int]) -> None:
    image = random_image(*size)
    padded = pad(image, 4, 8)
    assert all(side % 4 == 0 and side >= 8 for side in padded.shape[-2:])
    assert torch.equal(unpad(padded, *size), image)


def test_pad_repeats_the_right_and_bottom_edge() -> None:
    image = torch.arange(6.0).view(1, 1, 2, 3)
    expected = torch.tensor([[0.0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]])
    assert torch.equal(pad(image, 4, 1)[0, 0], expected)


def test_pad_leaves_a_fitting_image_alone() -> None:
    image = random_image()
    assert torch.equal(pad(image, 4, 8), image)


def test_luma_weights_are_those_of_bt709() -> None:
    assert LUMA_WEIGHTS == (0.2126, 0.7152, 0.0722)
    assert abs(sum(LUMA_WEIGHTS) - 1) < 1e-12


def test_luma_of_pure_colors() -> None:
    assert luma(flat_image(1, 0, 0))[0, 0, 0, 0].item() == pytest.approx(0.2126)
    assert luma(flat_image(0, 1, 0))[0, 0, 0, 0].item() == pytest.approx(0.7152)
    assert luma(flat_image(0, 0, 1))[0, 0, 0, 0].item() == pytest.approx(0.0722)
    assert luma(flat_image(1, 1, 1))[0, 0, 0, 0].item() == pytest.approx(1)
    assert luma(random_image()).shape == (1, 1, 16, 24)
