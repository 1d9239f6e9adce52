"""A painted video in other forms."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylevid.errors import VideoError
from stylevid.export import LOOP_FPS, arranger, export_loop, export_vertical, side_by_side
from stylevid.video import probe, read_frames
from stylevid.yuv import Yuv
from tests.accidents import refused
from tests.clips import encode, textured_frames, tone


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """90x160: gray, with a red stripe in the middle that grows from frame to frame; 4.1 s."""
    frames = [np.full((90, 160, 3), 100, np.uint8) for _ in range(41)]
    for i, frame in enumerate(frames):
        frame[: 2 * i + 2, 76:84] = (220, 30, 30)
    return encode(tmp_path / "striped.mp4", frames, "-c:a", "aac", rate="10", sound=tone(4.1))


def test_two_pictures_are_side_by_side_and_labelled() -> None:
    gray, light = (Yuv(np.full((96, 128), 128, np.uint8)) for _ in range(2))
    gray.luma[:], light.luma[:] = 100, 200
    show = arranger(side_by_side)
    for left, right in ((gray, light), (light, gray)):  # the second time they have changed places
        both = show(left, right)
        assert both.size == (64, 256)
        for half, one in ((both.luma[:, :128], left), (both.luma[:, 128:], right)):
            assert abs(half[32:].astype(int) - one.luma[32:]).max() <= 2
            label = half[:21, :30].astype(int)
            assert label.min() < 60 and label.max() > 200


def test_a_phone_sees_the_middle_with_its_times_and_sound(striped: Path, tmp_path: Path) -> None:
    target = export_vertical(striped, tmp_path / "upright.mp4")
    info = probe(target)
    assert (info.height, info.width, info.audio) == (90, 50, ("aac",))
    frames = list(read_frames(info))
    assert [timed.time_s for timed in frames] == [Fraction(i, 10) for i in range(41)]
    assert frames[40].frame[40, 25, 0] > 180 and frames[0].frame[40, 25, 0] < 120
    assert all(frames[40].frame[40, x, 0] < 120 for x in (5, 45))


@pytest.mark.parametrize(("size", "upright"), [((400, 90), (160, 90)), ((2, 200), (2, 2)),
                                               ((31, 45), (32, 18))])  # fmt: skip
def test_every_shape_has_a_middle(
    tmp_path: Path, size: tuple[int, int], upright: tuple[int, int]
) -> None:
    video = encode(tmp_path / "video.mp4", textured_frames(2, *size), "-pix_fmt", "yuv444p")
    info = probe(export_vertical(video, tmp_path / "upright.mp4"))
    assert (info.height, info.width) == upright


def test_a_loop_ends_where_it_begins(striped: Path, tmp_path: Path) -> None:
    with Image.open(export_loop(striped, tmp_path / "loop.gif")) as gif:
        assert (gif.n_frames, gif.size) == (38, (160, 90))
        assert (gif.info["duration"], gif.info["loop"]) == (1000 / LOOP_FPS, 0)
        reds = []
        for index in range(gif.n_frames):
            gif.seek(index)
            reds.append((np.array(gif.convert("RGB"))[:, 80, 0] > 180).sum())
    assert abs(reds[-1] - reds[0]) < 8, "the end has faded into the start"
    assert reds[28] - reds[0] > 35, "in between the stripe grows"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "loop.gif", striped]


@pytest.mark.parametrize(
    ("frames", "rate", "pictures"), [(1, "1", 10), (1, "25", 1), (60, "120", 6)]
)
def test_short_and_slow_videos_loop(tmp_path: Path, frames: int, rate: str, pictures: int) -> None:
    video = encode(tmp_path / "short.mp4", textured_frames(frames), rate=rate)
    with Image.open(export_loop(video, tmp_path / "loop.gif")) as gif:
        assert gif.n_frames == pictures


def test_a_loop_that_cannot_be_written_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    for name, match in (("out.avi", "must end in"), ("no/out.gif", "does not exist")):
        with refused(VideoError, match):
            export_loop(clip, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
