import numpy as np
import torch

from stylevid.canvas import LEVELS, light_on_canvas, on_canvas, weave
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter
from stylevid.yuv import Yuv


def flat(level: int, height: int = 96, width: int = 128) -> Yuv:
    return Yuv(np.full((height * 3 // 2, width), level, np.uint8))


def test_the_weave_is_faint_of_one_scale_and_always_the_same() -> None:
    threads = weave(480, 640).astype(np.float64)
    assert abs(threads.std() - LEVELS) < 0.1 and abs(threads.mean()) < 0.01
    power = np.abs(np.fft.rfft2(threads)) ** 2
    cycles = np.hypot(np.fft.fftfreq(480)[:, None], np.fft.rfftfreq(640))
    assert power[(cycles > 0.04) & (cycles < 0.16)].sum() > 0.8 * power.sum()
    weave.cache_clear()
    np.testing.assert_array_equal(weave(480, 640), threads)
    assert weave(1, 1).shape == (1, 1)


def test_a_frame_keeps_its_color_and_its_pixels_and_no_level_wraps_around() -> None:
    for level in (0, 128, 255):
        frame = flat(level)
        woven = on_canvas(frame)
        assert (frame.pixels == level).all() and woven.matrix == frame.matrix
        np.testing.assert_array_equal(woven.chroma, frame.chroma)
        expected = (level + weave(96, 128).astype(int)).clip(0, 255)
        np.testing.assert_array_equal(woven.luma, expected)


def test_forms_become_clearer_and_what_is_alike_stays_as_light() -> None:
    luma = np.full((200, 300), 120, np.uint8)
    luma[80:120, 120:180] = 130
    none = np.zeros(luma.shape, np.int8)
    clear = light_on_canvas(luma, none).astype(int)
    assert 134 <= clear[100, 150] <= 140 and clear[:20].min() >= 119 and clear[:20].max() <= 120
    assert 108 < clear[70, 150] < 118, "darker beside what is light"


def test_a_painting_of_a_flat_frame_is_no_flat() -> None:
    torch.manual_seed(0)
    painter = Painter(StyleNet(StyleNetConfig(8, 1)), "cpu")
    (alone,) = painter.paint([flat(235)])
    (known,) = painter.engine.paint([on_canvas(flat(235))])
    np.testing.assert_array_equal(alone.pixels, known.pixels)
    assert alone.luma[8:-8, 8:-8].std() > 2
    np.testing.assert_array_equal(painter.paint_next(flat(235), None).pixels, alone.pixels)
