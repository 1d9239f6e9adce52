"""Nothing blocks everybody: whatever a video or ffmpeg does, it ends, and in a sentence."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from stylevid import video
from stylevid.errors import Cancelled, StylevidError, VideoError
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.recipe import read_recipe
from stylevid.video import Timed, VideoWriter, probe, read_yuv
from tests.accidents import refused
from tests.clips import generated, run_ffmpeg, tone
from tests.test_video import record_processes

TEST = generated("testsrc=s=48x32:r=25:d=0.4")
TRACKS = ["-map", "0:v", *["-map", "1:a"] * 100]
HOSTILE: dict[str, tuple[tuple[str, ...], str]] = {
    "tracks.mkv": ((*TEST, *tone(), *TRACKS, "-c:a", "aac"), "100 sound tracks; the"),
    "wide.mkv": ((*generated("color=s=100000x16:d=0.1"), "-c:v", "ffv1"),
                 "is 100000x16; the limit is 8192 pixels"),
    "bomb.gif": (generated("color=s=16000x8200:d=0.1,format=gray"),
                 "is 16000x8200; the limit is 8192 pixels"),
    "rate.mkv": (generated("color=s=48x32:r=1000:d=9"),
                 "9000 frames of 48x32, 13,824,000 pixels in all; the limit is 10,000,000"),
    "hidden.h264": (generated("color=s=48x32:r=25:d=270"),
                    "6511 frames of 48x32, 10,000,896 pixels in all; the limit is 10,000,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_too_much_is_refused(name: str, tmp_path: Path, painter) -> None:
    made, match = HOSTILE[name]
    run_ffmpeg(*made, "-preset", "ultrafast", tmp_path / name)
    options = Options(max_pixels=10_000_000, size=16, temporal=False, measure=False)
    began = time.monotonic()
    with refused(VideoError, match):
        stylize_video(tmp_path / name, tmp_path / "out.mp4", painter, options)
    assert time.monotonic() - began < 60
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_painted_larger_than_it_is_counts_as_painted(tmp_path: Path, painter) -> None:
    run_ffmpeg(*generated("testsrc=s=48x32:r=10:d=1"), tmp_path / "a.mp4")
    options = Options(max_pixels=1_000_000, size=480, measure=False)
    with refused(VideoError, "10 frames of 480x320, 1,536,000 pixels in all; the limit is 1,000,0"):
        stylize_video(tmp_path / "a.mp4", tmp_path / "out.mp4", painter, options)
    as_it_is = replace(options, enlarge=False)
    assert stylize_video(tmp_path / "a.mp4", tmp_path / "out.mp4", painter, as_it_is).width == 48
    recipe = read_recipe(tmp_path / "out.mp4")
    assert recipe and recipe.size is None, "it kept the video's own"


def test_fonts_and_subtitles_do_no_harm(tmp_path: Path, painter: Painter) -> None:
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\n<font face='x'>{\\p1}m</font>\n"
    )
    (tmp_path / "a.ttf").write_bytes(bytes(99_999))
    attached = "-attach", tmp_path / "a.ttf", "-metadata:s:t", "mimetype=font/ttf"
    run_ffmpeg(*TEST, "-i", tmp_path / "a.srt", "-c:s", "ass", *attached, tmp_path / "a.mkv")
    assert stylize_video(tmp_path / "a.mkv", tmp_path / "out.mp4", painter).frames == 10


@pytest.mark.parametrize("when", ["amid its frames", "at its end"])
@pytest.mark.parametrize("asked", [False, True])
def test_an_encoder_that_is_stuck_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, asked: bool
) -> None:
    run_ffmpeg(*generated("testsrc=s=640x360:d=0.2"), tmp_path / "a.mp4")
    info = probe(tmp_path / "a.mp4")
    first = next(read_yuv(info))
    monkeypatch.setattr(video, "PATIENCE_S", 60 if asked else 1)
    processes = record_processes(monkeypatch)
    stopped: list[float] = []
    error: type[StylevidError] = Cancelled if asked else VideoError
    match = "Stopped while the video was written" if asked else "stood still for 1 s"

    def should_stop() -> bool:
        stopped.append(0)
        return asked and len(stopped) > 1

    began = time.monotonic()
    with (
        pytest.raises(error, match=match),
        VideoWriter(tmp_path / "out.mp4", info, (360, 640), should_stop=should_stop) as writer,
    ):
        for index in range(30 if when == "amid its frames" else 1):
            writer.write(Timed(first.frame, Fraction(index, 25), Fraction(1, 25)))
            os.kill(processes[0].pid, signal.SIGSTOP)
    assert time.monotonic() - began < 20
    assert processes[0].poll() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("at", [1, 5, 15])
def test_whoever_is_asked_whether_to_stop_may_say_why(
    tmp_path: Path, clip: Path, painter: Painter, at: int
) -> None:
    """An operator's limit of time, for instance."""
    asked: list[float] = []

    def should_stop() -> bool:
        asked.append(0)
        if len(asked) == at:
            raise VideoError("It takes too long.")
        return False

    with pytest.raises(VideoError, match=r"It takes too long\."):
        stylize_video(clip, tmp_path / "out.mp4", painter, should_stop=should_stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of others' memory are Linux's")
def test_ffmpeg_without_memory_is_refused_in_a_sentence(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(clip)
    monkeypatch.setattr(video, "MEMORY_BYTES", 8 << 20)
    reads: list[Callable[[], object]] = [lambda: probe(clip), lambda: list(read_yuv(info))]
    for read in reads:
        with refused(VideoError):
            read()


def test_what_cannot_be_read_again_is_not_kept(tmp_path: Path, painter: Painter) -> None:
    """Found by chance: ffmpeg copies sound of 0 channels into an MP4 that nothing opens."""
    source = Path(__file__).parent / "broken" / "sound-of-no-channels.mkv"
    with pytest.raises(VideoError, match="cannot be read again, the sound of sound-of-no"):
        stylize_video(source, tmp_path / "out.mp4", painter)
    assert list(tmp_path.iterdir()) == []
