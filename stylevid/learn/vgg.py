"""Frozen VGG-16 features: relu1_2, relu2_2, relu3_3 and relu4_3 of a picture in [0, 1].

The layers are torchvision's, the weights the original Caffe ones that perceptual losses were tuned
on (Johnson et al. 2016, section 3); they travel with the package (`VGG16.md`).
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from ..errors import WeightsError

WEIGHTS = Path(__file__).with_name("vgg16.safetensors")
SHA256 = "8bb63eb9805f53e66320347d50553ea75bb6f36b2762b5facee68a4fbca1a2d2"
_MEAN = (0.48235, 0.45882, 0.40784)
_WANTED = (3, 8, 15, 22)  # the places of the four ReLUs among the layers


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
        self.features = make_layers(cfgs["D"])[: _WANTED[-1] + 1]  # their ReLUs work in place
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.features.parameters()).dtype

    def forward(self, image: Tensor) -> Features:
        """Features of an image N,3,H,W, RGB, [0, 1], each side at least 8 pixels, in VGG's dtype;
        the image is float32."""
        return Features(*self._activations(image, _WANTED))

    def content(self, image: Tensor) -> Tensor:
        """relu3_3 alone, N,256,H/4,W/4, which is what content is compared by."""
        return self._activations(image, _WANTED[2:3])[0]

    def _activations(self, image: Tensor, wanted: tuple[int, ...]) -> list[Tensor]:
        # Channels last throughout: gradients from Gram matrices, too, come back in this layout.
        x = ((image - self.mean) * 255.0).to(self.dtype, memory_format=torch.channels_last)
        found: list[Tensor] = []
        for place, layer in enumerate(self.features[: wanted[-1] + 1]):
            x = layer(x)
            if place in wanted:
                found.append(x)
        return found


def load_vgg(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> VGG16Features:
    """VGG-16 features on a device, computed in `dtype`: float32 to judge, bfloat16 to train.

    Raises:
        WeightsError: the package's file was changed.
    """
    body = WEIGHTS.read_bytes()
    if sha256(body).hexdigest() != SHA256:
        raise WeightsError(f"{WEIGHTS.name} of the package was changed. Install stylevid again.")
    vgg = VGG16Features()
    vgg.load_state_dict(load(body))
    vgg.to(device).features.to(dtype)  # the mean stays float32
    return vgg.to(memory_format=torch.channels_last)  # pyright: ignore
