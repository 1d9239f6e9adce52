"""Other shapes of the network: each runs, keeps sizes, and is what its description says."""

import json
from pathlib import Path

import pytest
import torch

from stylevid.network import StyleNet, StyleNetConfig
from train.network_study import SHAPES, main
from train.variants import Conv, Shape, VariantNet


def image(height: int = 32, width: int = 48) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_paints_and_learns(name: str) -> None:
    torch.manual_seed(0)
    network = VariantNet(SHAPES[name])
    stylized = network(image())
    assert stylized.shape == (1, 3, 32, 48)
    assert stylized.min() >= 0 and stylized.max() <= 1
    stylized.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_plain_shapes_are_networks_that_run() -> None:
    """The same layers in the same order: the weights of one can be put into the other."""
    torch.manual_seed(0)
    variant, network = VariantNet(SHAPES["64"]).eval(), StyleNet(StyleNetConfig(width=64)).eval()
    values = list(variant.state_dict().values())
    assert [v.shape for v in values] == [v.shape for v in network.state_dict().values()]
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    assert torch.allclose(network(image()), variant(image()), atol=1e-6)


def test_branches_fold_into_one_convolution() -> None:
    torch.manual_seed(0)
    network = VariantNet(SHAPES["48 branches"]).eval()
    before = network(image())
    branched = sum(p.numel() for p in network.parameters())
    network.fold()
    assert torch.allclose(network(image()), before, atol=1e-4)
    assert sum(p.numel() for p in network.parameters()) < branched
    assert not any(m.beside for m in network.modules() if isinstance(m, Conv))


def test_batch_norm_does_not_look_at_the_rest_of_the_picture() -> None:
    """What makes it foldable, and what instance norm does."""
    for shape, alike in ((Shape(width=8, half=4, norm="batch"), True), (Shape(8, 4), False)):
        torch.manual_seed(0)
        network = VariantNet(shape).eval()
        one, other = image(128, 128), image(128, 128)
        other[..., 112:, 112:] = 1
        difference = (network(one) - network(other))[..., :16, :16].abs().max()
        assert (difference < 1e-6) == alike


def test_the_study_writes_scores_and_a_sheet(
    tmp_path: Path, material: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "48", Shape(width=8, half=4, dilations=(1,)))
    arguments = f"""--style {material / "painting.png"} --content {material / "photos"}
        --vgg {material / "vgg.safetensors"} --runs {tmp_path} --shapes 48 --steps 2 --crop 32
        --hold-out 1 --photos 2 --clips {clip}""".split()
    assert main(arguments) == 0
    scores = json.loads((tmp_path / "48-seed0.json").read_text())
    assert scores["shape"] == "48" and scores["steps"] == 2
    assert scores["style"] > 0 and scores["content"] > 0
    assert abs(scores["excess_warping_error"]) < 1
    assert (tmp_path / "48-seed0.jpg").stat().st_size > 1000
    weights = (tmp_path / "48-seed0.safetensors").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (tmp_path / "48-seed0.safetensors").stat().st_mtime_ns == weights, "not trained again"
