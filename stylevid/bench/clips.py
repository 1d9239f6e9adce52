"""The clip that is painted: the bundled example or one's own, cut short or repeated."""

import subprocess
from itertools import islice
from pathlib import Path

import imageio_ffmpeg

from ..errors import VideoError
from ..example import render_example
from ..video import probe, read_yuv
from ..yuv import Yuv


def prepare_clip(
    source: Path | None, folder: Path, seconds: float, height: int = 360, width: int = 640
) -> Path:
    """A file in `folder` with the first seconds of a video, streams copied; the example, rendered
    at height x width, where `source` is None.

    Raises:
        VideoError: the source cannot be read.
    """
    if source is None:
        return render_example(folder / "example.mp4", seconds, height=height, width=width)
    probe(source)
    return _copy(source, folder / "clip.mkv", "-t", f"{seconds:.3f}")


def repeat_clip(clip: Path, target: Path, frames: int) -> Path:
    """A silent Matroska file at `target` of so many frames: the clip over and over, its stream
    copied."""
    return _copy(clip, target, "-frames:v", str(frames), "-an", loops=-1)


def frames_of(clip: Path, size: tuple[int, int], count: int) -> list[Yuv]:
    """Up to `count` frames at `size` (height, width), spread over the clip."""
    info = probe(clip)
    step = max(1, info.frames // count)
    frames = read_yuv(info, size)
    try:
        return [timed.frame for timed in islice(frames, 0, step * count, step)]
    finally:
        frames.close()


def _copy(source: Path, target: Path, *options: str, loops: int = 0) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y",
               "-stream_loop", str(loops), "-i", f"file:{source}", "-map", "0:V:0", "-map", "0:a?",
               "-c", "copy", *options, "-f", "matroska", f"file:{target}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise VideoError(f"{source.name} cannot be copied: {said[-1] if said else 'no reason'}.")
    return target
