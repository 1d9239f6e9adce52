"""Every clip of the shared data that is a video goes through a tiny network."""

import json
from pathlib import Path
from typing import Any

import av
import pytest

from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from tests.conftest import SHARED_DATA

VIDEOS = SHARED_DATA / "videos"
UNREADABLE = {  # as test_video says
    "odd/animation_lossy.webp", "odd/d_audio_only.mp4", "odd/d_empty.mp4", "odd/d_text_named.mp4",
    "odd/d_truncated_60pct.mp4",
}  # fmt: skip


def readable() -> list[Any]:
    manifest = VIDEOS / "manifest.json"
    told = json.loads(manifest.read_text("utf-8")) if manifest.is_file() else []
    clips = [clip for clip in told if clip["file"] not in UNREADABLE]
    # Without the shared data one test remains, to be skipped with the reason said.
    return [pytest.param(c, id=c["file"]) for c in clips] or [pytest.param({}, id="no clips")]


@pytest.mark.parametrize("clip", readable())
def test_clip_is_painted_whole(
    tmp_path: Path, shared_data: Path, painter: Painter, clip: dict[str, Any]
) -> None:
    source, target = VIDEOS / clip["file"], tmp_path / "out.mp4"
    expected = clip["frames_decoded"]
    # The stabilizer costs three times the rest: it steadies the short clips only.
    options = Options(size=96, measure=False, temporal=expected <= 60)
    result = stylize_video(source, target, painter, options)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        shown = [frame.pts for frame in after.decode(video=0)]
        assert len(shown) == result.frames == expected
        assert shown == sorted(set(shown))
        width, height = clip["width"], clip["height"]  # before pixels are made square
        if (clip["rotation"] or 0) % 180 == 90:
            width, height = height, width
        video = after.streams.video[0]
        assert max(video.width, video.height) == 96
        if before.streams.video[0].sample_aspect_ratio in (None, 0, 1):
            assert video.width / video.height == pytest.approx(width / height, rel=0.08)
        sounds = [(s.channels, s.sample_rate) for s in after.streams.audio]
        assert sounds == [(s.channels, s.sample_rate) for s in before.streams.audio]
        assert len(sounds) == len(clip["audio"])
    last_shown_s = float(shown[-1] * video.time_base)
    assert last_shown_s == pytest.approx(clip["duration_s"], abs=0.12)
