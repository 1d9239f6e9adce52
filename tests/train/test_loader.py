"""Batches follow from the step alone; that workers load the same ones, test_runs.py shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.errors import StyleError
from stylevid.learn.sequences import Sequences
from tests.train.flow_truth import write_flow
from tests.train.test_sceneflow import HEIGHT, WIDTH, Tree
from train.config import TrainConfig
from train.data.loader import TrainingData
from train.data.sceneflow import SceneFlow

CONFIG = TrainConfig(
    steps=2, batch=4, crop=16, temporal_steps=3, temporal_batch=2, temporal_crop=16, hold_out=0
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three scenes, six pairs, of which one is broken."""
    for scene in ("0000", "0001", "0002"):
        Tree(tmp_path / "tree", f"TRAIN/A/{scene}").write(frames=2)
    flow = next((tmp_path / "tree").rglob("OpticalFlowIntoFuture*.pfm"))
    write_flow(flow, np.full((HEIGHT, WIDTH, 2), np.nan, np.float32))
    return tmp_path / "tree"


def parts(batch: Sequences) -> list[Tensor]:
    return [*vars(batch).values()]


@pytest.mark.parametrize("from_files", [False, True])
def test_batches_are_a_function_of_the_step_whoever_loads_them_and_wherever_it_starts(
    photos: list[Path], tree: Path, from_files: bool
) -> None:
    def data() -> TrainingData:
        return TrainingData(CONFIG, photos, SceneFlow(tree) if from_files else None, workers=0)

    state = torch.get_rng_state()
    batches = [*data().batches(1, 5)]
    assert torch.equal(torch.get_rng_state(), state)
    assert batches[0].frames.shape == (1, 4, 3, 16, 16)
    for batch in batches[1:]:
        assert batch.frames.shape[1:] == (2, 3, 16, 16)
        assert not from_files or len(batch.frames) <= 2
    for step, batch in enumerate(batches, 1):
        for part, wanted in zip(parts(batch), parts(data().load(step)), strict=True):
            assert torch.equal(part, wanted)


@pytest.mark.parametrize("step", [0, 2])
def test_processes_share_a_batch(photos: list[Path], tree: Path, step: int) -> None:
    for sceneflow in (None, SceneFlow(tree)):
        whole = TrainingData(CONFIG, photos, sceneflow).load(step)
        shares = [TrainingData(CONFIG, photos, sceneflow, rank, 2) for rank in (0, 1)]
        each = zip(*(parts(share.load(step)) for share in shares), strict=True)
        for part, both in zip(parts(whole), each, strict=True):
            assert torch.equal(part, torch.cat(both, dim=1))


def test_what_is_skipped_is_counted_once_whoever_meets_it(
    photos: list[Path], tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, steps=0, temporal_steps=20)
    data = TrainingData(config, photos, SceneFlow(tree, ["clean"]), workers=0)
    assert len([*data.batches(0, 20)]) == 20
    assert data.sceneflow is not None and data.sceneflow.counts == {"no finite flow": 1}
    (record,) = caplog.records
    assert "no flow that is finite" in record.getMessage()
    assert data.waited_s > 0


@pytest.mark.parametrize("step", [0, 2])
def test_pictures_and_sequences_come_compressed_as_often_as_asked(
    photos: list[Path], step: int
) -> None:
    plain = replace(CONFIG, noise=0.0, exposure=0.0, compressed=0.0)
    batch = TrainingData(plain, photos).load(step)
    colored = (batch.seen - batch.frames).std(2)  # a canvas is gray
    assert colored.max() < 1e-6
    batch = TrainingData(replace(plain, compressed=1.0), photos).load(step)
    differ = (batch.seen - batch.frames).std(2).amax((0, 2, 3))
    assert (differ > 1 / 255).all(), "each of a batch's pictures or sequences"


def test_trouble_is_one_sentence_whoever_meets_it(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    data = TrainingData(CONFIG, [tmp_path / "broken.png"], workers=0)
    with pytest.raises(StyleError, match=r"broken\.png cannot be read as a picture") as caught:
        next(data.batches(0, 1))
    assert "\n" not in str(caught.value)
