"""From a safetensors file to a network, and back: sizes, hashes, shapes and values are checked
before anything is built, and nothing but safetensors is ever opened."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .errors import WeightsError
from .files import written_whole
from .network import StyleNet, StyleNetConfig
from .styles import Style, parse_json

FORMAT = "stylevid-2"
WITHOUT_PAST = "stylevid-1"  # what was trained before networks knew their last painting
MAX_BYTES = 64 << 20  # ours have 0.8 MB
MAX_HEADER_BYTES = 256 << 10  # the deepest network that we can describe needs 30 KB
MAX_VALUE = 1000.0  # the largest value in our styles is 1.4

_DTYPES = ("F16", "BF16", "F32")

# What a file may hold of its painting, so that the style can go on learning: Gram matrices of
# VGG-16's relu1_2, relu2_2, relu3_3 and relu4_3, the upper triangle row by row, and its palette
# (`learn.losses.PaintingTargets`).
_GRAMS = {f"painting.gram.{n}": [n * (n + 1) // 2] for n in (64, 128, 256, 512)}
_PALETTE = {"painting.palette": [1, 4, 3]}
_TONES = "painting.tones"  # in place of a palette before there were any: it can only paint


def find_weights(style: Style | Path | str) -> Path:
    """The weights file of a style, or the path itself."""
    return style.weights if isinstance(style, Style) else Path(style)


def load_network(style: Style | Path | str) -> StyleNet:
    """The network of a style's record, or of a lone safetensors file, ready to paint.

    The file is read once, so that what is checked is what is used.

    Raises:
        WeightsError: the file is missing, damaged, tampered with, or not one of ours.
    """
    network = _load_checked(style)[0].float().requires_grad_(False).eval()
    return network.to(memory_format=torch.channels_last)  # pyright: ignore


def _load_checked(style: Style | Path | str) -> tuple[StyleNet, dict[str, Tensor]]:
    path = find_weights(style)
    body = _read(path)
    if isinstance(style, Style) and hashlib.sha256(body).hexdigest() != style.sha256:
        raise WeightsError(f"{path.name} was changed: its sha256 is not the one in its record.")
    return _load(path.name, body)


def load_painting(style: Style | Path | str) -> dict[str, Tensor]:
    """What the file holds of its painting, float32 by name, or nothing; checked as above."""
    return {name: tensor.float() for name, tensor in _load_checked(style)[1].items()}


def save_network(
    network: StyleNet, path: Path, painting: Mapping[str, Tensor] | None = None
) -> str:
    """Write the network in float16 with its configuration, and what `load_painting` is to give;
    returns the file's sha256."""
    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
    }
    # Gram matrices leave the range of float16.
    tensors |= {name: t.detach().cpu().bfloat16() for name, t in (painting or {}).items()}
    metadata = {"format": FORMAT, "network": json.dumps(network.config.as_dict())}
    body = _with_sorted_header(save(tensors, metadata))
    with written_whole(path) as partial:
        partial.write_bytes(body)  # not by safetensors, whose error on a full disk is no OSError
    return hashlib.sha256(body).hexdigest()


def _with_sorted_header(content: bytes) -> bytes:
    """A file with its header's keys in order, which safetensors leaves to chance: the same network
    is the same file, byte for byte."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    padded = header.encode().ljust(-(-len(header) // 8) * 8)  # data starts at a multiple of 8
    return len(padded).to_bytes(8, "little") + padded + content[8 + size :]


def file_sha256(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> bytes:
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path.name} is not a .safetensors file; no other kind is opened.")
    if not path.is_file():
        raise WeightsError(
            f"{path.name} does not exist. Give a style's name or a .safetensors file."
        )
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as cause:
        raise WeightsError(f"{path} cannot be read: {cause.strerror}.") from cause
    if len(body) > MAX_BYTES:
        size_bytes = path.stat().st_size
        raise WeightsError(f"{path.name} has {size_bytes} bytes; the limit is {MAX_BYTES}.")
    return body


def _load(name: str, body: bytes) -> tuple[StyleNet, dict[str, Tensor]]:
    try:
        header = _header(body)
    except ValueError as cause:
        raise _damaged(name, cause) from cause
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") not in (FORMAT, WITHOUT_PAST):
        raise WeightsError(f"{name} is not a stylevid weights file (format {FORMAT}).")
    has_past = metadata["format"] == FORMAT
    try:
        shape = parse_json(metadata["network"])
        if not has_past:
            shape |= {"dilation": 1}
        config = StyleNetConfig.from_dict(shape)
        with torch.device("meta"):  # without memory: a few bytes may describe a vast network
            network = StyleNet(config)
    except (KeyError, ValueError, TypeError, AttributeError) as cause:
        reason = str(cause)[:100]
        raise WeightsError(f"{name} describes no network of ours: {reason}.") from cause
    wanted = {key: list(tensor.shape) for key, tensor in network.state_dict().items()
              if has_past or not key.startswith(("recall.", "keep."))}  # fmt: skip
    _check_header(name, header, wanted)
    try:
        tensors = load(body)  # which checks that the tensors fill the file without a gap
    except (SafetensorError, ValueError, RuntimeError) as cause:
        raise _damaged(name, cause) from cause
    _check_values(name, tensors)
    painting = {key: tensors.pop(key) for key in header if key.startswith("painting.")}
    if not has_past:
        tensors = StyleNet(config).state_dict() | tensors
    network.load_state_dict(tensors, assign=True)
    return network, {} if _TONES in painting else painting


def _header(body: bytes) -> dict[str, Any]:
    """What the file says about its tensors, by name, and its metadata.

    Source: the safetensors format: eight bytes of length, little-endian, then that much JSON.
    """
    size = int.from_bytes(body[:8], "little")
    if size > MAX_HEADER_BYTES or len(body) < 8 + size:
        raise ValueError(f"its header claims {size} bytes")
    header = parse_json(body[8 : 8 + size].decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header


def _check_header(name: str, header: dict[str, Any], wanted: dict[str, list[int]]) -> None:
    if _TONES in header:
        wanted = wanted | _GRAMS | {_TONES: _tones_shape(header[_TONES])}
    elif any(key.startswith("painting.") for key in header):
        wanted = wanted | _GRAMS | _PALETTE
    if set(header) != set(wanted):
        odd = sorted(set(header) ^ set(wanted))[0]
        raise WeightsError(f"{name} does not fit its network: {odd[:80]!r} is amiss.")
    for key, entry in header.items():
        form = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else None
        if form not in [(dtype, wanted[key]) for dtype in _DTYPES]:
            raise WeightsError(f"{name} does not fit its network: {key!r} has another form.")


def _tones_shape(entry: Any) -> list[int]:
    """Its own, if that is 1,1,h,w of a painting of up to 4096 pixels."""
    match entry:
        case {"shape": [1, 1, int(h), int(w)]} if 1 <= h <= 512 and 1 <= w <= 512:
            return [1, 1, h, w]
        case _:
            return [1, 1, 1, 1]


def _check_values(name: str, tensors: dict[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        largest = float(tensor.float().abs().max())  # NaN, if there is one
        if not largest < float("inf"):
            raise WeightsError(f"{name} holds values that are not finite, in {key!r}.")
        if largest > MAX_VALUE and not key.startswith("painting."):
            raise WeightsError(f"{name} holds the value {largest:.3g}, in {key!r}; a trained "
                               f"network's are below {MAX_VALUE:.0f}.")  # fmt: skip


def _damaged(name: str, cause: Exception) -> WeightsError:
    return WeightsError(f"{name} is damaged or no safetensors file: {cause}.")
