"""Where the parts meet: a picture or a video in, painted, out.

Decoding, painting and encoding run side by side; a few frames at most wait between them, so that
memory does not grow with the length of the video.
"""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import tee
from pathlib import Path

import torch

from .errors import Cancelled, VideoError
from .frames import Frame, fit, keep_colors, to_frame, to_image
from .metrics import Flicker, FlickerMeter
from .painter import Painter
from .stabilize import TemporalStabilizer
from .video import TimedFrame, VideoWriter, probe, read_frames

QUEUE_FRAMES = 4
MEASURED_PAIRS = 40  # of frames, spread over the clip: enough for two digits


@dataclass(frozen=True)
class Options:
    """How to paint.

    Attributes:
        temporal: steady the painting over time.
        size: longest side of the result in pixels; None keeps the video's own.
        enlarge: whether a video smaller than `size` is scaled up to it.
        strength: 0 shows the video, 1 the painting, between them a mix.
        keep_colors: take light and dark from the painting, colors from the video.
        measure: measure the flicker while painting.
        max_seconds: refuse a longer video; None takes any.
    """

    temporal: bool = True
    size: int | None = None
    enlarge: bool = True
    strength: float = 1.0
    keep_colors: bool = False
    measure: bool = True
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is a number from 0 to 1; got {self.strength}")
        if self.size is not None and not 16 <= self.size <= 8192:
            raise ValueError(f"size is from 16 to 8192 pixels; got {self.size}")

    @property
    def changes_painting(self) -> bool:
        """Whether anything is done to the network's painting of a single frame."""
        return self.strength < 1 or self.keep_colors


@dataclass(frozen=True)
class Progress:
    """How far a video is.

    Attributes:
        frames: painted so far.
        fraction: of the video's length, 0 to 1; 0 while the length is not known.
        fps: frames painted a second, on average.
        left_s: seconds left, None while nobody can tell.
        latest: the newest painted frame, H,W,3.
    """

    frames: int
    fraction: float
    fps: float
    left_s: float | None
    latest: Frame


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes:
        path: the MP4.
        height, width: of its frames.
        frames: how many.
        seconds: the work took.
        fps: frames painted a second, everything included.
        device: where the network ran.
        has_audio: the video's sound was carried over.
        flicker: E_warp of the video, of each frame painted alone ("off") and, with temporal
            consistency, of the result ("on"); None when not measured.
    """

    path: Path
    height: int
    width: int
    frames: int
    seconds: float
    fps: float
    device: str
    has_audio: bool
    flicker: Flicker | None


@torch.inference_mode()
def stylize_image(frame: Frame, painter: Painter, options: Options | None = None) -> Frame:
    """The painting of one picture, uint8 H,W,3 RGB in and out."""
    options = options or Options()
    (painted,) = painter.paint([frame])
    return _finish(frame, painted, options)


def stylize_video(
    source: Path | str,
    target: Path | str,
    painter: Painter,
    options: Options | None = None,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Paint a video, sound and all.

    Args:
        source: any video that ffmpeg reads.
        target: an .mp4, written only when whole.
        painter: the style.
        options: how to paint.
        progress: called after each frame, in the caller's thread.
        should_stop: asked after each frame.
    Raises:
        VideoError: the source cannot be read or the target not be written.
        Cancelled: `should_stop` said yes; the target is untouched.
    """
    options = options or Options()
    info = probe(source)
    _check_length(info.path, info.duration_s, options.max_seconds)
    if Path(target).resolve() == info.path.resolve():
        raise VideoError(f"{info.path.name} would overwrite itself. Choose another output name.")
    height, width = _target_size(info.height, info.width, options)
    started = time.monotonic()
    meter = FlickerMeter(every=max(1, info.frames // MEASURED_PAIRS)) if options.measure else None
    frames = 0
    quick = not options.changes_painting  # the video's own colors are not to be seen
    with (
        VideoWriter(target, info, (height, width)) as writer,
        _Background(writer.write) as encoder,
        closing(_ahead(read_frames(info, (height, width), quick=quick))) as source_frames,
    ):
        for timed, painted in _paint(source_frames, painter, options, meter):
            encoder.put(TimedFrame(painted, timed.time_s, timed.duration_s))
            frames += 1
            _check_length(info.path, float(timed.time_s), options.max_seconds)
            if progress is not None:
                progress(_progress(frames, started, timed.time_s, info.duration_s, painted))
            if should_stop is not None and should_stop():
                raise Cancelled(f"Stopped after {frames} frames; nothing was written.")
    seconds = time.monotonic() - started
    return Result(
        path=Path(target),
        height=height,
        width=width,
        frames=frames,
        seconds=seconds,
        fps=frames / seconds,
        device=_device_name(painter.device),
        has_audio=info.has_audio,
        flicker=meter.result() if meter and frames > 1 else None,
    )


@torch.inference_mode()
def _paint(
    source: Iterable[TimedFrame], painter: Painter, options: Options, meter: FlickerMeter | None
) -> Iterator[tuple[TimedFrame, Frame]]:
    stabilizer = TemporalStabilizer() if options.temporal else None
    source, ahead = tee(source)
    for timed, alone in zip(source, painter.paint(t.frame for t in ahead), strict=True):
        measured = meter is not None and meter.wants_next
        if meter is not None and not measured:
            meter.skip()
        steadied = stabilizer.step_frame(timed.frame, alone) if stabilizer else alone
        painted = _finish(timed.frame, steadied, options)
        if meter is not None and measured:
            versions = {"off": to_image(_finish(timed.frame, alone, options))}
            if stabilizer:
                versions["on"] = to_image(painted)
            meter.update(to_image(timed.frame), versions)
        yield timed, painted


def _target_size(height: int, width: int, options: Options) -> tuple[int, int]:
    if options.size is not None and max(height, width) <= options.size and not options.enlarge:
        return height, width
    return fit(height, width, options.size)


def _check_length(path: Path, seconds: float, limit: float | None) -> None:
    if limit is not None and seconds > limit:
        raise VideoError(
            f"{path.name} is {seconds:.0f} s long; the limit is {limit:.0f} s. Trim it first."
        )


def _finish(frame: Frame, painted: Frame, options: Options) -> Frame:
    """Strength and colors, the same for pictures and videos."""
    if not options.changes_painting:
        return painted
    image, stylized = to_image(frame), to_image(painted)
    if options.keep_colors:
        stylized = keep_colors(stylized, image)
    return to_frame(image + options.strength * (stylized - image))


def _progress(
    frames: int, started: float, time_s: Fraction, duration_s: float, latest: Frame
) -> Progress:
    spent = max(time.monotonic() - started, 1e-6)
    fraction = min(float(time_s) / duration_s, 1.0) if duration_s else 0.0
    left_s = spent * (1 - fraction) / fraction if fraction > 0 else None
    return Progress(frames, fraction, frames / spent, left_s, latest)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _ahead(frames: Generator[TimedFrame]) -> Generator[TimedFrame]:
    """The same frames, read up to QUEUE_FRAMES ahead in a thread of its own."""
    ready: queue.Queue[TimedFrame | BaseException | None] = queue.Queue(QUEUE_FRAMES)
    stop = threading.Event()

    def offer(item: TimedFrame | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for timed in frames:
                offer(timed)
                if stop.is_set():
                    break
            offer(None)
        except BaseException as error:  # handed over and raised where the frames are used
            offer(error)
        finally:
            frames.close()

    thread = threading.Thread(target=read, name="decoder", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


class _Background:
    """Calls `work` on items in a thread of its own, at most QUEUE_FRAMES behind."""

    def __init__(self, work: Callable[[TimedFrame], None]) -> None:
        self._work = work
        self._items: queue.Queue[TimedFrame | None] = queue.Queue(QUEUE_FRAMES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def __enter__(self) -> "_Background":
        self._thread.start()
        return self

    def put(self, item: TimedFrame) -> None:
        if self._error is not None:
            raise self._error
        self._items.put(item)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._items.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            if self._error is None:
                try:
                    self._work(item)
                except BaseException as error:  # raised by the next put, or at the end
                    self._error = error
