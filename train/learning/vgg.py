"""Frozen VGG-16 features: relu1_2, relu2_2, relu3_3 and relu4_3 of a picture in [0, 1].

The layers and their preprocessing are torchvision's `VGG16_Weights.IMAGENET1K_FEATURES`, the
original Caffe weights that perceptual losses were tuned on (Johnson et al. 2016, section 3).
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from stylevid.errors import WeightsError

# torchvision's indices in vgg16().features: convolutions, pools, and where a ReLU is wanted.
_CONVOLUTIONS = {
    0: (3, 64), 2: (64, 64),
    5: (64, 128), 7: (128, 128),
    10: (128, 256), 12: (256, 256), 14: (256, 256),
    17: (256, 512), 19: (512, 512), 21: (512, 512),
}  # fmt: skip
_POOL_BEFORE = (5, 10, 17)
_MEAN = (0.48235, 0.45882, 0.40784)


class Features(NamedTuple):
    """Activations of one batch, each N,C,H,W: full, half, quarter and eighth of its size."""

    relu1_2: Tensor
    relu2_2: Tensor
    relu3_3: Tensor
    relu4_3: Tensor


class VGG16Features(nn.Module):
    """VGG-16 up to relu4_3, frozen; normalization lives inside."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {
                str(index): nn.Conv2d(inputs, outputs, 3, padding=1)
                for index, (inputs, outputs) in _CONVOLUTIONS.items()
            }
        )
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Features:
        """Features of an image N,3,H,W, RGB, [0, 1], each side at least 8 pixels."""
        x = (image - self.mean) * 255.0
        wanted: list[Tensor] = []
        for index in _CONVOLUTIONS:
            if index in _POOL_BEFORE:
                wanted.append(x)
                x = F.max_pool2d(x, 2)
            x = F.relu(self.features[str(index)](x))
        relu1_2, relu2_2, relu3_3 = wanted
        return Features(relu1_2, relu2_2, relu3_3, x)


def load_vgg(path: Path | None, device: torch.device | str = "cpu") -> VGG16Features:
    """VGG-16 features from a safetensors file with torchvision's key names, or, if `path` is
    None, from torchvision, which downloads them once.

    Raises:
        WeightsError: the file is missing, or holds other tensors.
    """
    vgg = VGG16Features()
    vgg.load_state_dict(_from_torchvision() if path is None else _from_file(path, vgg))
    return vgg.to(device).to(memory_format=torch.channels_last)  # pyright: ignore


def _from_file(path: Path, vgg: VGG16Features) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except Exception as cause:  # safetensors raises its own and OSError alike
        raise WeightsError(f"{path} is not a readable safetensors file: {cause}.") from cause
    wanted = vgg.state_dict()
    for key, tensor in wanted.items():
        if key not in tensors or tensors[key].shape != tensor.shape:
            raise WeightsError(f"{path} lacks {key} of VGG-16; give torchvision's key names.")
    return {key: tensors[key].float() for key in wanted}


def _from_torchvision() -> dict[str, Tensor]:
    from torchvision.models import VGG16_Weights

    # safetensors only for our own files; this one comes from PyTorch's server, hash-checked and
    # opened by torchvision with weights_only.
    state = VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(progress=True, check_hash=True)
    names = {f"features.{index}.{part}" for index in _CONVOLUTIONS for part in ("weight", "bias")}
    return {key: tensor for key, tensor in state.items() if key in names}
