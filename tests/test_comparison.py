"""Two seconds painted both ways, side by side."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stylevid.comparison import LONGEST, WINDOW_S, compare_video, window_start
from stylevid.errors import Cancelled
from stylevid.example import render_example
from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress
from stylevid.video import probe, read_frames


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return render_example(folder / "long.mp4", duration_s=4, fps=12, height=96, width=160)


@pytest.fixture
def painter(tiny_network: StyleNet) -> Painter:
    return Painter(tiny_network, "cpu", "torch-float32")


@pytest.mark.parametrize(
    ("duration_s", "share", "start_s"),
    [(10, 0.5, 4), (10, 0, 0), (10, 1, 8), (1, 0.5, 0), (0, 0.5, 0)],
)
def test_the_window_lies_within_the_video(duration_s: float, share: float, start_s: float) -> None:
    assert window_start(duration_s, share) == start_s


def test_two_silent_seconds_of_twice_the_width(
    long_clip: Path, painter: Painter, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    target = tmp_path / "both.mp4"
    assert compare_video(long_clip, target, painter, Options(), seen.append, share=0.6) == target
    info = probe(target)
    assert (info.height, info.width, info.has_audio) == (96, 320, False)
    times = [float(timed.time_s) for timed in read_frames(info)]
    assert len(times) == len(seen) == 24 and times[0] == 0
    assert info.duration_s == pytest.approx(WINDOW_S, abs=0.05)
    assert all(a.fraction < b.fraction <= 1 for a, b in pairwise(seen))


def test_left_is_the_painting_alone_and_right_is_steadied(
    long_clip: Path, tmp_path: Path, painter: Painter
) -> None:
    def halves(share: float) -> list[tuple[np.ndarray, np.ndarray]]:
        target = tmp_path / "both.mp4"
        compare_video(long_clip, target, painter, Options(), share=share)
        frames = [timed.frame[40:].astype(int) for timed in read_frames(probe(target))]
        return [(frame[:, :160], frame[:, 160:]) for frame in frames]

    first, *_, last = halves(0)
    assert abs(first[0] - first[1]).mean() < 2  # nothing came before the video's first frame
    assert abs(last[0] - last[1]).mean() > 0.5
    warm, *_ = halves(0.6)
    assert abs(warm[0] - warm[1]).mean() > 0.5


def test_a_large_video_is_shown_small(tmp_path: Path, painter: Painter) -> None:
    clip = render_example(tmp_path / "large.mp4", duration_s=0.3, fps=10, height=360, width=640)
    info = probe(compare_video(clip, tmp_path / "both.mp4", painter, Options()))
    assert (info.height, info.width) == (270, 2 * LONGEST)


def test_stopping_leaves_nothing(long_clip: Path, painter: Painter, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        compare_video(long_clip, tmp_path / "x.mp4", painter, Options(), should_stop=lambda: True)
    assert list(tmp_path.iterdir()) == []
