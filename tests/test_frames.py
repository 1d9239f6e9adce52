"""Known answers for the forms of one frame."""

import numpy as np
import pytest
import torch

from stylevid.frames import LUMA_WEIGHTS, fit, luma, pad, resize, to_frame, to_image, unpad
from tests.material import random_image


def random_frame(height: int = 16, width: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat_image(*color: float) -> torch.Tensor:
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 2, 3)


@pytest.mark.parametrize(
    "frame",
    [random_frame(64, 64), random_frame(1, 1), random_frame()[..., ::-1]],  # the last is a view
)
def test_every_byte_survives_the_round_trip_and_no_memory_is_shared(frame: np.ndarray) -> None:
    image, before = to_image(frame), frame.copy()
    assert image.shape == (1, 3, *frame.shape[:2]) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    back = to_frame(image)
    assert np.array_equal(back, frame)
    assert back.dtype == np.uint8 and back.flags.c_contiguous
    image.zero_()
    assert np.array_equal(frame, before)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((100.4 / 255, 100.6 / 255, 254.7 / 255), [100, 101, 255]),  # rounded, not truncated
        ((-0.5, 1.5, 300.0), [0, 255, 255]),  # clamped, not wrapped
    ],
)
def test_to_frame_rounds_and_clamps(color, expected: list[int]) -> None:
    assert to_frame(flat_image(*color))[0, 0].tolist() == expected
    image = flat_image(0.0, 0.5, 1.0).bfloat16().requires_grad_()
    assert to_frame(image)[0, 0].tolist() == [0, 128, 255]


def test_what_is_no_frame_or_no_image_is_refused() -> None:
    for frame in (np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3))):
        with pytest.raises(ValueError, match="uint8 H,W,3"):
            to_image(frame)
    for shape in ((2, 3, 4, 6), (1, 1, 4, 6)):
        with pytest.raises(ValueError, match="1,3,H,W"):
            to_frame(torch.zeros(shape))
    with pytest.raises(ValueError, match="at least 1 pixel; got 0"):
        fit(4, 6, 0)


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


def test_resize_takes_height_first_and_keeps_flat_colors_and_the_range() -> None:
    assert resize(random_image(), (8, 30)).shape == (1, 3, 8, 30)
    assert torch.equal(resize(random_image(), (16, 24)), random_image())
    flat = torch.full((1, 3, 16, 24), 0.25)
    assert torch.allclose(resize(flat, (5, 7)), torch.tensor(0.25), atol=1e-6)
    stripes = (torch.arange(24) % 2).float().expand(1, 3, 16, 24)
    assert torch.allclose(resize(stripes, (4, 6))[..., 1:-1], torch.tensor(0.5), atol=0.05)
    enlarged = resize(random_image().round(), (33, 50))
    assert enlarged.min() >= 0 and enlarged.max() <= 1


@pytest.mark.parametrize("size", [(16, 24), (7, 13), (1, 1), (1, 9), (30, 2)])
def test_unpad_takes_the_padding_off(size: tuple[int, int]) -> None:
    image = random_image(*size)
    padded = pad(image, 4, 8)
    assert all(side % 4 == 0 and side >= 8 for side in padded.shape[-2:])
    assert torch.equal(unpad(padded, *size), image)
    assert torch.equal(padded[..., -1, -1], image[..., -1, -1])


def test_luma_weights_are_those_of_bt709() -> None:
    assert LUMA_WEIGHTS == (0.2126, 0.7152, 0.0722)
    for color, light in (((1, 0, 0), 0.2126), ((0, 1, 0), 0.7152), ((0, 0, 1), 0.0722)):
        assert luma(flat_image(*color))[0, 0, 0, 0].item() == pytest.approx(light)
    assert luma(flat_image(1, 1, 1))[0, 0, 0, 0].item() == pytest.approx(1)
    assert luma(random_image()).shape == (1, 1, 16, 24)
