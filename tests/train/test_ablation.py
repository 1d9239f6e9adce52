"""The comparison of temporal terms: same runs but for the terms, and a table that adds up."""

import json
import os
from pathlib import Path

import pytest

from stylevid.metrics import Flicker
from train.ablation import ARMS, ArmScore, main, markdown, start_of, summarize
from train.config import TrainConfig
from train.measure import ClipScore

SETTINGS = (
    "--width 4 --blocks 1 --crop 32 --steps 0 --temporal-steps 2 --temporal-batch 1 --hold-out 0 "
    "--style-size 40 --sample-every 1000 --device cpu"
)


def flicker(floor: float, off: float, pairs: int = 3) -> Flicker:
    return Flicker(floor, {"off": off}, {"off": off / 2}, pairs)


def test_arms_differ_in_the_terms_alone_and_end_in_the_defaults() -> None:
    names = set(ARMS["off"])
    assert all(set(arm) == names for arm in ARMS.values())
    assert ARMS["chosen"] == {name: getattr(TrainConfig(), name) for name in names}
    assert ARMS["off"]["output_temporal_weight"] == ARMS["off"]["feature_temporal_weight"] == 0
    assert ARMS["output"]["output_temporal_weight"] > 0 == ARMS["output"]["noise"]
    assert ARMS["robust"]["noise"] > 0 == ARMS["both"]["noise"]


def test_scores_are_means_over_the_clips_that_are_long_enough() -> None:
    clips = [
        ClipScore("a", flicker(0.001, 0.003), flicker(0.002, 0.006)),
        ClipScore("b", flicker(0.003, 0.005), flicker(0.0, 0.0, pairs=0)),
    ]
    score = summarize(clips, style=0.5, content=0.7)
    assert score == ArmScore(
        floor=pytest.approx(2), warping=pytest.approx(4), floor_10=pytest.approx(2),
        warping_10=pytest.approx(6), gradient_energy=pytest.approx(2), style=0.5, content=0.7,
    )  # fmt: skip
    assert score.excess == pytest.approx(2)


def test_shares_in_the_table_are_of_off() -> None:
    off = ArmScore(1, 5, 2, 9, 3, 0.5, 0.7)
    ours = ArmScore(1, 2, 2, 6, 3, 0.55, 0.7)
    rows = markdown({"wave": {"off": off, "both": ours}}).splitlines()
    assert len(rows) == 4
    cells = [cell.strip() for cell in rows[3].strip("|").split("|")]
    assert cells[:4] == ["wave", "both", "2.00 (1.00)", "0.25"]
    assert cells[6] == "1.10"
    assert len({row.count("|") for row in rows}) == 1


def test_whole_comparison(
    material: Path, clip: Path, tiny_weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = f"""--style {tiny_weights.stem} {material / "painting.png"}
        --warm-start {tiny_weights.parent} --content {material / "photos"} --clips {clip}
        --vgg {material / "vgg.safetensors"} --runs {tmp_path} --arms off output --size 48
        --photos 1 --jobs 2 --json {tmp_path / "table.json"} {SETTINGS}"""
    assert main(arguments.split()) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 4
    arms = json.loads((tmp_path / "table.json").read_text())[tiny_weights.stem]
    assert arms["off"]["warping"] != arms["output"]["warping"]
    assert arms["off"]["floor"] == arms["output"]["floor"] > 0


def test_a_run_that_fails_says_why(
    material: Path, clip: Path, tiny_weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = f"""--style {tiny_weights.stem} missing.png --warm-start {tiny_weights.parent}
        --content {material / "photos"} --clips {clip} --vgg {material / "vgg.safetensors"}
        --runs {tmp_path} --arms off {SETTINGS}"""
    assert main(arguments.split()) == 1
    assert capsys.readouterr().err.startswith("missing.png cannot be read as a picture")


def test_a_start_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"There is neither .*perceptual.* nor .*wave\.saf"):
        start_of(tmp_path, "wave")
