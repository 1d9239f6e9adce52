"""Strokes grow with the picture, and the enlarged painting keeps the picture's own edges."""

import cv2
import numpy as np
import pytest

from stylevid.brush import enlarge, for_brush, shrink
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_image, stylize_video
from stylevid.yuv import Yuv
from tests.clips import decode, encode, textured_frames


def gray(light: np.ndarray) -> Yuv:
    picture = Yuv(np.full((light.shape[0] * 3 // 2, light.shape[1]), 128, np.uint8))
    picture.luma[:] = light
    return picture


def disk(size: int, radius: float) -> np.ndarray:
    """A bright disk with an edge one pixel wide, 40 to 200."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return 40 + 160 * np.clip(radius - np.hypot(y, x) + 0.5, 0, 1)


@pytest.mark.parametrize(
    ("size", "brush", "seen"),
    [
        ((360, 640), None, (360, 640)),
        ((1080, 1920), None, (540, 960)),
        ((1920, 1080), None, (960, 540)),
        ((2160, 3840), None, (540, 960)),
        ((360, 640), 2, (180, 320)),
        ((360, 640), 1, (360, 640)),
        ((1080, 1920), 1, (1080, 1920)),
        ((1080, 1920), 1.5, (720, 1280)),
        ((100, 400), 8, (64, 256)),
        ((20, 400), 8, (20, 400)),
    ],
)
def test_the_network_sees_a_copy_of_known_size(size, brush, seen) -> None:
    picture = gray(np.full(size, 90, np.uint8))
    small = for_brush(picture, brush)
    assert small.size == seen and (small is picture) == (seen == size)
    assert np.all(small.luma == 90) and np.all(small.chroma == 128)


def test_a_painting_that_is_the_picture_is_enlarged_to_the_picture() -> None:
    picture = gray(disk(256, 80))
    seen = shrink(picture, (128, 128))
    whole = enlarge(seen, seen, picture).luma.astype(int)
    plain = cv2.resize(seen.luma, (256, 256), interpolation=cv2.INTER_CUBIC).astype(int)
    assert np.abs(whole - picture.luma).max() < 0.35 * np.abs(plain - picture.luma).max()
    assert np.abs(whole - picture.luma).mean() < 0.5


def test_edges_of_an_inverted_painting_are_inverted() -> None:
    picture = gray(disk(256, 80))
    assert enlarge(picture, picture, picture) is picture  # nothing is to be done
    seen = shrink(picture, (128, 128))
    painted = gray(255 - seen.luma)
    whole = enlarge(painted, seen, picture).luma.astype(int)
    assert np.abs(whole - (255 - picture.luma.astype(int))).mean() < 0.5


def test_strokes_that_have_nothing_to_do_with_the_picture_stay() -> None:
    picture = gray(np.full((128, 192), 100, np.uint8))
    seen = shrink(picture, (64, 96))
    stripes = np.broadcast_to(np.where(np.arange(96) % 8 < 4, 60, 180), (64, 96))
    whole = enlarge(gray(stripes), seen, picture).luma
    assert whole.min() >= 40 and whole.max() <= 200  # no more than the cubic's overshoot
    assert whole[:, 3:6].mean() < 80 and whole[:, 10:14].mean() > 160


# --- in the pipeline ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(128, 160), (131, 157)])
def test_pictures_are_painted_with_a_larger_brush(painter: Painter, size) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    fine, large = (stylize_image(frame, painter, Options(brush=b)) for b in (1, 2))
    assert fine.shape == large.shape == frame.shape
    assert np.abs(fine.astype(int) - large).mean() > 0.5
    assert np.array_equal(stylize_image(frame, painter), fine)  # small: as it was trained


def test_videos_are_painted_with_a_larger_brush(tmp_path, painter: Painter) -> None:
    clip = encode(tmp_path / "clip.mp4", textured_frames(6, 128, 160))
    shown = []
    for brush in (1, 2):
        result = stylize_video(clip, tmp_path / "out.mp4", painter, Options(brush=brush))
        assert (result.height, result.width, result.frames) == (128, 160, 6)
        assert result.flicker is not None and set(result.flicker.errors) == {"off", "on"}
        shown.append(decode(tmp_path / "out.mp4")[3][1].astype(int))
    assert np.abs(shown[0] - shown[1]).mean() > 0.2
