"""A video painted twice, side by side: each frame alone, and steadied over time.

A pair of still pictures hides flicker; the same moment twice, in motion, shows it.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

from .brush import shrink
from .errors import Cancelled
from .export import arranger, side_by_side
from .frames import fit
from .painter import Painter
from .pipeline import Options, Progress, how_far, paint_frames, target_size
from .video import Span, VideoWriter, even, probe, read_yuv

WINDOW_S = 2.0
WINDOW_SIDE = 480  # pixels, the longest of each half


def compare_video(
    source: Path | str,
    target: Path | str,
    painter: Painter | Sequence[Painter],
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
    half, shown = size, info
    if share is not None:
        span = window(span, info.duration_s, share)
        half = fit(*size, WINDOW_SIDE, enlarge=False)
        shown = replace(info, audio=())
    half = even(half[0]), even(half[1])
    started, length_s = monotonic(), span.of(info.duration_s)
    show = arranger(side_by_side)
    with (
        VideoWriter(
            target, shown, (half[0], 2 * half[1]), span, options.quality, should_stop=should_stop
        ) as writer,
        closing(read_yuv(info, size, span, should_stop)) as frames,
        closing(paint_frames(frames, painter, replace(options, temporal=True))) as paintings,
    ):
        for count, painted in enumerate(paintings, 1):
            picture = show(shrink(painted.alone, half), shrink(painted.shown, half))
            writer.write(replace(painted.timed, frame=picture))
            if progress is not None:
                progress(how_far(count, started, painted.timed.time_s, length_s, picture))
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
