"""The evaluation's numbers on clips made here."""

import json
from pathlib import Path

import numpy as np
import pytest

from stylevid.pipeline import Painter
from train.evaluate import main, score, table


@pytest.fixture(scope="module")
def noisy_clip(tmp_path_factory: pytest.TempPathFactory, encode, textured_frames) -> Path:
    """14 frames of 32x48: a still texture under noise."""
    still = textured_frames(1)[0].astype(int)
    chance = np.random.default_rng(0)
    noise = [chance.normal(0, 6, still.shape) for _ in range(14)]
    frames = [(still + grain).clip(0, 255).astype(np.uint8) for grain in noise]
    return encode(tmp_path_factory.mktemp("noisy") / "noisy.mp4", frames)


def test_score_has_floor_off_and_on(noisy_clip: Path, painter: Painter) -> None:
    result = score(noisy_clip, painter, frames=13, size=48)
    assert result.clip == "noisy.mp4"
    assert (result.short.pairs, result.long.pairs) == (12, 3)
    for flicker in (result.short, result.long):
        assert flicker.floor > 0
        assert flicker.errors.keys() == flicker.sharpness.keys() == {"off", "on"}
        assert 0 < flicker.errors["on"] < flicker.errors["off"]


def test_score_stops_at_the_clips_end_and_fits_the_size(noisy_clip: Path, painter: Painter) -> None:
    assert score(noisy_clip, painter, frames=99, size=640).short.pairs == 13
    assert score(noisy_clip, painter, frames=3, size=24).short.pairs == 2


def test_table_has_a_line_for_each_clip(noisy_clip: Path, painter: Painter) -> None:
    result = score(noisy_clip, painter, frames=12, size=48)
    lines = table([result, result]).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:4] == ["clip", "floor", "off", "on"]
    values = lines[1].split()
    assert values[0] == "noisy.mp4" and len(values) == 8
    assert float(values[1]) == pytest.approx(1000 * result.short.floor, abs=0.006)
    assert float(values[2]) == pytest.approx(1000 * result.short.errors["off"], abs=0.006)
    assert float(values[3]) == pytest.approx(1000 * result.short.errors["on"], abs=0.006)
    assert values[7].endswith("%")


def test_command_prints_the_table_and_writes_json(
    tmp_path: Path, noisy_clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = tmp_path / "metrics.json"
    arguments = ["--weights", str(tiny_weights), "--clips", str(noisy_clip), "--frames", "12"]
    assert main([*arguments, "--device", "cpu", "--json", str(numbers)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    written = json.loads(numbers.read_text())["clips"]["noisy.mp4"]
    assert written.keys() == {"floor", "off", "on", "floor_10", "off_10", "on_10", "sharpness"}
    assert 0 < written["on"] < written["off"]


def test_missing_clip_is_one_line(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--weights", str(tiny_weights), "--clips", str(tmp_path / "missing.mp4")]
    assert main(arguments) == 1
    assert capsys.readouterr().err == "missing.mp4 does not exist.\n"


def test_clip_of_ten_frames_has_a_line_too(clip: Path, painter: Painter) -> None:
    lines = table([score(clip, painter, frames=48, size=48)]).splitlines()
    assert len(lines) == 2
