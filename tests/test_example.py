"""The example clip is what every browser plays, small, and moves."""

from itertools import pairwise

import av
import numpy as np

from stylevid.example import EXAMPLE, example_picture
from stylevid.video import probe, read_frames


def test_the_clip_is_small_and_plays_everywhere() -> None:
    assert EXAMPLE.stat().st_size < 600_000
    with av.open(str(EXAMPLE)) as clip:
        video, sound = clip.streams.video[0], clip.streams.audio[0]
        assert (video.width, video.height, video.average_rate) == (640, 360, 24)
        codecs = video.codec_context.name, video.codec_context.pix_fmt, sound.codec_context.name
        assert codecs == ("h264", "yuv420p", "aac")
        levels = [np.abs(part.to_ndarray()).max() for part in clip.decode(sound)]
        assert 0.3 < max(levels) <= 0.5 and levels[-1] < 0.1  # soft, and ends without a click
    frames = [timed.frame.astype(int) for timed in read_frames(probe(EXAMPLE), (90, 160))]
    assert len(frames) == 120
    assert all(abs(a - b).mean() > 0.3 for a, b in pairwise(frames))


def test_the_picture_is_a_square_of_the_clip() -> None:
    picture = example_picture(64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8 and picture.std() > 20
