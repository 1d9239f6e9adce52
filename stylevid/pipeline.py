"""Where the parts meet: a picture or a video in, painted, out.

Decoding, painting and encoding run side by side; a few frames at most wait between them, so that
memory does not grow with the length of the video.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice, pairwise, tee
from math import prod
from pathlib import Path
from typing import TypeVar, cast

import cv2
import torch

from .brush import enlarge, for_brush
from .errors import Cancelled, VideoError
from .frames import Frame, fit, size_of, to_frame, to_image, unpad
from .memory import Follower, Motion
from .metrics import CUT_BELOW, Flicker, FlickerMeter
from .painter import Painter
from .recipe import MAX_STYLES, Recipe
from .styles import is_slug
from .video import FEW_CORES, QUALITIES, Span, Timed, VideoInfo, VideoWriter, even, probe, read_yuv
from .yuv import Bytes, Yuv, image_to_yuv, yuv_to_image

Item = TypeVar("Item")

QUEUE_FRAMES = 4
MEASURED_PAIRS = 40  # of frames, or up to twice as many, all over the clip: enough for two digits


@dataclass(frozen=True)
class Options:
    """How to paint.

    Attributes:
        temporal: steady the painting over time.
        size: longest side of the result in pixels; None keeps the video's own.
        enlarge: whether a video smaller than `size` is scaled up to it.
        strength: 0 shows the video, 1 the painting, between them a mix.
        keep_colors: take light and dark from the painting, colors from the video.
        brush: size of the strokes, 1 to 8 times that of the training; None lets them grow with
            the picture.
        quality: of the video file, one of `video.QUALITIES`.
        measure: measure the flicker while painting.
        max_seconds: refuse a longer video; None takes any.
        max_pixels: refuse a video with more in all its frames together, as they are read or, if
            they are larger then, as they are painted; None takes any.
        start_s, end_s: paint this part of the video only, in seconds; None goes on to the end.
    """

    temporal: bool = True
    size: int | None = None
    enlarge: bool = True
    strength: float = 1.0
    keep_colors: bool = False
    brush: float | None = None
    quality: str = "good"
    measure: bool = True
    max_seconds: float | None = None
    max_pixels: int | None = None
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is a number from 0 to 1; got {self.strength}")
        if self.size is not None and not 16 <= self.size <= 8192:
            raise ValueError(f"size is from 16 to 8192 pixels; got {self.size}")
        if self.brush is not None and not 1 <= self.brush <= 8:
            raise ValueError(f"brush is a number from 1 to 8; got {self.brush}")
        if self.quality not in QUALITIES:
            raise ValueError(f"quality is one of {', '.join(QUALITIES)}; got {self.quality!r}")
        _ = self.span

    @property
    def span(self) -> Span:
        """The part of the video to paint."""
        return Span(self.start_s, self.end_s)


@dataclass(frozen=True)
class Piece:
    """A part of a video that is painted apart from what comes before and after it, and without
    its sound, to be joined to them.

    Where a scene goes on, the next piece begins to paint `warm_up` frames early, and this one
    fades to what that one sees there: a painting depends on all that came before it, so the two
    would not meet otherwise, however long the warm-up.

    Attributes:
        span: of the video: what is decoded, the warm-up too.
        warm_up: frames that are painted first, and not shown.
        shown_s: when it shows in the video.
        ticks: when each frame shows, from the first one's 0, and the end of the last.
        tick_s: one of them in seconds.
        fade: how many of the last frames the next piece has as its warm-up.
    """

    span: Span
    warm_up: int
    shown_s: Fraction
    ticks: tuple[int, ...]
    tick_s: Fraction
    fade: int


@dataclass(frozen=True)
class Progress:
    """How far a video is.

    Attributes:
        frames, fps: painted so far, and a second on average.
        fraction: of the video's length, 0 to 1; 0 while the length is not known.
        left_s: seconds left, None while nobody can tell.
        picture: the newest painted frame.
    """

    frames: int
    fraction: float
    fps: float
    left_s: float | None
    picture: Yuv

    @property
    def latest(self) -> Frame:
        """The newest painted frame, uint8 H,W,3 RGB."""
        return to_frame(yuv_to_image(self.picture))


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        start_s: what part of the source came before it, in seconds.
        length_s: of the picture; its sound may be longer.
        seconds, fps: that the work took, and frames a second in them.
        device: where the network ran.
        has_audio: the video's sound was carried over.
        flicker: E_warp of the video, of each frame painted alone ("off") and, with temporal
            consistency, of the result ("on"); None when not measured.
    """

    path: Path
    height: int
    width: int
    frames: int
    start_s: float
    length_s: float
    seconds: float
    fps: float
    device: str
    has_audio: bool
    flicker: Flicker | None


def stylize_image(frame: Frame, painter: Painter, options: Options | None = None) -> Frame:
    """The painting of one picture, uint8 H,W,3 RGB in and out: a video of one frame."""
    image = to_image(frame)
    video = [Timed(image_to_yuv(image), Fraction(0), Fraction(1))]
    (painted,) = paint_frames(video, painter, options or Options())
    return to_frame(unpad(yuv_to_image(painted.shown), *size_of(image)))


@dataclass(frozen=True)
class PaintedFrame:
    """A frame and its painting, in the frame's size and with the options' strength and colors."""

    timed: Timed[Yuv]
    _seen: Yuv
    _painting: Yuv
    _painter: Painter
    _options: Options

    @cached_property
    def shown(self) -> Yuv:
        """The painting, steady over time unless the options say otherwise."""
        return _finish(self.timed.frame, self._seen, self._painting, self._options)

    @cached_property
    def alone(self) -> Yuv:
        """The painting of this frame by itself, which is made when it is asked for."""
        if not self._options.temporal:
            return self.shown
        painting = self._painter.paint_next(self._seen, None)
        return _finish(self.timed.frame, self._seen, painting, self._options)

    def faded(self, other: "PaintedFrame", share: float) -> "PaintedFrame":
        """The same frame, with so much of another painting of it."""
        return replace(self, _painting=_mix(other._painting, self._painting, share))


@torch.inference_mode()
def paint_frames(
    source: Iterable[Timed[Yuv]], painter: Painter | Sequence[Painter], options: Options
) -> Generator[PaintedFrame]:
    """The paintings of frames of one size and matrix, in order: the one loop that paints.

    With temporal consistency, the last painting is carried to where the frame has what it shows,
    and given to the network; that painting and the last frame in gray are the only state. The next
    frame's motion is found while this one is painted. Without it, frames are painted side by side.
    Of several painters each paints a shot, in turn. The source is read in another thread: close
    the paintings before it.

    Raises:
        StylevidError: there is not enough memory for frames of this size.
    """
    frames = ((timed, for_brush(timed.frame, options.brush)) for timed in source)
    painters = _painters(painter)
    if options.temporal or len(painters) > 1:
        paintings = _paint_in_turn(frames, painters, options.temporal)
    else:
        both, ahead = tee(frames)
        alone = painters[0].paint(seen for _, seen in ahead)
        paintings = ((*f, painting, painters[0]) for f, painting in zip(both, alone, strict=True))
    for timed, seen, painting, by in paintings:
        yield PaintedFrame(timed, seen, painting, by, options)


def _painters(painter: Painter | Sequence[Painter]) -> Sequence[Painter]:
    return [painter] if isinstance(painter, Painter) else painter


def paint_piece(
    source: Iterable[Timed[Yuv]], painters: Sequence[Painter], options: Options, piece: Piece
) -> Generator[PaintedFrame]:
    """The paintings of a piece's frames, timed as in the video.

    Raises:
        VideoError: there are not as many frames as times.
    """
    times_s = [tick * piece.tick_s for tick in piece.ticks]
    try:
        with closing(_faded(source, painters, options, piece)) as paintings:
            for painted, (start_s, end_s) in zip(paintings, pairwise(times_s), strict=True):
                timed = Timed(painted.timed.frame, start_s, end_s - start_s)
                yield replace(painted, timed=timed)
    except ValueError as cause:  # of zip
        raise VideoError("A piece of the video has not the frames that it should.") from cause


def _faded(
    source: Iterable[Timed[Yuv]], painters: Sequence[Painter], options: Options, piece: Piece
) -> Generator[PaintedFrame]:
    steady = len(piece.ticks) - 1 - piece.fade
    with closing(paint_frames(source, painters, options)) as paintings:
        yield from islice(paintings, piece.warm_up, piece.warm_up + steady)
        last = list(paintings)
    anew = paint_frames([painted.timed for painted in last], painters, options)
    for number, (old, new) in enumerate(zip(last, anew, strict=True), 1):
        yield old.faded(new, number / (len(last) + 1))


def _paint_in_turn(
    frames: Iterable[tuple[Timed[Yuv], Yuv]], painters: Sequence[Painter], temporal: bool
) -> Iterator[tuple[Timed[Yuv], Yuv, Yuv, Painter]]:
    follower = Follower()

    def followed() -> Generator[tuple[Timed[Yuv], Yuv, Motion | None]]:
        for timed, seen in frames:
            yield timed, seen, follower.step(seen)

    last: Yuv | None = None
    shot = -1
    with closing(_ahead(followed())) as motions:
        for timed, seen, motion in motions:
            shot += motion is None
            painter = painters[shot % len(painters)]
            if temporal and motion and last:
                last = painter.paint_after(last, seen, motion)
            else:
                last = painter.paint_next(seen, None)
            yield timed, seen, last, painter


def stylize_video(
    source: Path | str | VideoInfo,
    target: Path | str,
    painter: Painter | Sequence[Painter],
    options: Options | None = None,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    piece: Piece | None = None,
) -> Result:
    """Paint a video, sound and all.

    Args:
        source: any video that ffmpeg reads, or what `probe` says of it.
        target: an .mp4, written only when whole; its comment is the `Recipe`.
        painter: the style; of several, each paints a shot, in turn.
        progress: called after each frame, in the caller's thread.
        should_stop: asked with each frame, and while the reader or the writer is waited for; it
            may raise an error of ours instead of saying yes.
        piece: paint this part only.
    Raises:
        VideoError: the source cannot be read or the target not be written.
        Cancelled: `should_stop` said yes; the target is untouched.
    """
    options = options or Options()
    info, span = source if isinstance(source, VideoInfo) else probe(source), options.span
    if piece is not None:
        info, span = replace(info, audio=()), piece.span
    painters = _painters(painter)
    device = painters[0].device
    recipe = _recipe(painters, options).as_json()
    duration_s = span.of(info.duration_s)
    expected = round(duration_s * info.fps)  # frames; 0 when nobody knows
    check_limits(info, options, duration_s, expected)
    height, width = target_size(info.height, info.width, options)
    size = even(height), even(width)
    started = time.monotonic()
    every = max(1, expected // MEASURED_PAIRS)
    meter = FlickerMeter(every=every, most=2 * MEASURED_PAIRS, cut_below=CUT_BELOW)
    frames, first_s, last_s = 0, Fraction(0), Fraction(0)
    with (
        _opencv_aside(device),
        VideoWriter(target, info, size, span, options.quality, recipe, should_stop) as writer,
        _behind(writer.write) as put,
        closing(_ahead(read_yuv(info, (height, width), span, should_stop))) as source_frames,
        closing(
            paint_piece(source_frames, painters, options, piece)
            if piece
            else paint_frames(source_frames, painters, options)
        ) as paintings,
    ):
        for painted in paintings:
            timed, picture = painted.timed, painted.shown
            if options.measure:
                _measure(meter, painted, options.temporal)
            put(Timed(picture, timed.time_s, timed.duration_s))
            first_s = timed.time_s if frames == 0 else first_s
            last_s = timed.time_s + timed.duration_s
            frames += 1
            check_limits(info, options, float(timed.time_s), frames)
            if progress is not None:
                progress(how_far(frames, started, timed.time_s, duration_s, picture))
            if should_stop is not None and should_stop():
                raise Cancelled(f"Stopped after {frames} frames; nothing was written.")
    seconds = time.monotonic() - started
    return Result(
        path=Path(target),
        height=size[0],
        width=size[1],
        frames=frames,
        start_s=span.start_s + float(first_s) if span.start_s else 0.0,
        length_s=float(last_s - first_s),
        seconds=seconds,
        fps=frames / seconds,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        has_audio=writer.written.has_audio,  # some of the source's may not be readable
        flicker=meter.result() if options.measure and frames > 1 else None,
    )


def _recipe(painters: Sequence[Painter], options: Options) -> Recipe:
    mix = painters[0].mix if len(painters) == 1 else None
    styles = tuple(slug for painter in painters for slug in painter.styles if is_slug(slug))
    size = options.size if options.enlarge else None  # else it was a limit, and the video's own
    return Recipe(styles[:MAX_STYLES], mix, options.temporal, options.strength,
                  options.keep_colors, size, options.brush)  # fmt: skip


def _measure(meter: FlickerMeter, painted: PaintedFrame, temporal: bool) -> None:
    if not meter.wants_next:
        return meter.skip()
    versions = {"off": yuv_to_image(painted.alone)}
    if temporal:
        versions["on"] = yuv_to_image(painted.shown)
    meter.update(yuv_to_image(painted.timed.frame), versions, float(painted.timed.time_s))


def target_size(height: int, width: int, options: Options) -> tuple[int, int]:
    """(height, width) at which a video of this size is painted."""
    return fit(height, width, options.size, options.enlarge)


def check_limits(info: VideoInfo, options: Options, seconds: float, frames: int) -> None:
    """Raise a VideoError where so much of a video is more than the options allow."""
    if options.max_seconds is not None and seconds > options.max_seconds:
        raise VideoError(f"{info.path.name} is {seconds:.0f} s long; the limit is "
                         f"{options.max_seconds:.0f} s. Trim it first.")  # fmt: skip
    painted = target_size(info.height, info.width, options)
    height, width = max((info.height, info.width), painted, key=prod)
    pixels = frames * height * width
    if options.max_pixels is not None and pixels > options.max_pixels:
        raise VideoError(f"{info.path.name} has {frames} frames of {width}x{height}, {pixels:,} "
                         f"pixels in all; the limit is {options.max_pixels:,}. Choose a shorter "
                         "part or a smaller size.")  # fmt: skip


def _finish(frame: Yuv, seen: Yuv, painted: Yuv, options: Options) -> Yuv:
    """The painting of `seen`, which is what the network saw of the frame, as it is shown."""
    painted = enlarge(painted, seen, frame)
    if options.strength == 1 and not options.keep_colors:
        return painted
    mixed = _mix(painted, frame, options.strength)
    if options.keep_colors:
        mixed.chroma[:] = frame.chroma
    return mixed


def _mix(picture: Yuv, other: Yuv, share: float) -> Yuv:
    pixels = cv2.addWeighted(picture.pixels, share, other.pixels, 1 - share, 0.0)
    return Yuv(cast(Bytes, pixels), picture.matrix)


def how_far(
    frames: int, started: float, time_s: Fraction, duration_s: float, picture: Yuv
) -> Progress:
    """What to tell of a video that long, when the frame at `time_s` is painted."""
    spent = max(time.monotonic() - started, 1e-6)
    fraction = min(float(time_s) / duration_s, 1.0) if duration_s else 0.0
    left_s = spent * (1 - fraction) / fraction if fraction > 0 else None
    return Progress(frames, fraction, frames / spent, left_s, picture)


_opencv_threads: list[int] = []  # what each video at work found set; the first is what was before
_opencv_lock = threading.Lock()


@contextmanager
def _opencv_aside(device: torch.device) -> Generator[None]:
    """OpenCV with one thread where the network keeps all of a few cores busy: more would only wait
    for one another. The number is the whole process's: the last to leave restores it."""
    if device.type != "cpu" or (os.cpu_count() or 1) > FEW_CORES:
        yield
        return
    with _opencv_lock:
        _opencv_threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _opencv_lock:
            cv2.setNumThreads(_opencv_threads.pop())


def _ahead(frames: Generator[Item]) -> Generator[Item]:
    """The same frames, made up to QUEUE_FRAMES ahead in a thread of its own."""
    with closing(frames), ThreadPoolExecutor(1, "ahead") as reader:
        waiting = deque(reader.submit(next, frames, None) for _ in range(QUEUE_FRAMES))
        try:
            while (timed := waiting.popleft().result()) is not None:
                waiting.append(reader.submit(next, frames, None))
                yield timed
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _behind(work: Callable[[Timed[Yuv]], None]) -> Generator[Callable[[Timed[Yuv]], None]]:
    """`work` done in a thread of its own, at most QUEUE_FRAMES behind; what it raises comes with a
    later frame, or at the end."""
    waiting: deque[Future[None]] = deque()

    def put(item: Timed[Yuv]) -> None:
        if len(waiting) == QUEUE_FRAMES:
            waiting.popleft().result()
        waiting.append(worker.submit(work, item))

    with ThreadPoolExecutor(1, "encoder") as worker:
        try:
            yield put
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
