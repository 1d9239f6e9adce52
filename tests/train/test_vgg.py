"""The VGG-16 features against torchvision's own layers, and their weights file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from stylevid.errors import WeightsError
from train.learning.vgg import VGG16Features, load_vgg

WEIGHTS = Path(__file__).parents[2].parent / "shared/data/vgg16_features.safetensors"
CAFFE_MEAN = torch.tensor((0.48235, 0.45882, 0.40784)).view(1, 3, 1, 1)
# relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's vgg16().features.
WANTED = (3, 8, 15, 22)

needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"{WEIGHTS} is not there")


@pytest.fixture(scope="module")
def vgg() -> VGG16Features:
    torch.manual_seed(0)
    return VGG16Features()


def random_image(height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def torchvision_features(vgg: VGG16Features, normalized: Tensor) -> list[Tensor]:
    layers = nn.Sequential(*make_layers(cfgs["D"])[: WANTED[-1] + 1])
    layers.load_state_dict(vgg.features.state_dict())
    wanted: list[Tensor] = []
    with torch.no_grad():
        for index, layer in enumerate(layers):
            normalized = layer(normalized)
            if index in WANTED:
                wanted.append(normalized.clone())
    return wanted


def assert_same(features: tuple[Tensor, ...], expected: list[Tensor]) -> None:
    for ours, theirs in zip(features, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_features_are_torchvisions(vgg: VGG16Features) -> None:
    image = random_image()
    assert_same(vgg(image), torchvision_features(vgg, (image - CAFFE_MEAN) * 255))


def test_normalization_lives_inside(vgg: VGG16Features) -> None:
    mean_colored = CAFFE_MEAN.expand(1, 3, 16, 24)
    assert_same(vgg(mean_colored), torchvision_features(vgg, torch.zeros(1, 3, 16, 24)))


def test_shapes_are_full_half_quarter_and_eighth(vgg: VGG16Features) -> None:
    features = vgg(random_image())
    assert features.relu1_2.shape == (1, 64, 16, 24)
    assert features.relu2_2.shape == (1, 128, 8, 12)
    assert features.relu3_3.shape == (1, 256, 4, 6)
    assert features.relu4_3.shape == (1, 512, 2, 3)
    assert all(f.min() >= 0 for f in features)


def test_gradient_reaches_the_picture_and_never_vgg(vgg: VGG16Features) -> None:
    image = random_image().requires_grad_()
    vgg(image).relu4_3.sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert all(not p.requires_grad and p.grad is None for p in vgg.parameters())


def test_weights_file_comes_back_as_float32(tmp_path: Path, vgg: VGG16Features) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file({name: tensor.half() for name, tensor in vgg.state_dict().items()}, path)
    loaded = load_vgg(path)
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, vgg.state_dict()[name].half().float())


def test_weights_file_without_a_key_is_refused(tmp_path: Path, vgg: VGG16Features) -> None:
    path = tmp_path / "vgg.safetensors"
    tensors = dict(vgg.state_dict())
    del tensors["features.21.weight"]
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"vgg\.safetensors lacks features\.21\.weight"):
        load_vgg(path)


def test_weights_file_with_a_wrong_shape_is_refused(tmp_path: Path, vgg: VGG16Features) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file({**vgg.state_dict(), "features.0.bias": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"features\.0\.bias"):
        load_vgg(path)


def test_garbage_and_missing_weights_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"no tensors here" * 10)
    for path in (garbage, tmp_path / "missing.safetensors"):
        with pytest.raises(WeightsError, match=path.name):
            load_vgg(path)


@needs_weights
def test_real_features_are_right_in_shape_and_deterministic() -> None:
    features, again = load_vgg(WEIGHTS)(random_image()), load_vgg(WEIGHTS)(random_image())
    assert [f.shape[1] for f in features] == [64, 128, 256, 512]
    assert all(torch.equal(one, other) for one, other in zip(features, again, strict=True))
    assert all(f.isfinite().all() and f.max() > 0 for f in features)


@needs_weights
def test_real_features_know_red_from_blue() -> None:
    vgg = load_vgg(WEIGHTS)
    image = random_image()
    difference = vgg(image.flip(1)).relu3_3 - vgg(image).relu3_3
    assert difference.square().sum() > 0.05 * vgg(image).relu3_3.square().sum()
