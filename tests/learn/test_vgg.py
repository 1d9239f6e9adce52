"""The VGG-16 features against torchvision's own layers, and the weights of the package."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from stylevid.errors import WeightsError
from stylevid.learn import vgg as vgg_module
from stylevid.learn.vgg import VGG16Features, load_vgg
from tests.material import random_image

CAFFE_MEAN = torch.tensor((0.48235, 0.45882, 0.40784)).view(1, 3, 1, 1)
# relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's vgg16().features.
WANTED = (3, 8, 15, 22)


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


@torch.no_grad()
def test_features_are_torchvisions(vgg: VGG16Features) -> None:
    layers = nn.Sequential(*make_layers(cfgs["D"])[: WANTED[-1] + 1])
    layers.load_state_dict(vgg.features.state_dict())
    image = random_image()
    theirs = (image - CAFFE_MEAN) * 255
    ours = iter(vgg(image))
    for index, layer in enumerate(layers):
        theirs = layer(theirs)
        if index in WANTED:
            assert torch.allclose(next(ours), theirs, rtol=1e-4, atol=1e-4)
    assert next(ours, None) is None


def test_shapes_are_full_half_quarter_and_eighth(vgg: VGG16Features) -> None:
    features = vgg(random_image())
    assert features.relu1_2.shape == (1, 64, 16, 24)
    assert features.relu2_2.shape == (1, 128, 8, 12)
    assert features.relu3_3.shape == (1, 256, 4, 6)
    assert features.relu4_3.shape == (1, 512, 2, 3)


def test_gradient_reaches_the_picture_and_never_vgg(vgg: VGG16Features) -> None:
    image = random_image().requires_grad_()
    vgg(image).relu4_3.sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert all(not p.requires_grad and p.grad is None for p in vgg.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_that_travel_with_the_package(dtype: torch.dtype) -> None:
    vgg = load_vgg(dtype=dtype)
    image = random_image(64, 96)
    features = vgg(image)
    assert all(f.dtype == dtype and f.isfinite().all() and f.max() > 0 for f in features)
    assert torch.equal(vgg.content(image), features.relu3_3)
    for ours, exact in zip(features, load_vgg()(image), strict=True):
        assert (ours.float() - exact).square().sum() < 1e-3 * exact.square().sum()
    difference = vgg(image.flip(1)).relu3_3.float() - features.relu3_3.float()
    assert difference.square().sum() > 0.05 * features.relu3_3.float().square().sum()


def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "vgg16.safetensors"
    changed.write_bytes(vgg_module.WEIGHTS.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(vgg_module, "WEIGHTS", changed)
    with pytest.raises(WeightsError, match="was changed"):
        load_vgg()
