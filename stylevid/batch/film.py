"""A long video in pieces that are painted side by side: cut at its scenes, where nothing is
remembered, and within a scene that does not end."""

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from itertools import pairwise

from ..frames import fit
from ..memory import SIZE, Follower
from ..pipeline import Options, Piece
from ..video import Span, VideoInfo, read_yuv, written_tick

WARM_UP = 16  # frames, over which one piece fades to the next
_SEARCH_S = 10.0  # for a cut, from where a piece is long enough


def is_long(info: VideoInfo, options: Options, piece_s: float) -> bool:
    """Whether a video is to be cut into pieces of so many seconds; 0 says never."""
    return 0 < 2 * piece_s < options.span.of(info.duration_s)


def cut_film(
    info: VideoInfo, options: Options, piece_s: float, should_stop: Callable[[], bool]
) -> list[Piece]:
    """Read a video once, small, and cut it into pieces of `piece_s` seconds or a little more.

    Raises:
        VideoError, Cancelled: as `read_yuv`.
    """
    times_s, end_s = list[Fraction](), Fraction(0)
    starts = {0: 0}  # a piece's first frame, and its warm-up
    search_s, follower, last = min(_SEARCH_S, piece_s / 4), None, 0
    size = fit(info.height, info.width, SIZE, enlarge=False)
    with closing(read_yuv(info, size, options.span, should_stop)) as frames:
        for number, timed in enumerate(frames):
            times_s.append(timed.time_s)
            end_s = timed.time_s + timed.duration_s
            over_s = timed.time_s - times_s[last] - Fraction(piece_s)
            if over_s < 0:
                continue
            is_first, follower = follower is None, follower or Follower()
            is_cut = follower.step(timed.frame) is None and not is_first
            if is_cut or over_s >= search_s:
                remembers = options.temporal and not is_cut
                starts[number] = min(WARM_UP, number - last) if remembers else 0
                follower, last = None, number
    return _cut([*times_s, end_s], starts, options.span, written_tick(info))


def _cut(
    times_s: list[Fraction], starts: dict[int, int], span: Span, tick_s: Fraction
) -> list[Piece]:
    ticks = [round((time_s - times_s[0]) / tick_s) for time_s in times_s]

    def before(number: int, share: Fraction) -> float:
        """When so much of the time from the frame before to this one is still to come."""
        length_s = times_s[number] - times_s[number - 1]
        return span.start_s + float(times_s[number] - length_s * share)

    pieces = list[Piece]()
    for start, end in pairwise((*starts, len(times_s) - 1)):
        first = start - starts[start]
        # Where a tick is a whole frame, a seek may move times by a third of it, not by a half.
        start_s = before(first, Fraction(1, 3)) if first else span.start_s
        part = Span(start_s, before(end, Fraction(2, 3)))
        own_ticks = tuple(tick - ticks[start] for tick in ticks[start : end + 1])
        shown_s = times_s[0] + ticks[start] * tick_s
        pieces.append(Piece(part, starts[start], shown_s, own_ticks, tick_s, starts.get(end, 0)))
    return pieces
