"""From file to file: the whole pipeline beside the network alone and beside no network at all."""

from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from ..painter import Painter
from ..pipeline import Options, stylize_video
from ..video import VideoInfo, VideoWriter, even, probe, read_yuv
from ..yuv import Yuv
from .race import Contender, Timing, race, stopwatch

ALONE, OFF, ON, COPY = (
    "network alone, frames in memory",
    "pipeline, switch off",
    "pipeline, switch on",
    "decode and encode alone",
)


_HELD_BYTES = 1 << 30


@dataclass(frozen=True)
class VideoTimes:
    """One race over a clip.

    Attributes:
        height, width, frames: of the clip.
        engine: that painted.
        timings: of ALONE, OFF, ON, COPY.
    """

    height: int
    width: int
    frames: int
    engine: str
    timings: list[Timing]

    @property
    def off_share(self) -> float | None:
        """Speed of the pipeline with the switch off over that of the network alone."""
        return self._speed_ratio(OFF, ALONE)

    @property
    def on_share(self) -> float | None:
        """Speed with the switch on over that with it off."""
        return self._speed_ratio(ON, OFF)

    def _speed_ratio(self, name: str, base: str) -> float | None:
        by_name = {timing.name: timing for timing in self.timings if timing.seconds}
        if name not in by_name or base not in by_name:
            return None
        return by_name[base].median_s / by_name[name].median_s


def time_videos(clip: Path, painter: Painter, folder: Path, rounds: int) -> VideoTimes:
    """Race the four over the whole clip.

    Args:
        folder: for the videos that come out.
    """
    info = probe(clip)
    count = sum(1 for _ in read_yuv(info))
    frames = [timed.frame for timed in islice(read_yuv(info), _held(info))]
    list(painter.paint(frames[: painter.engine.batch]))  # compiles for this size
    target = folder / "out.mp4"
    jobs = {
        ALONE: partial(_paint_alone, painter, frames, count),
        OFF: partial(stylize_video, clip, target, painter, Options(temporal=False, measure=False)),
        ON: partial(stylize_video, clip, target, painter, Options(temporal=True, measure=False)),
        COPY: partial(_copy_frames, info, target),
    }
    contenders = [
        Contender(name, "video", partial(stopwatch, job, count)) for name, job in jobs.items()
    ]
    timings = race(contenders, rounds, calls=1, untimed=0)
    return VideoTimes(info.height, info.width, count, painter.engine.name, timings)


def _held(info: VideoInfo) -> int:
    """How many frames are kept in memory; a longer clip starts over with them."""
    return max(1, _HELD_BYTES // (info.height * info.width * 3 // 2))


def _paint_alone(painter: Painter, frames: list[Yuv], count: int) -> None:
    for _ in painter.paint(islice(cycle(frames), count)):
        pass


def _copy_frames(info: VideoInfo, target: Path) -> None:
    with VideoWriter(target, info, (even(info.height), even(info.width))) as writer:
        for timed in read_yuv(info):
            writer.write(timed)
