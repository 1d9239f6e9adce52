"""A weights file loads as it was saved, or is refused in one sentence, whatever it holds."""

import json
import math
import re
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from stylevid import weights
from stylevid.errors import WeightsError
from stylevid.network import Past, StyleNet, StyleNetConfig
from stylevid.styles import get_style
from stylevid.weights import (
    FORMAT,
    WITHOUT_PAST,
    file_sha256,
    find_weights,
    load_network,
    save_network,
)
from tests.accidents import PICKLE, refused
from tests.material import random_image, tiny_style

NETWORK = '{"width": 4, "blocks": 1}'
NAME = "enter.1.weight"


def half_tensors(network: StyleNet) -> dict[str, Tensor]:
    return {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}


def write(folder: Path, tensors: dict[str, Tensor], network: str = NETWORK) -> Path:
    path = folder / "wave.safetensors"
    save_file(tensors, path, {"format": FORMAT, "network": network})
    return path


def assert_refused(path: Path, match: str) -> None:
    with refused(WeightsError, f"{re.escape(path.name)} .*{match}"):
        load_network(path)


def test_a_network_is_saved_the_same_each_time_and_loads_rounded_to_float16(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    path = tmp_path / "wave.safetensors"
    hashes = {save_network(tiny_network, path) for _ in range(8)}
    assert hashes == {file_sha256(path)} and [*tmp_path.iterdir()] == [path]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["network"]) == {"width": 4, "blocks": 1, "dilation": 4}
    loaded = load_network(path)
    assert loaded.config == tiny_network.config and not loaded.training
    assert all(not p.requires_grad for p in loaded.parameters())
    for name, tensor in tiny_network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())
    image = random_image()
    with torch.inference_mode():
        assert torch.allclose(loaded(image), tiny_network(image), atol=5e-3)


def test_style_is_loaded_through_its_record_and_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "wave.safetensors"
    tiny_style(tmp_path)
    style = get_style("wave", tmp_path)
    assert find_weights(style) == path
    assert load_network(style).config == StyleNetConfig(width=4, blocks=1)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"wave\.safetensors was changed: its sha256"):
        load_network(style)
    path.unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load_network(style)


@pytest.mark.parametrize("name", ["wave.pt", "wave.bin", "wave"])
def test_other_kinds_are_refused_by_name_and_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    assert_refused(tmp_path / name, "no other kind is opened")


def test_missing_file_folder_and_too_large_file_are_refused(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(tmp_path / "missing.safetensors", "does not exist")
    (tmp_path / "folder.safetensors").mkdir()
    assert_refused(tmp_path / "folder.safetensors", "does not exist")
    with (tmp_path / "wave.safetensors").open("wb") as file:
        file.truncate(weights.MAX_BYTES + 1)
    assert_refused(tmp_path / "wave.safetensors", f"the limit is {weights.MAX_BYTES}")
    monkeypatch.setattr(weights, "MAX_BYTES", tiny_weights.stat().st_size)
    load_network(tiny_weights)


def test_few_bytes_that_describe_the_widest_network_cost_nothing(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    tensors, wide = half_tensors(tiny_network), '{"width": 512, "blocks": 32}'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(write(tmp_path, tensors, wide), "is amiss")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50_000  # KB; the network itself would take 600 MB


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_common_floats_are_read(tmp_path: Path, tiny_network: StyleNet, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in tiny_network.state_dict().items()}
    loaded = load_network(write(tmp_path, tensors)).state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in tensors.items())


def test_a_style_from_before_networks_had_a_past_paints_as_it_did(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=4, blocks=3, dilation=1)).half().float()
    old = {k: t for k, t in half_tensors(network).items() if not k.startswith(("recall.", "keep."))}
    path = tmp_path / "wave.safetensors"
    shape = json.dumps({"width": 4, "blocks": 3})
    save_file(old, path, {"format": WITHOUT_PAST, "network": shape})
    image = torch.rand(1, 3, 40, 48)
    known = Past(image, torch.ones(1, 1, 20, 24))
    assert torch.allclose(load_network(path)(image), network(image), atol=1e-5)
    assert torch.allclose(load_network(path)(image, known), network(image, known), atol=1e-3)
    assert_refused(write(tmp_path, old, shape), "amiss")


# What strangers may send: files taken apart and put together again.


def taken_apart(body: bytes) -> tuple[dict[str, Any], bytearray]:
    size = int.from_bytes(body[:8], "little")
    return json.loads(body[8 : 8 + size]), bytearray(body[8 + size :])


def joined(header: object, values: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def entry(body: bytes, key: str, **changes: object) -> bytes:
    """A part of the header, such as the first tensor's, said to be another."""
    return changed(body, {key: {**taken_apart(body)[0][key], **changes}})


def told(body: bytes, **changes: str) -> bytes:
    return entry(body, "__metadata__", **changes)


def value(body: bytes, number: float) -> bytes:
    header, values = taken_apart(body)
    struct.pack_into("<e", values, header[NAME]["data_offsets"][0], number)
    return joined(header, values)


def moved(body: bytes, by: int, only: str = "") -> bytes:
    """All tensors, or one, said to lie so many bytes further on."""
    header, values = taken_apart(body)
    for name, one in header.items():
        if "data_offsets" in one and only in name:
            one["data_offsets"] = [at + by for at in one["data_offsets"]]
    return joined(header, values if only else bytes(by) + values)


def changed(body: bytes, parts: dict[str, Any], gone: str = "") -> bytes:
    header, values = taken_apart(body)
    return joined({k: v for k, v in {**header, **parts}.items() if k != gone}, values)


DAMAGED = "is damaged or no safetensors file: .+"
UNKNOWN = "is not a stylevid weights file"
ANOTHER = r"does not fit its network: 'enter\.1\.weight' has another form\."
NO_NETWORK = r"describes no network of ours: .+"
HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda w: b"", DAMAGED),
    "pickle renamed": (lambda w: PICKLE, DAMAGED),
    "header of 2^64-1": (lambda w: b"\xff" * 8 + w[8:], DAMAGED),
    "header of 1 MB": (lambda w: joined(b" " * (1 << 20) + b"{}", b""), DAMAGED),
    "header that is a list": (lambda w: joined([1, 2], b""), DAMAGED),
    "header in latin-1": (lambda w: joined(b'{"\xe9": 1}', b""), DAMAGED),
    "no metadata": (lambda w: joined({}, b""), UNKNOWN),
    "other format": (lambda w: told(w, format="stylevid-9"), UNKNOWN),
    "no network": (lambda w: joined({"__metadata__": {"format": FORMAT}}, b""), NO_NETWORK),
    "network that is a list": (lambda w: told(w, network="[1]"), NO_NETWORK),
    "width of 10^9": (lambda w: told(w, network='{"width": 1000000000}'), NO_NETWORK),
    "another network": (lambda w: told(w, network='{"width": 6, "blocks": 1}'), "another form"),
    "overlapping tensors": (lambda w: moved(w, 2, NAME), DAMAGED),
    "hole before the tensors": (lambda w: moved(w, 8), DAMAGED),
    "bytes after the tensors": (lambda w: w + bytes(64), DAMAGED),
    "cut in the data": (lambda w: w[:-7], DAMAGED),
    "cut in the header": (lambda w: w[:300], DAMAGED),
    "whole numbers": (lambda w: entry(w, NAME, dtype="I16"), ANOTHER),
    "dtype that is a list": (lambda w: entry(w, NAME, dtype=["F16"]), ANOTHER),
    "shape that overflows": (lambda w: entry(w, NAME, shape=[1 << 63, 1 << 63]), ANOTHER),
    "tensor that is a number": (lambda w: changed(w, {NAME: 7}), ANOTHER),
    "tensor missing": (lambda w: changed(w, {}, NAME), r"'enter\.1\.weight' is amiss"),
    "tensor too many": (lambda w: changed(w, {"more\nstill": {}}), "is amiss"),
    "NaN": (lambda w: value(w, math.nan), r"not finite, in 'enter\.1\.weight'"),
    "infinity": (lambda w: value(w, -math.inf), r"not finite, in 'enter\.1\.weight'"),
    "value of 65504": (lambda w: value(w, 65504), r"holds the value 6\.55e\+04"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_weights_are_refused(
    case: str, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, match = HOSTILE[case]
    (tmp_path / "wave.safetensors").write_bytes(make(tiny_weights.read_bytes()))
    assert_refused(tmp_path / "wave.safetensors", match)
    assert [path.name for path in tmp_path.iterdir()] == ["wave.safetensors"]
