"""The training loop: its gradients, its schedule, and a stopped run that continues exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylevid.network import StyleNet
from train import loop
from train.clips import Pairs
from train.config import TrainConfig
from train.loop import (
    Trainer,
    fit,
    learning_rate,
    load_batch,
    make_trainer,
    perceptual_terms,
    temporal_terms,
    train_step,
)
from train.vgg import VGG16Features

TINY = TrainConfig(
    width=4, blocks=1, steps=2, batch=1, crop=32, temporal_steps=2, temporal_batch=1, hold_out=0
)


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 36)).save(folder / f"{i}.png")
    return sorted(folder.iterdir())


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def tiny_trainer(vgg: VGG16Features, config: TrainConfig = TINY) -> Trainer:
    torch.manual_seed(config.seed)
    painting = random_image(1, 3, 32, 40, seed=9)
    return make_trainer(config, StyleNet(config.network), vgg, painting, "cpu")


def layer_pictures() -> Tensor:
    """What one pair of the tiny configuration is made from."""
    return random_image(1 + loop.CUTOUTS, 3, 40, 40)


class Copyist(nn.Module):
    """Paints each 4x4 block in its mean color: known features, known output, exact shifts."""

    def encode(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 4)

    def decode(self, features: Tensor) -> Tensor:
        return nn.functional.interpolate(features, scale_factor=4.0, mode="nearest")


def whole_pixel_pair(dx: int, dy: int) -> Pairs:
    """A gray picture of 32x48 in which the point p of cur is at p + (dx, dy) in prev."""
    wide = random_image(1, 1, 32 + dy, 48 + dx).expand(1, 3, -1, -1)
    visible = torch.zeros(1, 1, 32, 48)
    visible[..., : 32 - dy, : 48 - dx] = 1
    flow = torch.tensor((dx, dy), dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, 32, 48)
    return Pairs(wide[..., :32, :48], wide[..., dy:, dx:], flow, visible)


def copyist_terms(
    vgg: VGG16Features, monkeypatch: pytest.MonkeyPatch, pairs: Pairs
) -> dict[str, Tensor]:
    """The temporal stage's terms of the pair for a network that only copies."""
    config = replace(TINY, noise=0.0, exposure=0.0, feature_temporal_weight=1.0)
    trainer = replace(tiny_trainer(vgg, config), network=Copyist())  # pyright: ignore
    monkeypatch.setattr(loop, "generate_pairs", lambda *_: pairs)
    with torch.no_grad():
        return temporal_terms(trainer, layer_pictures(), step=2)


def test_output_temporal_gradient_reaches_the_first_convolution(vgg: VGG16Features) -> None:
    trainer = tiny_trainer(vgg)
    temporal_terms(trainer, layer_pictures(), step=2)["output_temporal"].backward()
    gradient = trainer.network.get_parameter("enter.1.weight").grad
    assert gradient is not None
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_feature_temporal_gradient_reaches_the_encoder_only(vgg: VGG16Features) -> None:
    trainer = tiny_trainer(vgg, replace(TINY, feature_temporal_weight=1.0))
    temporal_terms(trainer, layer_pictures(), step=2)["feature_temporal"].backward()
    gradient = trainer.network.get_parameter("enter.1.weight").grad
    assert gradient is not None and gradient.abs().sum() > 0
    assert trainer.network.get_parameter("up.1.weight").grad is None


@pytest.mark.parametrize("step", [0, 2])
def test_a_step_moves_the_network_and_never_vgg(
    vgg: VGG16Features, photos: list[Path], step: int
) -> None:
    trainer = tiny_trainer(vgg)
    before = {name: t.clone() for name, t in trainer.network.state_dict().items()}
    vgg_before = {name: t.clone() for name, t in vgg.state_dict().items()}
    train_step(trainer, load_batch(TINY, photos, step), step)
    after = trainer.network.state_dict()
    assert not torch.equal(after["enter.1.weight"], before["enter.1.weight"])
    assert not torch.equal(after["leave.1.weight"], before["leave.1.weight"])
    assert all(p.grad is None for p in vgg.parameters())
    assert all(torch.equal(t, vgg_before[name]) for name, t in vgg.state_dict().items())


def test_a_true_copy_of_a_moving_scene_has_no_temporal_loss(
    vgg: VGG16Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = copyist_terms(vgg, monkeypatch, whole_pixel_pair(dx=8, dy=4))
    assert terms["feature_temporal"].item() < 1e-8
    assert terms["output_temporal"].item() < 1e-8


@pytest.mark.parametrize("wrong", ["negated", "still", "turned"])
def test_a_wrong_flow_has_a_temporal_loss(
    vgg: VGG16Features, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    right = whole_pixel_pair(dx=8, dy=4)
    flow = right.flow_cur_to_prev
    wrong_flow = {"negated": -flow, "still": flow * 0, "turned": flow.flip(1)}[wrong]
    terms = copyist_terms(vgg, monkeypatch, replace(right, flow_cur_to_prev=wrong_flow))
    assert terms["feature_temporal"].item() > 1e-3
    assert terms["output_temporal"].item() > 1e-2


def test_only_the_second_frame_is_noisy_and_jittered(vgg: VGG16Features) -> None:
    quiet = replace(TINY, noise=0.0, exposure=0.0)
    noisy = replace(TINY, noise=0.5, exposure=0.0)
    seen: dict[str, Tensor] = {}
    for name, config in (("quiet", quiet), ("noisy", noisy)):
        trainer = tiny_trainer(vgg, config)
        encode = trainer.network.encode

        def watch(image: Tensor, name: str = name, encode=encode) -> Tensor:
            seen[name] = image.detach().clone()
            return encode(image)

        trainer.network.encode = watch  # pyright: ignore[reportAttributeAccessIssue]
        temporal_terms(trainer, layer_pictures(), step=2)
    assert torch.equal(seen["quiet"][0], seen["noisy"][0])
    assert (seen["quiet"][1] - seen["noisy"][1]).abs().mean() > 0.01


def test_temporal_terms_are_a_function_of_seed_and_step(vgg: VGG16Features) -> None:
    trainer = tiny_trainer(vgg)
    with torch.no_grad():
        values, again, other = (
            temporal_terms(trainer, layer_pictures(), step)["output_temporal"].item()
            for step in (2, 2, 3)
        )
    assert values == again
    assert values != other


def test_batches_are_crops_then_layers(photos: list[Path]) -> None:
    assert load_batch(TINY, photos, 0).shape == (1, 3, 32, 32)
    assert load_batch(TINY, photos, 1).shape == (1, 3, 32, 32)
    assert load_batch(TINY, photos, 2).shape == (3, 3, 40, 40)


def run(vgg: VGG16Features, photos: list[Path], folder: Path, stop_after: int = 99) -> Trainer:
    """A tiny run in the folder, cut off when the report of step `stop_after` is due."""

    def report(step: int, values: dict[str, float], network: StyleNet) -> None:
        assert all(np.isfinite(value) for value in values.values())
        if step == stop_after:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    trainer = tiny_trainer(vgg)
    if stop_after < 99:
        with pytest.raises(KeyboardInterrupt):
            fit(trainer, photos, folder, report)
    else:
        fit(trainer, photos, folder, report)
    return trainer


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_stopped_run_continues_to_the_very_same_weights(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path, stop_after: int
) -> None:
    whole = run(vgg, photos, tmp_path / "whole")
    run(vgg, photos, tmp_path / "parts", stop_after)
    continued = run(vgg, photos, tmp_path / "parts")
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(continued.network.state_dict()[name], tensor)


def test_continuing_takes_up_the_steps_where_they_stopped(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path
) -> None:
    run(vgg, photos, tmp_path, stop_after=3)
    steps: list[int] = []
    fit(tiny_trainer(vgg), photos, tmp_path, lambda step, *_: steps.append(step))
    assert steps == [3, 4]


def test_a_finished_run_is_not_trained_further(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path
) -> None:
    finished = run(vgg, photos, tmp_path)
    steps: list[int] = []
    trainer = tiny_trainer(vgg)
    fit(trainer, photos, tmp_path, lambda step, *_: steps.append(step))
    assert steps == []
    for name, tensor in finished.network.state_dict().items():
        assert torch.equal(trainer.network.state_dict()[name], tensor)


def test_a_finished_run_leaves_both_stages(
    vgg: VGG16Features, photos: list[Path], tmp_path: Path
) -> None:
    run(vgg, photos, tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["checkpoint.safetensors", "perceptual.safetensors"]


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


def test_each_step_uses_its_own_learning_rate(vgg: VGG16Features, photos: list[Path]) -> None:
    trainer = tiny_trainer(vgg)
    train_step(trainer, load_batch(TINY, photos, 1), 1)
    assert trainer.optimizer.param_groups[0]["lr"] == learning_rate(TINY, 1)


def test_a_few_steps_lower_the_loss(vgg: VGG16Features) -> None:
    config = replace(TINY, steps=16, learning_rate=2e-2)
    trainer = tiny_trainer(vgg, config)
    content = random_image(1, 3, 32, 32)

    def loss() -> float:
        with torch.no_grad():
            return sum(v.item() for v in perceptual_terms(trainer, content, 0).values())

    before = loss()
    for step in range(config.steps):
        train_step(trainer, content, step)
    assert loss() < 0.9 * before


def test_a_few_steps_lower_the_temporal_loss(vgg: VGG16Features) -> None:
    config = replace(TINY, steps=0, temporal_steps=16, temporal_learning_rate=2e-2)
    trainer = tiny_trainer(vgg, config)

    def loss() -> float:
        with torch.no_grad():
            return temporal_terms(trainer, layer_pictures(), 0)["output_temporal"].item()

    before = loss()
    for step in range(config.temporal_steps):
        train_step(trainer, layer_pictures(), step)
    assert loss() < 0.8 * before
