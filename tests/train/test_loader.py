"""Batches are loaded ahead by processes of their own, and are what they would be without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.errors import DataError, StyleError
from stylevid.learn.sequences import Sequences
from train.config import TrainConfig
from train.data.flow_files import write_pfm
from train.data.images import list_photos
from train.data.loader import Batch, TrainingData
from train.data.sceneflow import SceneFlow
from train.synthesize import main as synthesize

CONFIG = TrainConfig(
    steps=2, batch=4, crop=16, temporal_steps=3, temporal_batch=2, temporal_crop=16, hold_out=0
)


@pytest.fixture(scope="module")
def photos(material: Path) -> list[Path]:
    return list_photos(material / "photos")


@pytest.fixture
def tree(material: Path, tmp_path: Path) -> Path:
    """Three scenes, six pairs, of which one is broken."""
    words = f"--photos {material / 'photos'} --out {tmp_path / 'tree'} --pairs 3 --size 32x48"
    assert (
        synthesize([*words.split(), *["--speed", "2", "--hold-out", "0", "--device", "cpu"]]) == 0
    )
    flow = next((tmp_path / "tree").rglob("OpticalFlowIntoFuture*.pfm"))
    write_pfm(flow, np.full((32, 48, 2), np.nan, np.float32))
    return tmp_path / "tree"


def parts(batch: Batch) -> list[Tensor]:
    return [batch] if isinstance(batch, Tensor) else [*vars(batch).values()]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("from_files", [False, True])
def test_batches_are_a_function_of_the_step_whoever_loads_them_and_wherever_it_starts(
    photos: list[Path], tree: Path, workers: int, from_files: bool
) -> None:
    def data(workers: int) -> TrainingData:
        sceneflow = SceneFlow(tree) if from_files else None
        return TrainingData(CONFIG, photos, sceneflow, workers=workers)

    state = torch.get_rng_state()
    batches = [*data(workers).batches(1, 5)]
    assert torch.equal(torch.get_rng_state(), state)
    assert batches[0].shape == (4, 3, 16, 16)
    for batch in batches[1:]:
        assert isinstance(batch, Sequences) and batch.frames.shape[1:] == (2, 3, 16, 16)
        assert not from_files or len(batch.frames) <= 2
    for step, batch in enumerate(batches, 1):
        for part, wanted in zip(parts(batch), parts(data(0).load(step)), strict=True):
            assert torch.equal(part, wanted)


@pytest.mark.parametrize("step", [0, 2])
def test_processes_share_a_batch(photos: list[Path], tree: Path, step: int) -> None:
    for sceneflow in (None, SceneFlow(tree)):
        whole = TrainingData(CONFIG, photos, sceneflow).load(step)
        shares = [TrainingData(CONFIG, photos, sceneflow, rank, 2) for rank in (0, 1)]
        each = zip(*(parts(share.load(step)) for share in shares), strict=True)
        for part, both in zip(parts(whole), each, strict=True):
            assert torch.equal(part, torch.cat(both, dim=1 if step else 0))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_skipped_is_counted_once_whoever_meets_it(
    photos: list[Path], tree: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, steps=0, temporal_steps=20)
    data = TrainingData(config, photos, SceneFlow(tree, ["clean"]), workers=workers)
    assert len([*data.batches(0, 20)]) == 20
    assert data.sceneflow is not None and data.sceneflow.counts == {"no finite flow": 1}
    (record,) = caplog.records
    assert "no flow that is finite" in record.getMessage()
    assert data.waited_s > 0


@pytest.mark.parametrize("workers", [0, 1])
def test_trouble_is_one_sentence_whoever_meets_it(
    photos: list[Path], tree: Path, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    data = TrainingData(CONFIG, [tmp_path / "broken.png"], workers=workers)
    with pytest.raises(StyleError, match=r"broken\.png cannot be read as a picture") as caught:
        next(data.batches(0, 1))
    assert "\n" not in str(caught.value)
    dataset = SceneFlow(tree)
    for path in tree.rglob("*.pfm"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="one after the other cannot be used") as caught:
        next(TrainingData(CONFIG, photos, dataset, workers=workers).batches(2, 3))
    assert "\n" not in str(caught.value)
