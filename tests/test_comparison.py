"""A video painted both ways, side by side."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stylevid.comparison import WINDOW_S, WINDOW_SIDE, compare_video, window
from stylevid.errors import Cancelled
from stylevid.example import EXAMPLE
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress
from stylevid.video import WHOLE, Span, probe, read_frames
from tests.clips import encode, noisy_frames, run_ffmpeg


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of the example, small, at 12 frames a second."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    run_ffmpeg("-i", EXAMPLE, "-t", 4, "-vf", "fps=12,scale=160:96", path)
    return path


@pytest.mark.parametrize(
    ("span", "duration_s", "share", "seconds"),
    [(WHOLE, 10, 0.5, (4, 6)), (WHOLE, 10, 0, (0, 2)), (WHOLE, 10, 1, (8, 10)),
     (WHOLE, 1, 0.5, (0, 2)), (WHOLE, 0, 0.5, (0, 2)), (Span(3), 10, 1, (8, 10)),
     (Span(3, 9), 10, 0.5, (5, 7)), (Span(3, 4), 10, 0.5, (3, 4))],
)  # fmt: skip
def test_the_window_lies_within_the_part(
    span: Span, duration_s: float, share: float, seconds: tuple[float, float]
) -> None:
    assert window(span, duration_s, share) == Span(*seconds)


def test_a_part_both_ways_with_its_sound(long_clip: Path, tmp_path: Path, painter: Painter) -> None:
    seen: list[Progress] = []
    target = tmp_path / "both.mp4"
    options = Options(start_s=1, end_s=2.5)
    assert compare_video(long_clip, target, painter, options, seen.append) == target
    info = probe(target)
    assert (info.height, info.width, info.audio) == (96, 320, ("aac",))
    assert info.duration_s == pytest.approx(1.5, abs=0.05)
    frames = list(read_frames(info))
    assert [timed.time_s for timed in frames] == [Fraction(i, 12) for i in range(18)]
    assert len(seen) == 18 and all(a.fraction < b.fraction <= 1 for a, b in pairwise(seen))
    shown = [timed.frame[40:].astype(int) for timed in frames]
    differences = [abs(frame[:, :160] - frame[:, 160:]).mean() for frame in shown]
    assert differences[0] < 2 and differences[-1] > 0.5  # the first has no past to hold on to


def test_the_window_is_small_and_silent(painter: Painter, tmp_path: Path) -> None:
    options = Options(start_s=0.3, end_s=0.5)
    info = probe(compare_video(EXAMPLE, tmp_path / "both.mp4", painter, options, share=0.6))
    assert (info.height, info.width, info.audio) == (270, 2 * WINDOW_SIDE, ())
    assert info.duration_s < WINDOW_S / 8


def test_stopping_leaves_nothing(long_clip: Path, painter: Painter, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        compare_video(long_clip, tmp_path / "x.mp4", painter, Options(), should_stop=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_the_left_half_is_the_painting_alone(painter: Painter, tmp_path: Path) -> None:
    """A still clip with noise: the left half changes from frame to frame, the right hardly."""
    noisy = encode(tmp_path / "noisy.mp4", noisy_frames(8))
    both = probe(compare_video(noisy, tmp_path / "both.mp4", painter, Options()))
    shown = [timed.frame[24:].astype(int) for timed in read_frames(both)]
    change = np.mean([abs(a - b) for a, b in pairwise(shown)], axis=(0, 1, 3))
    assert change[96:].mean() < 0.6 * change[:96].mean()
