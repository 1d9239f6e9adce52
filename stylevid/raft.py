"""RAFT as the stabilizer's flow: nearer the truth than DIS, and some fifty times the work, so for
GPUs. Torchvision's network; its weights as safetensors, which `python -m train.raft` makes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from .errors import WeightsError
from .frames import pad

Array = npt.NDArray[np.float32]

_MULTIPLE, _MINIMUM = 8, 128  # pixels: what torchvision's RAFT takes
_UPDATES = 12


class RaftEstimator:
    """`flow.FlowEstimator` with RAFT (Teed and Deng 2020), its small version."""

    def __init__(self, weights: Path, device: torch.device | str = "cpu") -> None:
        """
        Args:
            weights: safetensors with torchvision's key names for `raft_small`.
        Raises:
            WeightsError: the file is missing, damaged, or holds other tensors.
        """
        from torchvision.models.optical_flow import raft_small

        network = raft_small()
        network.load_state_dict(_read(weights, network.state_dict()))
        self.device = torch.device(device)
        self._network = network.eval().requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def __call__(self, gray_a: Array, gray_b: Array) -> Array:
        """`flow_a_to_b`, H,W,2 float32 (dx, dy) in pixels, of pictures H,W, 0 to 255."""
        height, width = gray_a.shape
        image_a, image_b = (self._image(gray) for gray in (gray_a, gray_b))
        flow: Tensor = self._network(image_a, image_b, num_flow_updates=_UPDATES)[-1]  # 1,2,H,W
        inside = flow[0, :, :height, :width].permute(1, 2, 0)
        return np.ascontiguousarray(inside.float().cpu().numpy())

    def _image(self, gray: Array) -> Tensor:
        """1,3,H,W in [-1, 1], as RAFT was trained on."""
        light = torch.from_numpy(gray).to(self.device)[None, None] / 127.5 - 1
        return pad(light, _MULTIPLE, _MINIMUM).expand(-1, 3, -1, -1).contiguous()


def _read(path: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except Exception as cause:  # safetensors raises its own and OSError alike
        raise WeightsError(f"{path} is not a readable safetensors file: {cause}.") from cause
    for key, tensor in wanted.items():
        if key not in tensors or tensors[key].shape != tensor.shape:
            raise WeightsError(
                f"{path} lacks {key} of RAFT's small version. Make it with python -m train.raft."
            )
    return {key: tensors[key] for key in wanted}
