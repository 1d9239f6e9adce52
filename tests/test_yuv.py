"""YUV pictures: known levels of known colors, there and back, and what is refused."""

import numpy as np
import pytest
import torch

from stylevid.yuv import (
    MATRICES,
    Yuv,
    from_rgb_matrix,
    image_to_planes,
    image_to_yuv,
    planes_to_image,
    to_rgb_matrix,
    yuv_to_image,
)


def plain(color: tuple[float, float, float], height: int = 4, width: int = 6) -> torch.Tensor:
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


# ITU-R BT.601 and BT.709, 8 bits, limited range.
@pytest.mark.parametrize(
    ("matrix", "color", "levels"),
    [
        ("bt601", (0, 0, 0), (16, 128, 128)),
        ("bt601", (1, 1, 1), (235, 128, 128)),
        ("bt601", (1, 0, 0), (81, 90, 240)),
        ("bt601", (0, 1, 0), (145, 54, 34)),
        ("bt601", (0, 0, 1), (41, 240, 110)),
        ("bt709", (1, 0, 0), (63, 102, 240)),
        ("bt709", (0, 1, 0), (173, 42, 26)),
        ("bt709", (0, 0, 1), (32, 240, 118)),
        ("bt2020", (1, 0, 0), (74, 97, 240)),
    ],
)
def test_known_colors_have_known_levels(matrix, color, levels) -> None:
    picture = image_to_yuv(plain(color), matrix)
    found = (picture.luma[0, 0], picture.chroma[0, 0, 0], picture.chroma[1, 0, 0])
    assert found == levels
    assert np.ptp(picture.luma) == 0 and picture.luma.shape == (4, 6)
    assert picture.chroma.shape == (2, 2, 3)
    assert (yuv_to_image(picture) - plain(color)).abs().max() < 0.012


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_matrices_undo_one_another(matrix: str) -> None:
    to_rgb, _ = to_rgb_matrix(matrix)
    assert np.allclose(to_rgb @ from_rgb_matrix(matrix), np.eye(3), atol=1e-5)
    light = torch.rand(1, 1, 8, 10).expand(1, 3, 8, 10)
    assert (yuv_to_image(image_to_yuv(light, matrix)) - light).abs().max() < 0.003


def test_an_odd_side_repeats_its_last_pixels() -> None:
    image = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    picture = image_to_yuv(image)
    assert picture.size == (6, 8)
    assert np.array_equal(picture.luma[5], picture.luma[4])
    assert np.array_equal(picture.luma[:, 7], picture.luma[:, 6])


def test_planes_lie_where_i420_has_them() -> None:
    pixels = np.arange(6 * 6, dtype=np.uint8).reshape(6, 6)
    picture = Yuv(pixels)
    assert picture.size == (4, 6)
    assert picture.luma.tolist() == pixels[:4].tolist()
    assert picture.chroma.tolist() == [[[24, 25, 26], [27, 28, 29]], [[30, 31, 32], [33, 34, 35]]]
    picture.luma[0, 0] = 200  # a view, no copy
    picture.chroma[1, 1, 2] = 201
    assert pixels[0, 0] == 200 and pixels[5, 5] == 201


def test_batches_are_converted_like_single_pictures() -> None:
    images = torch.rand(3, 3, 6, 8)
    planes = image_to_planes(images, "bt709")
    assert planes.shape == (3, 9, 8) and planes.dtype == torch.uint8
    for image, plane in zip(images, planes, strict=True):
        assert np.array_equal(image_to_yuv(image[None], "bt709").pixels, plane.numpy())
    back = planes_to_image(planes, "bt709")
    assert back.shape == images.shape and back.dtype == torch.float32
    assert torch.allclose(back[1:2].clamp(0, 1), yuv_to_image(Yuv(planes[1].numpy(), "bt709")))


@pytest.mark.parametrize("shape", [(4, 6), (6, 5), (0, 4), (6, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    for pixels in (np.zeros(shape, np.uint8), np.zeros((6, 4), np.float32)):
        with pytest.raises(ValueError, match="even H and W"):
            Yuv(pixels)
    with pytest.raises(ValueError, match="bt601, bt709"):
        Yuv(np.zeros((6, 4), np.uint8), "bt1886")
