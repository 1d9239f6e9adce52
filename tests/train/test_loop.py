"""The training loop: its schedule, a stopped run that continues exactly, and processes that share a
batch."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stylevid.errors import StyleError, WeightsError
from stylevid.learn.objective import LossWeights
from stylevid.learn.vgg import VGG16Features
from stylevid.network import StyleNet
from tests.accidents import refused
from train.config import TrainConfig
from train.data.loader import TrainingData
from train.learning.checkpoint import load_checkpoint
from train.learning.distributed import Processes
from train.learning.loop import Trainer, fit, learning_rate, make_trainer, train_step

TINY = TrainConfig(width=4, blocks=1, steps=2, batch=2, crop=32, temporal_crop=32,
                   temporal_steps=2, temporal_batch=2, hold_out=0)  # fmt: skip


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def tiny_trainer(
    vgg: VGG16Features, config: TrainConfig = TINY, processes: Processes | None = None
) -> Trainer:
    torch.manual_seed(config.seed)
    painting = random_image(1, 3, 32, 40, seed=9)
    return make_trainer(config, StyleNet(config.network), vgg, painting, "cpu", processes)


@pytest.mark.parametrize("step", [0, 2])
def test_a_step_moves_the_network_at_its_rate_and_never_vgg(
    vgg: VGG16Features, photos: list[Path], step: int
) -> None:
    trainer = tiny_trainer(vgg)
    torch.nn.init.normal_(trainer.network.get_parameter("leave.1.weight"), std=0.1)  # not level
    before = {name: t.clone() for name, t in trainer.network.state_dict().items()}
    vgg_before = {name: t.clone() for name, t in vgg.state_dict().items()}
    train_step(trainer, TrainingData(TINY, photos).load(step), step)
    after = {name: t.clone() for name, t in trainer.network.state_dict().items()}
    assert not torch.equal(after["enter.1.weight"], before["enter.1.weight"])
    assert not torch.equal(after["leave.1.weight"], before["leave.1.weight"])
    assert all(p.grad is None for p in vgg.parameters())
    assert all(torch.equal(t, vgg_before[name]) for name, t in vgg.state_dict().items())
    assert trainer.optimizer.param_groups[0]["lr"] == learning_rate(TINY, step)
    trainer.network.level_sub_pixels()  # as every step has done
    for name, tensor in trainer.network.state_dict().items():
        torch.testing.assert_close(tensor, after[name], atol=1e-6, rtol=0)


def run(
    vgg: VGG16Features, photos: list[Path], folder: Path, stop_after: int = 99,
    config: TrainConfig = TINY, checkpoint_every: int = 100,
) -> Trainer:  # fmt: skip
    """A tiny run in the folder, cut off when the report of step `stop_after` is due."""

    def report(step: int, values: dict[str, float], network: StyleNet) -> None:
        assert all(np.isfinite(value) for value in values.values())
        if step == stop_after:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    trainer, data = tiny_trainer(vgg, config), TrainingData(config, photos, workers=0)
    with pytest.raises(KeyboardInterrupt) if stop_after < 99 else nullcontext():
        fit(trainer, data, folder, report, checkpoint_every)
    return trainer


@pytest.mark.parametrize(
    ("config", "stop_after"),
    [
        *((TINY, step) for step in (1, 2, 3)),
        (replace(TINY, precision="float16", temporal_steps=0), 1),
    ],
)
def test_a_stopped_run_continues_to_the_very_same_weights(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path, stop_after: int, config: TrainConfig
) -> None:
    whole = run(vgg, photos, tmp_path / "whole", config=config)
    run(vgg, photos, tmp_path / "parts", stop_after, config)
    saved = config.steps if stop_after > config.steps else 0  # the end of the first stage
    for wanted in ([*range(saved + 1, config.total_steps + 1)], []):  # then it is finished
        steps: list[int] = []
        continued, data = tiny_trainer(vgg, config), TrainingData(config, photos, workers=0)
        fit(continued, data, tmp_path / "parts", lambda n, *_, steps=steps: steps.append(n))
        assert steps == wanted
        for name, tensor in whole.network.state_dict().items():
            assert torch.equal(continued.network.state_dict()[name], tensor)
    with pytest.raises(WeightsError, match="was trained with seed 0, not 1"):
        run(vgg, photos, tmp_path / "parts", config=replace(config, seed=1))


def test_a_float16_run_that_has_skipped_all_its_steps_continues(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path
) -> None:
    # So large that the scaled loss is not finite.
    config = replace(TINY, precision="float16", temporal_steps=0, color_weight=1e36)
    whole = run(vgg, photos, tmp_path / "whole", config=config)
    run(vgg, photos, tmp_path / "parts", 2, config, checkpoint_every=1)
    saved = load_checkpoint(tmp_path / "parts" / "checkpoint.safetensors")
    assert saved.step == 1 and not any(name.startswith("optimizer.") for name in saved.tensors)
    continued = run(vgg, photos, tmp_path / "parts", config=config)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(continued.network.state_dict()[name], tensor)


def test_a_run_that_comes_apart_stops_before_its_checkpoint(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path
) -> None:
    trainer, data = tiny_trainer(vgg), TrainingData(TINY, photos, workers=0)
    steps: list[int] = []

    def report(step: int, values: dict[str, float], network: StyleNet) -> None:
        steps.append(step)
        torch.nn.init.constant_(network.get_parameter("enter.1.weight"), torch.nan)

    words = r"The content loss is nan in step 2: .* a lower --learning-rate\."
    with refused(StyleError, words):
        fit(trainer, data, tmp_path, report, checkpoint_every=2)
    assert steps == [1] and not [*tmp_path.iterdir()]


def test_batches_need_an_even_share(vgg: VGG16Features) -> None:
    with pytest.raises(WeightsError, match="batch is 2, which 3 processes cannot share evenly"):
        tiny_trainer(vgg, processes=Processes(0, 3))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("precision", "int8", "precision is one of bfloat16, float16, float32; got 'int8'"),
        ("batch", 0, "batch is at least 1; got 0"),
        ("noise", -0.1, "noise is a number from 0 up; got -0.1"),
        ("learning_rate", float("nan"), "learning_rate is a number from 0 up; got nan"),
        ("style_weight", float("inf"), "style_weight is a number from 0 up; got inf"),
        ("width", 7, "width is an even number from 2 to 512; got 7"),
        ("seed", -1, "seed is at least 0; got -1"),
        ("style_size", 0, "style_size is at least 64; got 0"),
        ("crop", 18, "crop is a multiple of 4 from 16 up; got 18"),
    ],
)
def test_settings_outside_their_limits_are_refused(
    field: str, value: object, sentence: str
) -> None:
    with pytest.raises(StyleError, match=sentence):
        replace(TINY, **{field: value})


@pytest.mark.parametrize(("first", "peak"), [(0, 2e-3), (200, 5e-4)])
def test_learning_rate_rises_for_a_tenth_and_falls_to_a_hundredth(first: int, peak: float) -> None:
    config = TrainConfig(
        steps=200, temporal_steps=200, learning_rate=2e-3, temporal_learning_rate=5e-4
    )
    rates = [learning_rate(config, first + step) for step in range(200)]
    assert max(rates) == pytest.approx(peak)
    assert rates.index(max(rates)) == 19
    assert rates[:20] == sorted(rates[:20])
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[-1] == pytest.approx(peak / 100)
    assert 0 < min(rates) <= rates[0] < peak / 10


@pytest.mark.parametrize(
    ("settings", "names", "share"),
    [
        ({"steps": 16, "learning_rate": 2e-2}, ("content", "style", "color", "tv"), 0.9),
        ({"steps": 0, "temporal_steps": 16, "temporal_learning_rate": 2e-2, "frames": 6,
          "output_temporal_weight": 600.0, "temporal_style_weight": 4.0},
         ("output_temporal",), 0.8),
    ],
    ids=["perceptual", "temporal"],
)  # fmt: skip
def test_a_few_steps_lower_the_loss(
    vgg: VGG16Features, photos: list[Path], settings: Any, names: tuple[str, ...], share: float
) -> None:
    config = replace(TINY, **settings)
    trainer, data = tiny_trainer(vgg, config), TrainingData(config, photos, workers=0)
    batch = next(
        b for b in map(data.load, range(99)) if bool(len(b.trust)) is not bool(config.steps)
    )

    def loss() -> float:
        with torch.no_grad():
            terms = trainer.objective(batch, config.weights(0))
        return sum(terms[name].item() for name in names)

    before = loss()
    for step in range(16):
        train_step(trainer, batch, step)
    assert loss() < share * before


def test_each_stage_has_its_own_content_and_style_weights() -> None:
    config = replace(TINY, content_weight=1.5, style_weight=2.5, color_weight=3.5, tv_weight=4.5,
                     lattice_weight=8.5, temporal_content_weight=5.5, temporal_style_weight=6.5,
                     output_temporal_weight=7.5)  # fmt: skip
    assert config.weights(1) == LossWeights(1.5, 2.5, 3.5, 4.5, 8.5, 7.5)
    assert config.weights(2) == LossWeights(5.5, 6.5, 3.5, 4.5, 8.5, 7.5)
