"""A painted video in another form, arranged by moviepy: side by side, upright for a phone, a loop.

moviepy only arranges pictures. Around it stay our own reader and writer, which keep each picture's
exact time, the colors and the sound, and notice an ffmpeg that fails; moviepy's do not.
"""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

from moviepy import CompositeVideoClip, ImageSequenceClip, TextClip, VideoClip, clips_array, vfx

from .errors import VideoError
from .files import written_whole
from .frames import Frame, fit, to_frame, to_image
from .video import ShouldStop, Span, VideoWriter, check_target, even, probe, read_frames, read_yuv
from .yuv import Yuv, image_to_yuv, yuv_to_image

LOOP, FADE = 38, 6  # pictures of a loop, and of those that its end fades into
LOOP_FPS = 12.5  # a GIF counts in 1/100 s
LOOP_SIDE = 480  # pixels, the longest
# One palette for all of it, and a pattern that stands still: what moviepy's own GIFs lack.
_PALETTE = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"


def arranger(arrange: Callable[..., VideoClip]) -> Callable[..., Yuv]:
    """A function that makes one picture of those of one moment, of even sides and one matrix.

    `arrange` is called once: it makes a clip of as many clips as there are pictures.
    """
    shown: list[Frame] = []
    arranged: VideoClip | None = None

    def clip_of(index: int) -> VideoClip:
        return VideoClip(lambda _: shown[index])

    def show(*pictures: Yuv) -> Yuv:
        nonlocal arranged
        shown[:] = [to_frame(yuv_to_image(picture)) for picture in pictures]
        arranged = arranged or arrange(*(clip_of(index) for index in range(len(shown))))
        frame = cast(Frame, arranged.get_frame(0))
        return image_to_yuv(to_image(frame), pictures[0].matrix)

    return show


def side_by_side(left: VideoClip, right: VideoClip) -> VideoClip:
    """Two clips of one size, labelled OFF and ON."""
    both = clips_array([[left, right]], bg_color=(0, 0, 0))
    size = max(12, left.h // 16)
    labels = [
        TextClip(text=text, font_size=size, color="white", bg_color=(30, 30, 30),
                 size=(5 * size // 2, 7 * size // 4)).with_position((x, 0))
        for text, x in (("OFF", 0), ("ON", left.w))
    ]  # fmt: skip
    return CompositeVideoClip([both, *labels], use_bgclip=True)


def export_vertical(video: Path | str, target: Path | str, should_stop: ShouldStop = None) -> Path:
    """The middle of a video, 9:16, with its sound, as an .mp4; returns `target`.

    Raises:
        VideoError: the video cannot be read or the target not be written.
    """
    info = probe(video)
    height, width = even(info.height), even(info.width)
    tall = min(height, max(2, width * 16 // 9 // 2 * 2))
    narrow = min(width, max(2, height * 9 // 16 // 2 * 2))
    left, top = (width - narrow) // 2, (height - tall) // 2
    middle = vfx.Crop(x1=left, y1=top, x2=left + narrow, y2=top + tall)
    show = arranger(lambda clip: clip.with_effects([middle]))
    with (
        VideoWriter(target, info, (tall, narrow), should_stop=should_stop) as writer,
        closing(read_yuv(info, should_stop=should_stop)) as frames,
    ):
        for timed in frames:
            writer.write(replace(timed, frame=show(timed.frame)))
    return Path(target)


def export_loop(video: Path | str, target: Path | str, should_stop: ShouldStop = None) -> Path:
    """The first three seconds of a video as an endless .gif whose end fades into its start; returns
    `target`. A shorter video loops as a whole.

    Raises:
        VideoError: the video cannot be read or the target not be written.
    """
    target, info = Path(target), probe(video)
    check_target(target, ".gif")
    size = fit(info.height, info.width, LOOP_SIDE, enlarge=False)
    length_s = (LOOP + FADE) / LOOP_FPS
    pictures: list[Frame] = []
    for timed in read_frames(info, size, Span(0, length_s), should_stop):
        until_s = min(timed.time_s + timed.duration_s, length_s)
        pictures += [timed.frame] * (math.ceil(until_s * LOOP_FPS) - len(pictures))
    loop = ImageSequenceClip(pictures, fps=LOOP_FPS)
    if fade := min(FADE, len(pictures) // 4):
        loop = cast(VideoClip, loop.with_effects([vfx.MakeLoopable(fade / LOOP_FPS)]))
    try:
        with written_whole(target) as partial:
            loop = loop.with_duration(loop.duration + 1e-3)  # else rounding loses a picture
            loop.write_videofile(str(partial), LOOP_FPS, "gif", audio=False, logger=None,
                                 ffmpeg_params=["-vf", _PALETTE])  # fmt: skip
            if partial.read_bytes()[-1:] != b";":  # moviepy reads no exit status
                raise OSError("the GIF is not whole")
    except OSError as cause:
        raise VideoError(f"{target.name} could not be written; is the disk full?") from cause
    return target
