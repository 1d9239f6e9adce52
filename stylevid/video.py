"""Videos in and out, streamed frame by frame through imageio-ffmpeg's own ffmpeg.

Read upright, with square pixels and exact timestamps, as YUV or RGB; written as H.264 yuv420p with
the source's sound in an MP4 that appears under its name only when it is whole.
"""

import math
import os
import queue
import re
import select
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import IO, Any, Generic, TypeVar

import numpy as np

from .errors import Cancelled, VideoError
from .files import written_whole
from .frames import Frame, Size, to_frame
from .matroska import frame_header, stream_header
from .yuv import Bytes, Yuv, yuv_to_image

MAX_SIDE = 8192  # pixels; H.264 level 6.2 ends there
MAX_TRACKS = 32  # of sound
PATIENCE_S = 60.0  # with a decoder that gives no picture, an encoder that takes none
# That ffmpeg may have: on 16 threads x264 takes 230 bytes a pixel, a decoder a third of it.
MEMORY_BYTES, PIXEL_BYTES = 4 << 30, 256
LOG_BYTES = 1 << 20  # of what ffmpeg says of a file
_TICK_S = 0.5  # so long nobody asks whether to stop

# Containers that hold video. Playlists, image sequences and text art are left out: they can name
# other files or hosts, and a visitor's upload must not.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpeg,mpegvideo,mpegts,ogg,flv,asf,h264,hevc,"
    "m4v,ivf,obu,dv,mxf,nut,rm,av1,mjpeg,wtv,apng"
)
# ffmpeg's color spaces, and the matrices that they have.
_MATRICES = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "smpte240m": "smpte240m",
             "fcc": "fcc", "bt2020nc": "bt2020"}  # fmt: skip
_OPTION_OF_TRC = {"bt470m": "gamma22", "bt470bg": "gamma28"}  # as told, and as to be asked for
FEW_CORES = 4  # up to here threads of one part take time from another
# Sound that both MP4 and every browser take as it is; anything else becomes AAC.
_COPIED_AUDIO = {"aac", "mp3"}
_UNKNOWN = "none"  # a codec that ffmpeg has no decoder for; its track is left out
# Chosen by what is kept of the paint for the work and the bytes: docs/encoder.md.
_H264 = ("-c:v", "libx264", "-preset", "superfast", "-tune", "grain", "-coder", "vlc", "-bf", "0",
         "-x264-params", "no-deblock=1")  # fmt: skip
QUALITIES = {"draft": 24, "good": 20, "best": 16}  # x264's constant rate factor


@dataclass(frozen=True)
class VideoInfo:
    """What a reader needs to know of a video file.

    Attributes:
        height, width: of the upright picture with square pixels.
        fps: nominal frame rate, exact.
        time_base: seconds of one tick of the timestamps.
        duration_s: length in seconds, 0 when the file does not say.
        audio: codec of each sound track, such as ("aac",).
        interlaced: the first frame says that it is.
        color_space, color_primaries, color_trc: ffmpeg's names, "unknown" when untagged.
    """

    path: Path
    height: int
    width: int
    fps: Fraction
    time_base: Fraction
    duration_s: float
    audio: tuple[str, ...]
    interlaced: bool
    color_space: str
    color_primaries: str
    color_trc: str

    @property
    def has_audio(self) -> bool:
        return bool(self.audio)

    @property
    def frames(self) -> int:
        """Estimated number of frames, 0 when the length is not known."""
        return round(self.duration_s * self.fps)

    @property
    def matrix(self) -> str:
        """The YCbCr matrix: the file's own, else the one players assume for its size."""
        if self.color_space in _MATRICES:
            return self.color_space
        return "bt709" if self.height >= 720 else "smpte170m"


Picture = TypeVar("Picture", Frame, Yuv)
ShouldStop = Callable[[], bool] | None
"""Is asked from time to time; it may raise an error of ours instead of saying yes."""


@dataclass(frozen=True)
class Timed(Generic[Picture]):
    """One picture, shown from `time_s` for `duration_s` seconds."""

    frame: Picture
    time_s: Fraction
    duration_s: Fraction


def probe(path: Path | str) -> VideoInfo:
    """What the video at `path` is, learned by decoding its first frame.

    Raises:
        VideoError: the file is missing, empty, without a picture, unreadable or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path.name} does not exist.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path.name} is empty (0 bytes). Save or upload it again.")
    command = [*_ffmpeg(), *_input(path), "-map", "0:V:0", "-frames:v", "1",
               "-vf", "showinfo=checksum=0", "-f", "null", "-"]  # fmt: skip
    with tempfile.TemporaryFile() as said:
        process = run_ffmpeg(command, stderr=said)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as cause:
            raise _stuck(path) from cause
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        return _parse_probe(path, said.read(LOG_BYTES).decode("utf-8", "replace"))


def _parse_probe(path: Path, text: str) -> VideoInfo:
    # Lines are ffmpeg's own where they begin like this; a file's title may say anything.
    tracks = re.findall(r"^  Stream #0:\d+.*?: Audio: (\w+)", text, re.MULTILINE)
    if len(tracks) > MAX_TRACKS:
        raise VideoError(f"{path.name} has {len(tracks)} sound tracks; the limit is {MAX_TRACKS}. "
                         "Take some out.")  # fmt: skip
    shown_info = "\n".join(re.findall(r"^\[Parsed_showinfo.*", text, re.MULTILINE))
    config = re.search(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)", shown_info)
    shown = re.search(r" n: *0 .* sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\S)", shown_info)
    if config is None or shown is None:
        claim = r"(?:Picture size|Stream #0:\d+.*?: Video: .*?) (\d+)x(\d+)"
        for size in re.findall(claim, text):
            if max(map(int, size)) > MAX_SIDE:
                raise _too_large(path, *size)
        raise VideoError(_why_unreadable(path, text))
    base_num, base_den, rate_num, rate_den = (int(v) for v in config.groups())
    sar_num, sar_den, width, height = (int(v) for v in shown.groups()[:4])
    if sar_num and sar_den and sar_num != sar_den:  # make pixels square by widening or narrowing
        width = max(2, 2 * round(width * sar_num / sar_den / 2))
    if max(height, width) > MAX_SIDE:
        raise _too_large(path, width, height)
    duration = re.search(r"^  Duration: (\d+):(\d+):(\d+\.\d+)", text, re.MULTILINE)
    hours, minutes, seconds = (float(v) for v in duration.groups()) if duration else (0, 0, 0)
    colors = {
        key: (re.search(rf" {key}:(\S+)", shown_info) or [None, "unknown"])[1]
        for key in ("color_space", "color_primaries", "color_trc")
    }
    return VideoInfo(
        path=path,
        height=height,
        width=width,
        fps=Fraction(rate_num, rate_den) if rate_num and rate_den else Fraction(25),
        time_base=Fraction(base_num, base_den),
        duration_s=hours * 3600 + minutes * 60 + seconds,
        audio=tuple(tracks),
        interlaced=shown[5] in "TB",
        **{key: str(value) for key, value in colors.items()},
    )


def _too_large(path: Path, width: int | str, height: int | str) -> VideoError:
    return VideoError(
        f"{path.name} is {width}x{height}; the limit is {MAX_SIDE} pixels. Scale it down."
    )


def _why_unreadable(path: Path, text: str) -> str:
    if "Audio:" in text and "Video:" not in text:
        return f"{path.name} holds sound but no picture. Choose a video file."
    with path.open("rb") as file:
        is_mp4 = file.read(12)[4:8] == b"ftyp"
    if is_mp4 and "moov atom not found" in text:
        reason = "its index is missing, it was probably cut short"
    else:
        reason = "it is damaged or of an unknown format"
    return f"{path.name} cannot be read as a video: {reason}. Export it again as MP4."


def _stuck(path: Path) -> VideoError:
    return VideoError(f"{path.name} gave no picture within {PATIENCE_S:g} s. Convert it to MP4.")


@dataclass(frozen=True)
class Span:
    """A part of a video: the pictures that begin at `start_s` or later and before `end_s`, seconds
    from the video's start, with their sound; None goes on to its end."""

    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < math.inf:
            raise ValueError(f"the start is at 0 s or later; got {self.start_s:g}")
        if self.end_s is not None and not self.start_s < self.end_s < math.inf:
            end = f"{self.end_s:g}"
            raise ValueError(f"the end comes after the start, {self.start_s:g} s; got {end}")

    @property
    def length_s(self) -> Fraction | None:
        """Exact in decimals; None when it goes on to the video's end."""
        if self.end_s is None:
            return None
        return Fraction(str(self.end_s)) - Fraction(str(self.start_s))

    def of(self, duration_s: float) -> float:
        """Its length in seconds within a video that long; 0 when nobody knows."""
        end_s = min(self.end_s or math.inf, duration_s or math.inf)
        return max(0.0, end_s - self.start_s) if end_s < math.inf else 0.0


WHOLE = Span()


def read_yuv(
    info: VideoInfo, size: Size | None = None, span: Span = WHOLE, should_stop: ShouldStop = None
) -> Generator[Timed[Yuv]]:
    """The frames of a video in order, of the video's own matrix, decoded while they are asked for.

    An odd side is filled up by repeating its last line, since 4:2:0 pictures have even ones.

    Args:
        size: (height, width) to scale to; None keeps the video's own.
        span: which of them; timestamps count from its start.
        should_stop: asked before each frame, and twice a second while none comes.
    Raises:
        VideoError: no frame could be decoded, the decoder broke off or is stuck.
        Cancelled: `should_stop` said yes.
    """
    height, width = size or (info.height, info.width)
    matrix = _MATRICES[info.matrix]
    filters = f"scale={width}:{height}:flags=bicubic:in_color_matrix={matrix}:out_range=tv"
    even_height, even_width = even(height), even(width)
    if (even_height, even_width) != (height, width):
        filters += (f",format=yuv444p,pad={even_width}:{even_height}"
                    f",fillborders=right={even_width - width}:bottom={even_height - height}"
                    ":mode=smear")  # fmt: skip
    filters, shape = f"{filters},format=yuv420p", (even_height * 3 // 2, even_width)
    with closing(_decode(info, filters, shape, span, should_stop)) as pictures:
        for pixels, time_s, duration_s in pictures:
            yield Timed(Yuv(pixels, matrix), time_s, duration_s)


def read_frames(
    info: VideoInfo, size: Size | None = None, span: Span = WHOLE, should_stop: ShouldStop = None
) -> Generator[Timed[Frame]]:
    """The same as RGB, uint8 H,W,3, without what fills up an odd side."""
    height, width = size or (info.height, info.width)
    with closing(read_yuv(info, size, span, should_stop)) as frames:
        for timed in frames:
            shown = to_frame(yuv_to_image(timed.frame))
            yield Timed(shown[:height, :width], timed.time_s, timed.duration_s)


def read_picture(info: VideoInfo, time_s: float, size: Size | None = None) -> Frame:
    """The first frame from `time_s` on, uint8 H,W,3 RGB; the last one where none follows, as in a
    video whose sound is longer. It is `Cancelled` when the patience with a decoder is over."""
    end_s = monotonic() + PATIENCE_S

    def is_over() -> bool:
        return monotonic() > end_s

    try:
        with closing(read_frames(info, size, Span(time_s), is_over)) as frames:
            return next(frames).frame
    except VideoError:
        (last,) = deque(read_frames(info, size, should_stop=is_over), maxlen=1)
        return last.frame


def even(side: int) -> int:
    """The side itself, or one pixel more."""
    return side + side % 2


def _decode(
    info: VideoInfo, filters: str, shape: tuple[int, ...], span: Span, should_stop: ShouldStop
) -> Generator[tuple[Bytes, Fraction, Fraction]]:
    """What ffmpeg's filters make of a video, arrays of `shape`, with time and duration."""
    if info.interlaced:
        filters = f"yadif=deint=interlaced,{filters}"
    # Told in the video's own time: after a seek in a container that does not begin at zero, ffmpeg
    # counts pictures from elsewhere than sound.
    start = f"{span.start_s:.6f}"
    seek = ["-copyts", "-start_at_zero", "-ss", start] if span.start_s > 0 else []
    threads = _threads(info.height, info.width)
    command = [*_ffmpeg(), *seek, *threads, *_input(info.path), "-map", "0:V:0",
               "-vf", f"{filters},setsar=1,showinfo=checksum=0",
               "-fps_mode", "passthrough", "-f", "rawvideo", "-"]  # fmt: skip
    process = run_ffmpeg(command, info.height * info.width, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    log = _FrameLog(process.stderr)
    clock = _Clock(info)
    count = 0
    try:
        for pixels in _receive(process.stdout, shape, info.path, should_stop):
            told_s, told_duration_s = log.next()
            if told_s is not None and seek:
                told_s -= Fraction(start)
            time_s, duration_s = clock.next(told_s, told_duration_s)
            if span.length_s is not None and time_s >= span.length_s:
                if count == 0:
                    raise VideoError(f"{info.path.name} has no picture that begins between "
                                     f"{span.start_s:g} and {span.end_s:g} s. Choose a longer "
                                     "part.")  # fmt: skip
                return
            count += 1
            yield pixels, time_s, duration_s
        status = process.wait()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
        log.close()
    if status != 0 and count > 0:
        raise VideoError(f"{info.path.name} could be read for {count} frames only: the decoder "
                         f"ended with status {status}. Export it again as MP4.")  # fmt: skip
    if count == 0 and span.start_s > 0:
        raise VideoError(f"{info.path.name} has no picture from {span.start_s:g} s on; it is "
                         f"{info.duration_s:g} s long. Start earlier.")  # fmt: skip
    if count == 0:
        raise VideoError(_why_unreadable(info.path, ""))


def _receive(
    pipe: IO[bytes], shape: tuple[int, ...], path: Path, should_stop: ShouldStop
) -> Iterator[Bytes]:
    """Arrays uint8 of `shape` from a decoder that may be slow, or stuck."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)

    def ask() -> None:
        if should_stop is not None and should_stop():
            raise Cancelled("Stopped while the next frame was awaited; nothing was written.")

    def wait() -> None:
        for _ in range(math.ceil(PATIENCE_S / _TICK_S)):
            if poll.poll(1000 * _TICK_S):
                return
            ask()
        raise _stuck(path)

    while True:
        ask()
        pixels = np.empty(shape, np.uint8)
        rest = pixels.data.cast("B")
        while rest:
            wait()
            got = pipe.readinto(rest)  # type: ignore[attr-defined]
            if not got:
                return
            rest = rest[got:]
        yield pixels


_Times = tuple[Fraction | None, Fraction | None]


class _FrameLog:
    """The timestamp and duration of each frame, from showinfo's lines on ffmpeg's stderr."""

    _LINE = re.compile(rb"\[Parsed_showinfo.*? n: *\d+ pts: *(\S+) .*? duration: *(\S+) ")
    _BASE = re.compile(rb"\[Parsed_showinfo.*? config in time_base: (\d+)/(\d+)")
    _OVER = (None, None)

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines = queue.SimpleQueue[_Times]()
        self._thread = threading.Thread(target=self._follow, name="frame-log", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        base = Fraction(0)
        for line in self._pipe:
            if match := self._BASE.match(line):
                base = Fraction(int(match[1]), int(match[2]))
            elif match := self._LINE.match(line):
                self._lines.put((_ticks(match[1], base), _ticks(match[2], base)))
        self._lines.put(self._OVER)

    def next(self) -> _Times:
        """Timestamp and duration of the next frame in seconds, None where the file has none."""
        times = self._lines.get()
        if times is self._OVER:  # for whoever asks again
            self._lines.put(times)
        return times

    def close(self) -> None:
        self._thread.join()
        self._pipe.close()


def _ticks(text: bytes, base: Fraction) -> Fraction | None:
    return int(text) * base if re.fullmatch(rb"-?\d+", text) else None


class _Clock:
    """Mends timestamps: fills gaps, keeps them rising, and undoes the rounding to milliseconds
    of containers such as Matroska when the nominal rate explains it."""

    def __init__(self, info: VideoInfo) -> None:
        self._frame_time = 1 / info.fps
        # A coarse time base may be off by one tick; a fine one is believed.
        self._tolerance = info.time_base if info.time_base.denominator <= 1000 else Fraction(0)
        self._start: Fraction | None = None
        self._last: Fraction | None = None
        self._tick = info.time_base

    def next(
        self, time_s: Fraction | None, duration_s: Fraction | None
    ) -> tuple[Fraction, Fraction]:
        if time_s is None:
            time_s = Fraction(0) if self._last is None else self._last + self._frame_time
        if self._start is None:
            self._start = time_s
        frames = round((time_s - self._start) / self._frame_time)
        on_grid = self._start + frames * self._frame_time
        if abs(on_grid - time_s) <= self._tolerance:
            time_s = on_grid
        if not duration_s or abs(duration_s - self._frame_time) <= self._tolerance:
            duration_s = self._frame_time
        if self._last is not None and time_s <= self._last:
            time_s = self._last + self._tick
        self._last = time_s
        return time_s, duration_s


def check_target(path: Path, suffix: str) -> None:
    """Raise a VideoError where a file of this kind cannot be written."""
    if path.suffix.lower() != suffix:
        raise VideoError(f"{path.name} must end in {suffix}.")
    if not path.parent.is_dir():
        raise VideoError(f"The folder {path.parent} does not exist. Make it first.")
    if path.is_dir():
        raise VideoError(f"{path} is a folder. Choose another name for the video.")


class VideoWriter:
    """Writes frames, and the sound of the video they came from, to an MP4.

    Use it as a context: the file appears when the context ends well, and nothing is left behind
    when it ends in an exception.

    Attributes:
        written: what the file is, when it is there.
    """

    written: VideoInfo

    def __init__(
        self, path: Path | str, source: VideoInfo, size: Size, span: Span = WHOLE,
        quality: str = "good", comment: str = "", should_stop: ShouldStop = None,
    ) -> None:  # fmt: skip
        """
        Args:
            path: where the MP4 goes; an existing file is replaced at the end.
            source: the video whose sound, frame rate and colors are carried over.
            size: (height, width) of the frames to come, even.
            span: of the source, whose frames are to come; the sound is cut to it.
            quality: one of QUALITIES; the better, the more of the paint is kept, and the larger
                the file.
            comment: for the file's metadata; nothing leaves the source's.
            should_stop: asked twice a second while the encoder is waited for.
        Raises:
            VideoError: as `check_target`, or the source would be overwritten.
        """
        self._path = Path(path)
        check_target(self._path, ".mp4")
        if self._path.resolve() == source.path.resolve():
            raise VideoError(f"{source.path.name} would overwrite itself. Choose another name.")
        self._source, self._size, self._span = source, size, span
        self._crf, self._comment, self._should_stop = QUALITIES[quality], comment, should_stop
        self._resources = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._first_time_s = Fraction(0)

    def __enter__(self) -> "VideoWriter":
        try:
            self._partial = self._resources.enter_context(written_whole(self._path))
        except OSError as cause:
            raise VideoError(f"{self._path} cannot be written: {cause.strerror}.") from cause
        self._messages = self._resources.enter_context(tempfile.TemporaryFile())
        return self

    def _start(self, first_time_s: Fraction) -> subprocess.Popen[bytes]:
        source, self._first_time_s = self._source, first_time_s
        colors = ["-colorspace", source.matrix, "-color_range", "tv"]
        trc = _OPTION_OF_TRC.get(source.color_trc, source.color_trc)
        for option, value in (("primaries", source.color_primaries), ("trc", trc)):
            if value not in ("unknown", "reserved"):
                colors += [f"-color_{option}", value]
        codec = ["-vf", f"setparams=range=tv:colorspace={source.matrix}",
                 "-fps_mode", "passthrough", "-enc_time_base", f"{written_tick(source)}",
                 *_H264, "-crf", f"{self._crf}", *_threads(*self._size), "-pix_fmt", "yuv420p",
                 *colors]  # fmt: skip
        command = _mux_command(source, self._span, first_time_s, ["-f", "matroska", "-i", "pipe:0"],
                               codec, self._comment, self._partial)  # fmt: skip
        pixels = math.prod(self._size)
        process = run_ffmpeg(command, pixels, stdin=subprocess.PIPE, stderr=self._messages)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def write(self, timed: Timed[Yuv]) -> None:
        """Append one frame of the size that the writer was made for, of the source's matrix.

        Raises:
            VideoError: ffmpeg stopped, for instance because the disk is full, or is stuck.
            Cancelled: `should_stop` said yes.
        """
        if timed.frame.size != self._size:
            raise ValueError(f"the writer takes frames of {self._size}; got {timed.frame.size}")
        if self._process is None:
            self._process = self._start(timed.time_s)
            self._write(stream_header(*self._size))
        pixels = np.ascontiguousarray(timed.frame.pixels)
        time_s = timed.time_s - self._first_time_s
        self._write(frame_header(time_s, timed.duration_s, pixels.nbytes))
        self._write(pixels.data.cast("B"))

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        with self._resources:
            code = self._stop(kill=error is not None)
            if error is not None:
                raise error  # so that nothing is kept
            if code != 0:
                raise self._failure()
            self.written = self._read_again()

    def _stop(self, kill: bool) -> int:
        process = self._process
        if process is None:
            return 1
        assert process.stdin is not None
        try:
            process.stdin.close()
            if not kill:
                self._await(lambda: _has_ended(process))
        finally:
            process.kill()
            process.wait()
        return process.returncode

    def _write(self, content: bytes | memoryview) -> None:
        assert self._process is not None and self._process.stdin is not None
        ready = select.poll()
        ready.register(self._process.stdin, select.POLLOUT)
        rest = memoryview(content)
        try:
            while rest:
                self._await(lambda: ready.poll(1000 * _TICK_S))
                rest = rest[self._process.stdin.write(rest) or 0 :]
        except BrokenPipeError as cause:
            self._process.wait()
            raise self._failure() from cause

    def _await(self, is_done: Callable[[], object]) -> None:
        """Until `is_done`, which takes a tick to say no; patient while the file grows."""
        grown, silent_s = -1, 0.0
        while not is_done():
            if self._should_stop is not None and self._should_stop():
                raise Cancelled("Stopped while the video was written; nothing was kept.")
            last = grown
            grown = self._partial.stat().st_mtime_ns if self._partial.exists() else 0
            silent_s = silent_s + _TICK_S if grown == last else 0.0
            if silent_s >= PATIENCE_S:
                raise VideoError(f"{self._path.name} could not be written: the encoder stood still "
                                 f"for {PATIENCE_S:g} s. Nothing was kept.")  # fmt: skip

    def _read_again(self) -> VideoInfo:
        """Sound that was copied as it is may spoil the file, and ffmpeg be content."""
        try:
            return probe(self._partial)
        except VideoError as cause:
            raise VideoError(
                f"{self._path.name} could not be written: it cannot be read again, the sound of "
                f"{self._source.path.name} may be damaged. Nothing was kept."
            ) from cause

    def _failure(self) -> VideoError:
        self._messages.seek(0)
        return _not_written(self._path, self._messages.read())


def _not_written(path: Path, messages: bytes) -> VideoError:
    lines = messages.decode("utf-8", "replace").strip().splitlines()
    reason = lines[-1].split("] ")[-1].rstrip(".") if lines else "no frame came"
    return VideoError(f"{path.name} could not be written: {reason}. Nothing was kept.")


def join_pieces(
    pieces: Sequence[Path], starts_s: Sequence[Fraction], target: Path, source: VideoInfo,
    span: Span = WHOLE, comment: str = "",
) -> None:  # fmt: skip
    """Write one MP4 of pieces that `VideoWriter` made of a source without its sound, not encoded
    again, with the source's sound.

    Args:
        starts_s: when each piece shows, as `read_yuv` times its first frame.
        span, comment: as of `VideoWriter`.
    Raises:
        VideoError: they cannot be joined.
    """
    check_target(target, ".mp4")
    with written_whole(target) as partial:
        lines = ["ffconcat version 1.0"]
        starts_us = [round(start_s * 10**6) for start_s in starts_s]
        for number, piece in enumerate(pieces):
            (partial.parent / f"{number}").symlink_to(piece.resolve())
            lines.append(f"file {number}")
            if number + 1 < len(pieces):
                length_us = starts_us[number + 1] - starts_us[number]
                lines.append(f"duration {length_us // 10**6}.{length_us % 10**6:06}")
        names = partial.with_suffix(".ffconcat")
        names.write_text("\n".join(lines))
        frames = ["-f", "concat", "-i", f"{names}"]
        command = _mux_command(
            source, span, starts_s[0], frames, ["-c:v", "copy"], comment, partial
        )
        with tempfile.TemporaryFile() as said:
            process = run_ffmpeg(command, stderr=said)
            try:
                status = process.wait()
            finally:
                process.kill()
            said.seek(0)
            if status != 0:
                raise _not_written(target, said.read())


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_TICK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _mux_command(
    source: VideoInfo, span: Span, first_time_s: Fraction, frames: list[str], codec: list[str],
    comment: str, target: Path,
) -> list[str]:  # fmt: skip
    """ffmpeg's arguments: frames from an input, sound from the source, MP4 out.

    `first_time_s` is when the first picture shows; ffmpeg lets every input begin at 0, so without
    it a picture that starts after its sound would come too early. A part that does not start the
    video begins with its first picture, and so does its sound.
    """
    seek: list[str] = []
    if span.start_s > 0:
        seek = ["-ss", f"{float(first_time_s) + span.start_s:.6f}"]
        first_time_s = Fraction(0)
    if span.end_s is not None:
        seek += ["-to", f"{span.end_s:.6f}"]
    sound: list[str] = []
    known = ((track, name) for track, name in enumerate(source.audio) if name != _UNKNOWN)
    for number, (track, name) in enumerate(known):
        # Copied sound could only be cut between its packets.
        copied = name in _COPIED_AUDIO and span == WHOLE
        sound += ["-map", f"1:a:{track}", f"-c:a:{number}", "copy" if copied else "aac"]
    return [
        *_ffmpeg(), "-y", "-itsoffset", f"{float(first_time_s):.9f}", *frames,
        *seek, *_input(source.path),
        "-map", "0:v:0", *sound, "-map_metadata", "1", "-map_chapters", "-1",
        *(["-metadata", f"comment={comment}"] if comment else []),
        *codec, "-metadata:s:v:0", "rotate=0",
        "-video_track_timescale", f"{written_tick(source).denominator}",
        "-movflags", "+faststart", "-max_muxing_queue_size", "9999", "-f", "mp4", f"file:{target}",
    ]  # fmt: skip


def written_tick(source: VideoInfo) -> Fraction:
    """Of what is written from this source, the seconds that timestamps are rounded to: where its
    own are coarse, at most 0.1 ms, of which a frame has a whole number."""
    if source.time_base.denominator > 1000:
        return Fraction(1, source.time_base.denominator)
    ticks = source.fps.numerator
    while ticks < 10_000:
        ticks *= 2
    return Fraction(1, ticks)


def metadata_command(path: Path) -> list[str]:
    """ffmpeg's arguments that write a file's metadata to stdout, in its own text format."""
    return [*_ffmpeg(), "-v", "quiet", *_input(path), "-c", "copy", "-map", "0:V:0",
            "-frames:v", "1", "-f", "ffmetadata", "-"]  # fmt: skip


def run_ffmpeg(
    command: list[str], pixels: int = 0, stdin: Any = None, stdout: Any = subprocess.DEVNULL,
    stderr: Any = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """ffmpeg with as much memory as it may have for frames of so many pixels."""
    # A static ffmpeg crashes with the host's modules for character sets, which MPEG-TS asks for.
    environment = {**os.environ, "GCONV_PATH": os.devnull}
    process = subprocess.Popen(command, bufsize=0, stdin=stdin, stdout=stdout, stderr=stderr,
                               env=environment)  # fmt: skip
    if sys.platform == "linux":
        import resource

        most = MEMORY_BYTES + PIXEL_BYTES * pixels
        with suppress(ProcessLookupError):  # done already
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (most, most))
    return process


def _threads(height: int, width: int) -> list[str]:
    """ffmpeg's own choice up to 16; but on few cores, where its threads take time from the network,
    one for pictures that need a few milliseconds."""
    cores = os.cpu_count() or 1
    if height * width <= 1280 * 720 and cores <= FEW_CORES:
        return ["-threads", "1"]
    return ["-threads", "16"] if cores > 16 else []


def _ffmpeg() -> list[str]:
    import imageio_ffmpeg  # only here: frames are painted where there is none, too

    # Without statistics, which would begin lines that others go on with.
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats"]


def _input(path: Path) -> list[str]:
    # "file:" keeps a leading dash or "http:" in a name from being taken for anything else.
    allowed = ["-protocol_whitelist", "file", "-format_whitelist", _FORMATS,
               "-max_pixels", str(MAX_SIDE * MAX_SIDE)]  # fmt: skip
    return [*allowed, "-i", f"file:{path}"]
