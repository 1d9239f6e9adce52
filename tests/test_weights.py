"""A weights file loads as it was saved, or is refused in one sentence, whatever it holds."""

import json
import math
import os
import pickle
import random
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
from tests.accidents import assert_one_sentence, spoiled

NETWORK = '{"width": 4, "blocks": 1}'
NAME = "enter.1.weight"


def half_tensors(network: StyleNet) -> dict[str, Tensor]:
    return {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}


def write(folder: Path, tensors: dict[str, Tensor], network: str = NETWORK) -> Path:
    path = folder / "wave.safetensors"
    save_file(tensors, path, {"format": FORMAT, "network": network})
    return path


def assert_refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match) as caught:
        load_network(path)
    assert_one_sentence(caught.value)
    assert path.name in str(caught.value)


def test_round_trip_is_the_network_rounded_to_float16(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    sha256 = save_network(tiny_network, tmp_path / "wave.safetensors")
    assert sha256 == file_sha256(tmp_path / "wave.safetensors")
    loaded = load_network(tmp_path / "wave.safetensors")
    assert loaded.config == tiny_network.config
    for name, tensor in tiny_network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(loaded(image), tiny_network(image), atol=5e-3)


def test_loaded_network_is_ready_to_paint(tiny_weights: Path) -> None:
    network = load_network(tiny_weights, dtype=torch.bfloat16)
    assert not network.training
    assert all(not p.requires_grad for p in network.parameters())
    assert all(p.dtype == torch.bfloat16 for p in network.parameters())


def test_saving_leaves_one_file_the_same_each_time_that_says_what_it_is(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    path = tmp_path / "wave.safetensors"
    assert len({save_network(tiny_network, path) for _ in range(8)}) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["wave.safetensors"]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["network"]) == {"width": 4, "blocks": 1, "dilation": 4}


def test_style_is_loaded_through_its_record_and_one_changed_byte_is_noticed(
    tmp_path: Path, tiny_network: StyleNet, record: dict[str, object]
) -> None:
    path = tmp_path / "wave.safetensors"
    sha256 = save_network(tiny_network, path)
    (tmp_path / "wave.json").write_text(json.dumps({**record, "sha256": sha256}))
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_common_floats_are_read_into_memory_of_their_own(
    tmp_path: Path, tiny_network: StyleNet, dtype: torch.dtype
) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in tiny_network.state_dict().items()}
    path = write(tmp_path, tensors)
    first, second = load_network(path), load_network(path).state_dict()
    first.get_parameter("up.1.weight").add_(1)
    path.write_bytes(b"gone")
    assert all(torch.equal(second[name], tensor.float()) for name, tensor in tensors.items())


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


def entry(key: str, **changes: object) -> Callable[[bytes], bytes]:
    """A part of the header, such as the first tensor's, said to be another."""

    def make(body: bytes) -> bytes:
        header, values = taken_apart(body)
        return joined({**header, key: {**header[key], **changes}}, values)

    return make


def shape(text: str) -> Callable[[bytes], bytes]:
    return entry("__metadata__", network=text)


def value(number: float) -> Callable[[bytes], bytes]:
    def make(body: bytes) -> bytes:
        header, values = taken_apart(body)
        struct.pack_into("<e", values, header[NAME]["data_offsets"][0], number)
        return joined(header, values)

    return make


def moved(body: bytes, by: int, only: str = "") -> bytes:
    """All tensors, or one, said to lie so many bytes further on."""
    header, values = taken_apart(body)
    for name, one in header.items():
        if "data_offsets" in one and only in name:
            one["data_offsets"] = [at + by for at in one["data_offsets"]]
    return joined(header, values if only else bytes(by) + values)


def wide(body: bytes) -> bytes:
    """All tensors in float32, one value far beyond float16."""
    header, values = taken_apart(body)
    numbers = torch.frombuffer(values, dtype=torch.float16).float()
    numbers[0] = 1e30
    for one in header.values():
        if "data_offsets" in one:
            one |= {"dtype": "F32", "data_offsets": [2 * at for at in one["data_offsets"]]}
    return joined(header, numbers.numpy().tobytes())


def without(body: bytes) -> bytes:
    header, values = taken_apart(body)
    del header[NAME]
    return joined(header, values)


def with_tensor(body: bytes, name: str) -> bytes:
    header, values = taken_apart(body)
    more = {"dtype": "F16", "shape": [1], "data_offsets": [len(values), len(values) + 2]}
    return joined({**header, name: more}, values + bytes(2))


def with_key_twice(body: bytes) -> bytes:
    header, values = taken_apart(body)
    twice = f'{{"{NAME}": {json.dumps(header[NAME])}, {json.dumps(header)[1:]}'
    return joined(twice.encode(), values)


class Exploit:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("pickle-was-opened",)


DAMAGED = r"wave\.safetensors is damaged or no safetensors file: .+"
UNKNOWN = "is not a stylevid weights file"
ANOTHER = r"wave\.safetensors does not fit its network: 'enter\.1\.weight' has another form\."
NO_NETWORK = r"wave\.safetensors describes no network of ours: .+"
HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda w: b"", DAMAGED),
    "text": (lambda w: b"This is a text file,\nnot a network.\n" * 9, DAMAGED),
    "pickle renamed": (lambda w: pickle.dumps(Exploit()) * 50, DAMAGED),
    "header of 2^64-1": (lambda w: b"\xff" * 8 + w[8:], DAMAGED),
    "header of 1 MB": (lambda w: joined(b" " * (1 << 20) + b"{}", b""), DAMAGED),
    "header that is no JSON": (lambda w: joined(b"not json at all" * 9, w), DAMAGED),
    "header that is a list": (lambda w: joined([1, 2], b""), DAMAGED),
    "header in latin-1": (lambda w: joined(b'{"\xe9": 1}', b""), DAMAGED),
    "header 100,000 deep": (lambda w: joined(b"[" * 100_000, b""), DAMAGED),
    "number of 5,000 digits": (lambda w: joined(b"[" + b"9" * 5000 + b"]", b""), "5000 digits"),
    "key twice": (with_key_twice, "file: a key comes twice in it"),
    "no metadata": (lambda w: joined({}, b""), UNKNOWN),
    "metadata that is a text": (lambda w: joined({"__metadata__": "x"}, b""), UNKNOWN),
    "other format": (entry("__metadata__", format="stylevid-9"), UNKNOWN),
    "no network": (lambda w: joined({"__metadata__": {"format": FORMAT}}, b""), NO_NETWORK),
    "network that is no JSON": (shape("{"), NO_NETWORK),
    "network that is a list": (shape("[1]"), NO_NETWORK),
    "network 20,000 deep": (shape("[" * 20_000), NO_NETWORK),
    "width of 10^9": (shape('{"width": 1000000000, "blocks": 5}'), NO_NETWORK),
    "width of 4.0": (shape('{"width": 4.0, "blocks": 1}'), NO_NETWORK),
    "unknown setting of 100 KB": (shape(json.dumps({"x" * 100_000: 1})), NO_NETWORK),
    "another network's tensors": (shape('{"width": 6, "blocks": 1}'), "another form"),
    "overlapping tensors": (lambda w: moved(w, 2, NAME), DAMAGED),
    "tensors before the data": (entry(NAME, data_offsets=[-2, 2]), DAMAGED),
    "offsets of 2^63": (entry(NAME, data_offsets=[1 << 63, (1 << 63) + 2]), DAMAGED),
    "offsets that are no numbers": (entry(NAME, data_offsets="all"), DAMAGED),
    "hole before the tensors": (lambda w: moved(w, 8), DAMAGED),
    "bytes after the tensors": (lambda w: w + bytes(64), DAMAGED),
    "cut in the data": (lambda w: w[:-7], DAMAGED),
    "cut in the header": (lambda w: w[:300], DAMAGED),
    "whole numbers": (entry(NAME, dtype="I16"), ANOTHER),
    "dtype that is a list": (entry(NAME, dtype=["F16"]), ANOTHER),
    "shape that overflows": (entry(NAME, shape=[1 << 63, 1 << 63]), ANOTHER),
    "shape with a minus": (entry(NAME, shape=[-2, -12, 3, 3]), ANOTHER),
    "tensor that is a number": (
        lambda w: joined({**taken_apart(w)[0], NAME: 7}, taken_apart(w)[1]), ANOTHER,
    ),
    "tensor missing": (without, r"'enter\.1\.weight' is amiss"),
    "tensor too many": (lambda w: with_tensor(w, "more\nstill"), "is amiss"),
    "NaN": (value(math.nan), r"not finite, in 'enter\.1\.weight'"),
    "infinity": (value(-math.inf), r"not finite, in 'enter\.1\.weight'"),
    "value of 65504": (value(65504), r"holds the value 6\.55e\+04"),
    "value of 10^30": (wide, r"holds the value 1e\+30"),
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


def edited(body: bytes, chance: random.Random) -> bytes:
    """A part of the header replaced by something else that is JSON, its length kept true."""
    header, values = taken_apart(body)
    odd: list[Any] = [None, 0, -1, 1 << 70, 1.5, "", "F16", "F32", "F64", "I8", [], [0], {}, True]
    spot: Any = header
    while isinstance(spot, dict | list) and spot:
        key = chance.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
        if chance.random() < 0.3 or not isinstance(spot[key], dict | list):
            spot[key] = chance.choice(odd)
            break
        spot = spot[key]
    return joined(header, values)


def revalued(body: bytes, chance: random.Random) -> bytes:
    """Some of the values replaced; every so often by infinity."""
    header, values = taken_apart(body)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(values) - 1)
        values[at : at + 2] = chance.choice([chance.randbytes(2), b"\x00\x7c", bytes(2)])
    return joined(header, values)


def test_spoiled_weights_load_with_sound_values_or_are_refused(
    tiny_weights: Path, tmp_path: Path
) -> None:
    chance, path, loaded = random.Random(0), tmp_path / "wave.safetensors", 0
    whole = tiny_weights.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(1000):
        how = chance.choice([edited, revalued, lambda b, c: spoiled(b, c, header)])
        path.write_bytes(how(whole, chance))
        try:
            network = load_network(path)
        except WeightsError as error:
            assert_one_sentence(error)
        else:
            loaded += 1
            assert network.config.width == 4
            assert all(p.isfinite().all() and p.abs().max() <= 1000 for p in network.parameters())
    assert 0 < loaded < 500
