"""From a safetensors file to a network, and back: sizes, hashes, shapes and values are checked
before anything is built, and nothing but safetensors is ever opened."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import WeightsError
from .network import StyleNet, StyleNetConfig
from .styles import Style

FORMAT = "stylevid-1"
MAX_BYTES = 64 << 20  # the widest network we can describe is far below


def find_weights(style: Style | Path | str) -> Path:
    """The weights file of a style, or the path itself."""
    return style.weights if isinstance(style, Style) else Path(style)


def load_network(
    style: Style | Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> StyleNet:
    """The network of a style's record, or of a lone safetensors file, ready to paint.

    Raises:
        WeightsError: the file is missing, damaged, tampered with, or not one of ours.
    """
    path = find_weights(style)
    _check_file(path, style.sha256 if isinstance(style, Style) else None)
    tensors, metadata = _read(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path.name} is not a stylevid weights file (format {FORMAT}).")
    try:
        config = StyleNetConfig.from_dict(json.loads(metadata["network"]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as cause:
        raise WeightsError(f"{path.name} describes no network of ours: {cause}.") from cause
    network = StyleNet(config)
    _check_tensors(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
    network.requires_grad_(False).eval()
    return network.to(device, dtype).to(memory_format=torch.channels_last)  # pyright: ignore


def save_network(network: StyleNet, path: Path) -> str:
    """Write the network in float16 with its configuration; returns the file's sha256."""
    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {"format": FORMAT, "network": json.dumps(network.config.as_dict())}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata)
    partial.chmod(0o644)  # safetensors makes it private
    partial.replace(path)
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(path: Path, sha256: str | None) -> None:
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path.name} is not a .safetensors file; no other kind is opened.")
    if not path.is_file():
        raise WeightsError(f"{path} does not exist. Give a style's name or a .safetensors file.")
    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise WeightsError(f"{path.name} has {size_bytes} bytes; the limit is {MAX_BYTES}.")
    if sha256 is not None and file_sha256(path) != sha256:
        raise WeightsError(f"{path.name} was changed: its sha256 is not the one in its record.")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as cause:
        raise WeightsError(f"{path.name} is damaged or no safetensors file: {cause}.") from cause


def _check_tensors(path: Path, tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    if set(tensors) != set(wanted):
        odd = sorted(set(tensors) ^ set(wanted))[0]
        raise WeightsError(f"{path.name} does not fit its network: {odd!r} is amiss.")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or not tensor.is_floating_point():
            raise WeightsError(f"{path.name} does not fit its network: {name!r} has another form.")
        if not torch.isfinite(tensor.float()).all():
            raise WeightsError(f"{path.name} holds values that are not finite, in {name!r}.")
