"""A visitor's own video before it is painted: a frame of it in every style, and a few seconds of it
in motion in one."""

import math
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from stylevid.errors import StylevidError, VideoError
from stylevid.frames import Frame, Size, fit, to_frame, to_image
from stylevid.painter import Painter
from stylevid.pipeline import Options, paint_frames
from stylevid.styles import Mix, Style
from stylevid.video import Span, Timed, VideoInfo, VideoWriter, even, read_picture, read_yuv
from stylevid.yuv import Yuv, image_to_yuv, yuv_to_image

from .gallery import picture_of
from .painting import in_time

SIZE = 324, 432  # height, width in pixels: one for all, as a network is compiled for each; of
# smaller frames strokes hide the faces
MOTION_S, MOTION_FPS = 3.0, 12
MOTION_SIDE = 640  # pixels, the longest: that of the painting
LOOK_S = 20.0  # that the frames for it may take to be read
_KEPT, _KEPT_MOVING = 32, 3  # painters; each takes some 30 MB for each size of its frames


class Easel:
    """Painters that are kept ready, and what they paint while a visitor chooses."""

    def __init__(self, device: str | None) -> None:
        if "spaces" in sys.modules:  # ZeroGPU lends a GPU for long work only
            device = "cpu"
        self._painters = _Painters(device, _KEPT)
        self._moving = _Painters(device, _KEPT_MOVING)

    def warm_up(self, styles: list[Style]) -> None:
        """Get the painters of the styles ready, as long as the program goes on."""
        for _ in self.paint_all(np.zeros((*SIZE, 3), np.uint8), styles):
            if not threading.main_thread().is_alive():
                return

    def paint_all(self, frame: Frame, styles: list[Style]) -> Iterator[Image.Image]:
        """The frame in each style; the preview of one that cannot be used."""
        picture = image_to_yuv(to_image(frame))
        for style in styles:
            try:
                painting = self._painters.of(style).paint_next(picture, None)
                yield Image.fromarray(to_frame(yuv_to_image(painting)))
            except StylevidError:
                yield picture_of(style)

    def paint_motion(
        self, info: VideoInfo, share: float, style: Style | Mix, options: Options,
        should_stop: Callable[[], bool],
    ) -> Iterator[Frame | bytes]:  # fmt: skip
        """The first painted frame of the three seconds there, soon, and then their MP4, unless
        `should_stop` says yes, which is asked after each frame.

        Raises:
            StylevidError: the video or the style cannot be used.
        """
        start_s = min(moment(info, share), max(0.0, info.duration_s - MOTION_S))
        height, width = fit(info.height, info.width, MOTION_SIDE)
        painter, size = self._moving.of(style), (even(height), even(width))
        try:
            chosen = _three_seconds(info, size, start_s)
        except VideoError:
            if not start_s:
                raise
            chosen = _three_seconds(info, size, 0.0)  # the sound is longer
        with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
            path, frame_s = Path(folder) / "motion.mp4", Fraction(1, MOTION_FPS)
            with (
                VideoWriter(path, replace(info, audio=()), size) as writer,
                closing(paint_frames(chosen, painter, replace(options, brush=None))) as paintings,
            ):
                for count, painted in enumerate(paintings):
                    writer.write(Timed(painted.shown, count * frame_s, frame_s))
                    if should_stop():
                        return
                    if count == 0:
                        yield to_frame(yuv_to_image(painted.shown))
            yield path.read_bytes()


def _three_seconds(info: VideoInfo, size: Size, start_s: float) -> list[Timed[Yuv]]:
    """The frames from a moment on, at an even pace: some are left out, some come more often."""
    chosen: list[Timed[Yuv]] = []
    span = Span(start_s, start_s + MOTION_S)
    with closing(read_yuv(info, size, span, in_time(LOOK_S))) as frames:
        for timed in frames:
            until_s = float(timed.time_s + timed.duration_s)
            more = math.ceil(min(until_s, MOTION_S) * MOTION_FPS) - len(chosen)
            chosen += [timed] * more
    return chosen


class Turns:
    """Of what one visitor asks for, only the newest goes on."""

    def __init__(self) -> None:
        self._newest = 0

    def begin(self) -> Callable[[], bool]:
        """A new turn, which ends all before it: whether it is over."""
        self._newest = mine = self._newest + 1
        return lambda: self._newest != mine


class _Painters:
    """The painters of the last few styles."""

    def __init__(self, device: str | None, most: int) -> None:
        self._lock = threading.Lock()  # else two may make the same one
        self._kept = lru_cache(most)(partial(Painter, device=device))

    def of(self, style: Style | Mix) -> Painter:
        with self._lock:
            return self._kept(style)


def moment(info: VideoInfo, share: float) -> float:
    """Seconds into a video, `share` from 0 to 1 of the way, where a frame still follows."""
    return share * max(info.duration_s - 0.1, 0.0)


def tile(info: VideoInfo, share: float) -> Frame:
    """The middle of the frame at that moment, uint8 H,W,3 RGB, of SIZE.

    Raises:
        VideoError: it cannot be read.
    """
    scale = max(most / side for most, side in zip(SIZE, (info.height, info.width), strict=True))
    height, width = (  # of a strip that has hardly a middle, squeezed
        min(max(most, round(scale * side)), 4 * most)
        for most, side in zip(SIZE, (info.height, info.width), strict=True)
    )
    frame = read_picture(info, moment(info, share), (height, width))
    top, left = (height - SIZE[0]) // 2, (width - SIZE[1]) // 2
    return frame[top : top + SIZE[0], left : left + SIZE[1]]
