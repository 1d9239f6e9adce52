"""Two seconds of a video painted twice, side by side: each frame alone, and steadied over time.

A pair of still pictures hides flicker; the same moment twice, in motion, shows it.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import monotonic

import cv2
import numpy as np

from .brush import shrink
from .errors import Cancelled
from .frames import fit
from .painter import Painter
from .pipeline import Options, Progress, paint_frames, target_size
from .video import Timed, VideoWriter, even, probe, read_yuv
from .yuv import Yuv

WINDOW_S = 2.0
WARM_UP_S = 0.5  # painted before the window, so that the steadied half has a past
LONGEST = 480  # pixels, of each half
MOST_FRAMES = 240  # of a video that has very many in two seconds


def compare_video(
    source: Path | str,
    target: Path | str,
    painter: Painter,
    options: Options,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    *,
    share: float = 0.5,
) -> Path:
    """A silent .mp4 of two seconds, painted without temporal consistency on the left and with it
    on the right; returns `target`.

    Args:
        options: how to paint; `temporal` and `measure` do not matter.
        share: where in the video the window's middle lies, from 0 to 1.
        others: as for `stylize_video`; progress holds the two halves as its picture.
    Raises:
        VideoError: the source cannot be read or the target not be written.
        Cancelled: `should_stop` said yes; the target is untouched.
    """
    info = probe(source)
    start_s = window_start(info.duration_s, share)
    warm_up_s = min(WARM_UP_S, start_s)
    height, width = target_size(info.height, info.width, options)
    small = _small_size(even(height), even(width))
    began, count, first_s = monotonic(), 0, None
    frames = _first_seconds(
        read_yuv(info, (height, width), start_s - warm_up_s), warm_up_s + WINDOW_S
    )
    with (
        VideoWriter(target, replace(info, audio=()), (small[0], 2 * small[1])) as writer,
        closing(frames),
    ):
        for painted in paint_frames(frames, painter, replace(options, temporal=True)):
            timed = painted.timed
            passed_s = float(timed.time_s)
            if should_stop is not None and should_stop():
                raise Cancelled(f"Stopped after {count} frames.")
            if passed_s < warm_up_s:
                continue
            picture = _side_by_side(_label(shrink(painted.alone, small), "off"),
                                    _label(shrink(painted.shown, small), "on"))  # fmt: skip
            first_s = timed.time_s if first_s is None else first_s
            writer.write(Timed(picture, timed.time_s - first_s, timed.duration_s))
            count += 1
            if progress is not None:
                fraction = min(passed_s / (warm_up_s + WINDOW_S), 1.0)
                progress(Progress(count, fraction, count / (monotonic() - began), None, picture))
    return Path(target)


def window_start(duration_s: float, share: float) -> float:
    """Where the window begins, seconds: within the video, its middle `share` of the way if it can
    be; 0 when the video is shorter or its length is not known."""
    return min(max(share * duration_s - WINDOW_S / 2, 0.0), max(duration_s - WINDOW_S, 0.0))


def _first_seconds(frames: Generator[Timed[Yuv]], seconds: float) -> Generator[Timed[Yuv]]:
    """The frames of the first seconds, whose times count from the first one."""
    first_s: Fraction | None = None
    with closing(frames):
        for timed in islice(frames, MOST_FRAMES):
            first_s = timed.time_s if first_s is None else first_s
            if timed.time_s - first_s >= seconds:
                return
            yield replace(timed, time_s=timed.time_s - first_s)


def _small_size(height: int, width: int) -> tuple[int, int]:
    height, width = fit(height, width, min(LONGEST, max(height, width)))
    return even(height), even(width)


def _label(picture: Yuv, text: str) -> Yuv:
    """The picture with a word in its upper left corner, written into it."""
    scale = max(0.4, min(picture.size) / 400)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = height // 2 + 1
    box_height, box_width = even(height + 2 * margin), even(width + 2 * margin)
    picture.luma[:box_height, :box_width] = 30
    picture.chroma[:, : box_height // 2, : box_width // 2] = 128
    cv2.putText(picture.luma, text, (margin, height + margin), cv2.FONT_HERSHEY_SIMPLEX, scale,
                (230,), 1, cv2.LINE_AA)  # fmt: skip
    return picture


def _side_by_side(left: Yuv, right: Yuv) -> Yuv:
    """Two pictures of one size in one of twice the width."""
    height, width = left.size
    both = Yuv(np.empty((height * 3 // 2, 2 * width), np.uint8), left.matrix)
    both.luma[:] = np.hstack([left.luma, right.luma])
    both.chroma[:] = np.concatenate([left.chroma, right.chroma], axis=2)
    return both
