"""Where the parts meet: a picture or a video in, painted, out.

Decoding, painting and encoding run side by side; a few frames at most wait between them, so that
memory does not grow with the length of the video.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import tee
from pathlib import Path
from typing import cast

import cv2
import torch
from torch import Tensor

from .brush import enlarge, for_brush
from .errors import Cancelled, VideoError
from .frames import Frame, fit, keep_colors, pad, size_of, to_frame, to_image, unpad
from .metrics import CUT_BELOW, Flicker, FlickerMeter
from .painter import Painter
from .raft import RaftEstimator
from .stabilize import TemporalStabilizer
from .video import FEW_CORES, Timed, VideoWriter, even, probe, read_yuv
from .yuv import Bytes, Yuv, image_to_yuv, yuv_to_image

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
        brush: size of the strokes, 1 to 8 times that of the training; None lets them grow with
            the picture.
        flow_weights: RAFT's, as safetensors, to follow the motion with; None takes DIS.
        measure: measure the flicker while painting.
        max_seconds: refuse a longer video; None takes any.
    """

    temporal: bool = True
    size: int | None = None
    enlarge: bool = True
    strength: float = 1.0
    keep_colors: bool = False
    brush: float | None = None
    flow_weights: Path | None = None
    measure: bool = True
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is a number from 0 to 1; got {self.strength}")
        if self.size is not None and not 16 <= self.size <= 8192:
            raise ValueError(f"size is from 16 to 8192 pixels; got {self.size}")
        if self.brush is not None and not 1 <= self.brush <= 8:
            raise ValueError(f"brush is a number from 1 to 8; got {self.brush}")

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
    image = to_image(frame, painter.device)
    stylized = _paint_image(image, painter, options.brush)
    if options.keep_colors:
        stylized = keep_colors(stylized, image)
    return to_frame(image + options.strength * (stylized - image))


def _paint_image(image: Tensor, painter: Painter, brush: float | None) -> Tensor:
    whole = image_to_yuv(pad(image, 2, 2))
    seen = for_brush(whole, brush)
    if seen is whole:
        return painter(image)
    painted = enlarge(image_to_yuv(painter(yuv_to_image(seen, image.device))), seen, whole)
    return unpad(yuv_to_image(painted, image.device), *size_of(image))


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
    height, width = target_size(info.height, info.width, options)
    size = even(height), even(width)
    started = time.monotonic()
    meter = _meter(info.frames) if options.measure else None
    frames = 0
    with (
        _opencv_aside(painter.device),
        VideoWriter(target, info, size) as writer,
        _Background(writer.write) as encoder,
        closing(_ahead(read_yuv(info, (height, width)))) as source_frames,
    ):
        for timed, painted in _paint(source_frames, painter, options, meter):
            encoder.put(Timed(painted, timed.time_s, timed.duration_s))
            frames += 1
            _check_length(info.path, float(timed.time_s), options.max_seconds)
            if progress is not None:
                progress(_progress(frames, started, timed.time_s, info.duration_s, painted))
            if should_stop is not None and should_stop():
                raise Cancelled(f"Stopped after {frames} frames; nothing was written.")
    seconds = time.monotonic() - started
    return Result(
        path=Path(target),
        height=size[0],
        width=size[1],
        frames=frames,
        seconds=seconds,
        fps=frames / seconds,
        device=_device_name(painter.device),
        has_audio=info.has_audio,
        flicker=meter.result() if meter and frames > 1 else None,
    )


@torch.inference_mode()
def _paint(
    source: Iterable[Timed[Yuv]], painter: Painter, options: Options, meter: FlickerMeter | None
) -> Iterator[tuple[Timed[Yuv], Yuv]]:
    stabilizer = make_stabilizer(painter, options) if options.temporal else None
    both, ahead = tee((timed, for_brush(timed.frame, options.brush)) for timed in source)
    for (timed, seen), alone in zip(both, painter.paint(s for _, s in ahead), strict=True):
        measured = meter is not None and meter.wants_next
        if meter is not None and not measured:
            meter.skip()
        steadied = stabilizer.step_frame(seen, alone) if stabilizer else alone
        painted = finish(timed.frame, seen, steadied, options)
        if meter is not None and measured:
            versions = {"off": yuv_to_image(finish(timed.frame, seen, alone, options))}
            if stabilizer:
                versions["on"] = yuv_to_image(painted)
            meter.update(yuv_to_image(timed.frame), versions, float(timed.time_s))
        yield timed, painted


def make_stabilizer(painter: Painter, options: Options) -> TemporalStabilizer:
    """With the flow that the options ask for, on the painter's device.

    Raises:
        WeightsError: the weights of the flow cannot be used.
    """
    weights = options.flow_weights
    return TemporalStabilizer(estimator=RaftEstimator(weights, painter.device) if weights else None)


def _meter(frames: int) -> FlickerMeter:
    """Of some 40 to 80 pairs of a clip's frames, 0 when nobody knows how many there are."""
    every = max(1, frames // MEASURED_PAIRS)
    return FlickerMeter(every=every, most=2 * MEASURED_PAIRS, cut_below=CUT_BELOW)


def target_size(height: int, width: int, options: Options) -> tuple[int, int]:
    """(height, width) at which a video of this size is painted."""
    if options.size is not None and max(height, width) <= options.size and not options.enlarge:
        return height, width
    return fit(height, width, options.size)


def _check_length(path: Path, seconds: float, limit: float | None) -> None:
    if limit is not None and seconds > limit:
        raise VideoError(
            f"{path.name} is {seconds:.0f} s long; the limit is {limit:.0f} s. Trim it first."
        )


def finish(frame: Yuv, seen: Yuv, painted: Yuv, options: Options) -> Yuv:
    """The frame as it is shown.

    Args:
        seen, painted: the frame as the network saw it, and the painting of that.
    """
    painted = enlarge(painted, seen, frame)
    if not options.changes_painting:
        return painted
    pixels = cv2.addWeighted(
        painted.pixels, options.strength, frame.pixels, 1 - options.strength, 0.0
    )
    mixed = Yuv(cast(Bytes, pixels), painted.matrix)
    if options.keep_colors:
        mixed.chroma[:] = frame.chroma
    return mixed


def _progress(
    frames: int, started: float, time_s: Fraction, duration_s: float, picture: Yuv
) -> Progress:
    spent = max(time.monotonic() - started, 1e-6)
    fraction = min(float(time_s) / duration_s, 1.0) if duration_s else 0.0
    left_s = spent * (1 - fraction) / fraction if fraction > 0 else None
    return Progress(frames, fraction, frames / spent, left_s, picture)


@contextmanager
def _opencv_aside(device: torch.device) -> Generator[None]:
    """OpenCV with one thread where the network keeps all of a few cores busy: more would only wait
    for one another."""
    before = cv2.getNumThreads()
    if device.type == "cpu" and (os.cpu_count() or 1) <= FEW_CORES:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _ahead(frames: Generator[Timed[Yuv]]) -> Generator[Timed[Yuv]]:
    """The same frames, read up to QUEUE_FRAMES ahead in a thread of its own."""
    ready: queue.Queue[Timed[Yuv] | BaseException | None] = queue.Queue(QUEUE_FRAMES)
    stop = threading.Event()

    def offer(item: Timed[Yuv] | BaseException | None) -> None:
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

    def __init__(self, work: Callable[[Timed[Yuv]], None]) -> None:
        self._work = work
        self._items: queue.Queue[Timed[Yuv] | None] = queue.Queue(QUEUE_FRAMES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)

    def __enter__(self) -> "_Background":
        self._thread.start()
        return self

    def put(self, item: Timed[Yuv]) -> None:
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
