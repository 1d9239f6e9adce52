"""A video painted twice, side by side: each frame alone, and steadied over time.

A pair of still pictures hides flicker; the same moment twice, in motion, shows it.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

from .brush import shrink
from .errors import Cancelled
from .export import arranger, side_by_side
from .frames import fit
from .painter import Painter
from .pipeline import Options, Progress, paint_frames, target_size
from .video import Span, VideoWriter, even, probe, read_yuv

WINDOW_S = 2.0
WINDOW_SIDE = 480  # pixels, the longest of each half


def compare_video(
    source: Path | str,
    target: Path | str,
    painter: Painter,
    options: Options,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    *,
    share: float | None = None,
) -> Path:
    """An .mp4 of a video painted without temporal consistency on the left and with it on the
    right, with its sound; returns `target`.

    Args:
        options: how to paint; `temporal` and `measure` do not matter.
        share: show two small, silent seconds only, with their middle there in the part that the
            options name, from 0 to 1.
        others: as for `stylize_video`; progress holds the two halves as its picture.
    Raises:
        VideoError: the source cannot be read or the target not be written.
        Cancelled: `should_stop` said yes; the target is untouched.
    """
    info, span = probe(source), options.span
    size = target_size(info.height, info.width, options)
    half = even(size[0]), even(size[1])
    shown = info
    if share is not None:
        span = window(span, info.duration_s, share)
        half = _within(half, WINDOW_SIDE)
        shown = replace(info, audio=())
    began, count, length_s = monotonic(), 0, span.of(info.duration_s)
    show = arranger(side_by_side)
    with (
        VideoWriter(target, shown, (half[0], 2 * half[1]), span, options.quality) as writer,
        closing(read_yuv(info, size, span, should_stop)) as frames,
        closing(paint_frames(frames, painter, replace(options, temporal=True))) as paintings,
    ):
        for painted in paintings:
            picture = show(shrink(painted.alone, half), shrink(painted.shown, half))
            writer.write(replace(painted.timed, frame=picture))
            count += 1
            if progress is not None:
                fraction = min(float(painted.timed.time_s) / length_s, 1.0) if length_s else 0.0
                progress(Progress(count, fraction, count / (monotonic() - began), None, picture))
            if should_stop is not None and should_stop():
                raise Cancelled(f"Stopped after {count} frames; nothing was written.")
    return Path(target)


def window(span: Span, duration_s: float, share: float) -> Span:
    """Two seconds within the span of a video that long, their middle `share` of the way if it can
    be; at its start when it is shorter or nobody knows its length."""
    length_s = span.of(duration_s)
    latest_s = max(length_s - WINDOW_S, 0.0)
    start_s = span.start_s + min(max(share * length_s - WINDOW_S / 2, 0.0), latest_s)
    return Span(start_s, min(start_s + WINDOW_S, span.end_s or start_s + WINDOW_S))


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    height, width = fit(*size, min(longest, max(size)))
    return even(height), even(width)
