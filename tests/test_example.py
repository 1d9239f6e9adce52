"""The example clip is a proper clip, and holds still where it should."""

from pathlib import Path

import av
import numpy as np

from stylevid.example import render_example, render_sound
from stylevid.scene import render_frame


def test_the_clip_has_the_frames_size_and_sound_it_was_asked_for(tmp_path: Path) -> None:
    path = render_example(tmp_path / "example.mp4", duration_s=0.5, fps=24, height=90, width=160)
    with av.open(str(path)) as clip:
        video = clip.streams.video[0]
        assert (video.width, video.height, video.average_rate) == (160, 90, 24)
        assert video.codec_context.pix_fmt == "yuv420p"
        assert [stream.codec_context.name for stream in clip.streams.audio] == ["aac"]
        assert sum(1 for _ in clip.decode(video)) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["example.mp4"]


def test_a_frame_is_the_same_each_time_and_moves_on() -> None:
    first = render_frame(1.0, 90, 160)
    assert first.shape == (90, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, render_frame(1.0, 90, 160))
    assert not np.array_equal(first, render_frame(1.5, 90, 160))


def test_the_sound_is_stereo_soft_and_without_clicks() -> None:
    sound = render_sound(1.0)
    assert sound.shape == (44_100, 2)
    assert np.abs(sound).max() <= 0.4 + 1e-9
    assert np.abs(sound[0]).max() < 0.01 and np.abs(sound[-1]).max() < 0.01
