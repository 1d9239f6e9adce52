"""RAFT's weights become safetensors that the stabilizer's estimator takes."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_small

from stylevid.raft import RaftEstimator
from train import raft


def test_the_written_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(raft, "_from_torchvision", raft_small().state_dict)
    path = tmp_path / "raft.safetensors"
    assert raft.main([str(path)]) == 0
    gray = np.zeros((130, 140), np.float32)
    assert RaftEstimator(path)(gray, gray).shape == (130, 140, 2)


def test_no_network_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def offline() -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(raft, "_from_torchvision", offline)
    path = tmp_path / "raft.safetensors"
    assert raft.main([str(path)]) == 1
    said = capsys.readouterr().err.strip()
    assert "was not written" in said and "no route to host" in said and "\n" not in said
    assert not path.exists()
