"""The choice of an engine: measured once, kept, and measured again when the note is no use."""

import json
from pathlib import Path

import pytest
import torch

from stylevid import plans
from stylevid.errors import StylevidError
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.painter import Painter
from stylevid.plans import Plan, candidates, fastest, make_engine

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYLEVID_CACHE", str(tmp_path / "cache"))
    fastest.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The candidates that were timed; float32 in torch is made the fastest."""
    names: list[str] = []

    def time(plan: Plan, _: torch.device) -> float:
        names.append(plan.name)
        return 0.1 if plan.name == "torch-float32" else 0.2

    monkeypatch.setattr(plans, "_time", time)
    return names


def network() -> StyleNet:
    return StyleNet(StyleNetConfig(width=4, blocks=1)).eval()


def test_the_fastest_is_taken_and_noted(folder: Path, timed: list[str]) -> None:
    assert fastest(CPU) == Plan("torch", "float32")
    assert timed == [plan.name for plan in candidates(CPU)]
    (note,) = folder.iterdir()
    assert json.loads(note.read_text()) == ["torch-float32", 1]
    assert Painter(network(), "cpu").engine.name == "torch-float32"
    assert len(timed) == len(candidates(CPU)), "measured once for the process"


def test_another_process_reads_the_note(folder: Path, timed: list[str]) -> None:
    fastest(CPU)
    timed.clear()
    fastest.cache_clear()
    assert fastest(CPU) == Plan("torch", "float32") and not timed


@pytest.mark.parametrize("text", ["", "{", "[]", '["torch-float64", 1]', '["torch-float32", 9]'])
def test_a_damaged_or_old_note_is_measured_again(folder: Path, timed: list[str], text: str) -> None:
    fastest(CPU)
    (note,) = folder.iterdir()
    note.write_text(text)
    timed.clear()
    fastest.cache_clear()
    assert fastest(CPU) == Plan("torch", "float32") and timed
    assert json.loads(note.read_text()) == ["torch-float32", 1]


def test_another_number_of_threads_has_its_own_note(
    folder: Path, timed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest(CPU)
    fastest.cache_clear()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    fastest(CPU)
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_written_is_no_trouble(
    folder: Path, timed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.joinpath("cache").write_text("a file is in the way")
    assert fastest(CPU) == Plan("torch", "float32")
    assert "cannot be kept" in caplog.text


def test_a_candidate_that_fails_is_not_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plans, "_TRIAL", (24, 16))
    build = Plan.build

    def fail(self: Plan, *rest: object):
        if self.runtime == "openvino":
            raise RuntimeError("illegal instruction\nand so on")
        return build(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Plan, "build", fail)
    assert fastest(CPU).runtime == "torch"
    assert "illegal instruction" in caplog.text


def test_really_measured_here_openvino_wins_over_float32_torch(folder: Path) -> None:
    assert fastest(CPU).runtime == "openvino"


def test_without_openvino_torch_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_version", lambda package: None)
    assert {plan.runtime for plan in candidates(CPU)} == {"torch"}


def test_a_gpu_gets_half_precision_and_batches() -> None:
    able = candidates(torch.device("cuda"))
    assert {plan.precision for plan in able} == {"float16"}
    assert {plan.batch for plan in able} == {1, 4, 8}


def test_an_engine_can_be_named() -> None:
    engine = make_engine(network(), CPU, "openvino-float32")
    assert engine.name == "openvino-float32" and engine.batch == 1
    assert make_engine(network(), CPU, "torch-float32-compiled").name == "torch-float32-compiled"
    with pytest.raises(StylevidError, match=r"no engine 'onnx' on cpu here\. Choose one of"):
        make_engine(network(), CPU, "onnx")
