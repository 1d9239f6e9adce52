"""`python -m benchmarks.opening`: the clip that the page opens with, webui/opening.mp4: the example
on the left of a line that swings, its painting on the right."""

import math
from contextlib import closing

import numpy as np
from moviepy import ImageSequenceClip

from stylevid import Options, Painter, get_style
from stylevid.example import EXAMPLE
from stylevid.frames import Frame, to_frame
from stylevid.pipeline import paint_frames
from stylevid.video import probe, read_yuv
from stylevid.yuv import yuv_to_image
from webui.stage import OPENING, OPENING_STYLE

SWING = 0.36  # of the width, to each side
LINE = 3  # pixels


def main() -> None:
    info = probe(EXAMPLE)
    with (
        closing(read_yuv(info)) as frames,
        closing(paint_frames(frames, Painter(get_style(OPENING_STYLE)), Options())) as paintings,
    ):
        pairs = [(to_frame(yuv_to_image(p.timed.frame)), to_frame(yuv_to_image(p.shown)))
                 for p in paintings]  # fmt: skip
    pictures = [divide(*pair, index / len(pairs)) for index, pair in enumerate(pairs)]
    clip = ImageSequenceClip(pictures, fps=float(info.fps))
    clip.with_duration(clip.duration + 1e-3).write_videofile(  # else rounding loses a picture
        str(OPENING), codec="libx264", preset="veryslow", audio=False, logger=None,
        ffmpeg_params=["-crf", "31", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
    )  # fmt: skip


def divide(left: Frame, right: Frame, share: float) -> Frame:
    """Both pictures, H,W,3, on the two sides of a white line that swings once."""
    width = left.shape[1]
    at = round(width * (0.5 + SWING * math.sin(2 * math.pi * share)))
    picture = np.where(np.arange(width)[:, None] < at, left, right)
    picture[:, at - LINE // 2 : at + LINE // 2 + 1] = 255
    return picture


if __name__ == "__main__":
    main()
