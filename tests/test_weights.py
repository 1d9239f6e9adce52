"""A weights file loads as it was saved, or is refused in one sentence."""

import json
import resource
from pathlib import Path

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

NETWORK = '{"width": 4, "blocks": 1}'


def half_tensors(network: StyleNet) -> dict[str, Tensor]:
    return {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}


def write(
    folder: Path, tensors: dict[str, Tensor], network: str = NETWORK, form: str = FORMAT
) -> Path:
    path = folder / "wave.safetensors"
    save_file(tensors, path, {"format": form, "network": network})
    return path


def assert_refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
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


def test_saving_leaves_one_small_file_that_says_what_it_is(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    save_network(tiny_network, tmp_path / "wave.safetensors")
    save_network(tiny_network, tmp_path / "wave.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["wave.safetensors"]
    with safe_open(tmp_path / "wave.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["network"]) == {"width": 4, "blocks": 1, "dilation": 4}


def test_style_is_loaded_through_its_record(
    tmp_path: Path, tiny_network: StyleNet, record: dict[str, object]
) -> None:
    sha256 = save_network(tiny_network, tmp_path / "wave.safetensors")
    (tmp_path / "wave.json").write_text(json.dumps({**record, "sha256": sha256}))
    style = get_style("wave", tmp_path)
    assert find_weights(style) == tmp_path / "wave.safetensors"
    assert load_network(style).config == StyleNetConfig(width=4, blocks=1)


def test_one_changed_byte_is_noticed(
    tmp_path: Path, tiny_network: StyleNet, record: dict[str, object]
) -> None:
    path = tmp_path / "wave.safetensors"
    sha256 = save_network(tiny_network, path)
    (tmp_path / "wave.json").write_text(json.dumps({**record, "sha256": sha256}))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"wave\.safetensors was changed: its sha256"):
        load_network(get_style("wave", tmp_path))


def test_record_without_its_weights_file_is_refused(
    tmp_path: Path, record: dict[str, object]
) -> None:
    (tmp_path / "wave.json").write_text(json.dumps(record))
    with pytest.raises(WeightsError, match="does not exist"):
        load_network(get_style("wave", tmp_path))


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_truncated_file_is_refused(tmp_path: Path, tiny_weights: Path, kept: float) -> None:
    content = tiny_weights.read_bytes()
    path = tmp_path / "wave.safetensors"
    path.write_bytes(content[: int(len(content) * kept)])
    assert_refused(path, "damaged or no safetensors file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"This is a text file,\nnot a network.\n" * 9,
        b"\x80\x04\x95 pickled" * 20,
        (2**40).to_bytes(8, "little") + b"{}",
        (2**64 - 1).to_bytes(8, "little") + b"{}",
        (50_000).to_bytes(8, "little") + b"[" * 50_000,
    ],
    ids=["empty", "short", "text", "pickle", "header of 2^40", "header of 2^64", "nested header"],
)
def test_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wave.safetensors"
    path.write_bytes(content)
    assert_refused(path, "damaged or no safetensors file")


def test_tensors_that_the_file_does_not_hold_are_refused(
    tmp_path: Path, tiny_weights: Path
) -> None:
    content = tiny_weights.read_bytes()
    size = int.from_bytes(content[:8], "little")
    path = tmp_path / "wave.safetensors"
    path.write_bytes(content[: 8 + size])
    assert_refused(path, "damaged or no safetensors file")


def test_few_bytes_that_describe_the_widest_network_cost_nothing(
    tmp_path: Path, tiny_network: StyleNet
) -> None:
    tensors, wide = half_tensors(tiny_network), '{"width": 512, "blocks": 32}'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(write(tmp_path, tensors, wide), "is amiss")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50_000  # KB; the network itself would take 600 MB


@pytest.mark.parametrize("name", ["wave.pt", "wave.pth", "wave.bin", "wave"])
def test_other_kinds_are_refused_by_name_and_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    assert_refused(tmp_path / name, "no other kind is opened")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing.safetensors", "does not exist")
    (tmp_path / "folder.safetensors").mkdir()
    assert_refused(tmp_path / "folder.safetensors", "does not exist")


def test_too_large_file_is_refused(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wave.safetensors"
    with path.open("wb") as file:
        file.truncate(weights.MAX_BYTES + 1)
    assert_refused(path, f"the limit is {weights.MAX_BYTES}")
    monkeypatch.setattr(weights, "MAX_BYTES", tiny_weights.stat().st_size)
    load_network(tiny_weights)


def test_wrong_shape_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    tensors = half_tensors(tiny_network)
    name = next(iter(tensors))
    tensors[name] = tensors[name][:1].contiguous()
    assert_refused(write(tmp_path, tensors), "another form")


def test_whole_numbers_are_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    tensors = {name: tensor.int() for name, tensor in tiny_network.state_dict().items()}
    assert_refused(write(tmp_path, tensors), "another form")


def test_missing_tensor_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    tensors = half_tensors(tiny_network)
    del tensors["leave.1.bias"]
    assert_refused(write(tmp_path, tensors), r"'leave\.1\.bias' is amiss")


def test_additional_tensor_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    tensors = {**half_tensors(tiny_network), "more\nstill": torch.zeros(1)}
    assert_refused(write(tmp_path, tensors), "is amiss")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(
    tmp_path: Path, tiny_network: StyleNet, value: float
) -> None:
    tensors = half_tensors(tiny_network)
    tensors["up.1.weight"][0, 0, 0, 0] = value
    assert_refused(write(tmp_path, tensors), r"not finite, in 'up\.1\.weight'")


def test_values_that_no_network_has_are_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    tensors = {name: tensor.float() for name, tensor in tiny_network.state_dict().items()}
    tensors["up.1.weight"] = tensors["up.1.weight"].clone()
    tensors["up.1.weight"][0, 0, 0, 0] = -1e9
    assert_refused(write(tmp_path, tensors), r"holds the value 1e\+09, in 'up\.1\.weight'")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_common_floats_are_read(tmp_path: Path, tiny_network: StyleNet, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in tiny_network.state_dict().items()}
    loaded = load_network(write(tmp_path, tensors)).state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in tensors.items())


def test_a_loaded_network_is_its_own(tmp_path: Path, tiny_network: StyleNet) -> None:
    path = write(tmp_path, {k: v.float() for k, v in tiny_network.state_dict().items()})
    first, second = load_network(path), load_network(path)
    first.up[1].weight.add_(1)  # pyright: ignore
    path.write_bytes(b"gone")
    assert torch.equal(second.up[1].weight, tiny_network.up[1].weight)  # pyright: ignore


def test_file_without_metadata_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    path = tmp_path / "wave.safetensors"
    save_file(half_tensors(tiny_network), path)
    assert_refused(path, "not a stylevid weights file")


@pytest.mark.parametrize("form", ["", "pt", "stylevid-3"])
def test_unknown_format_is_refused(tmp_path: Path, tiny_network: StyleNet, form: str) -> None:
    path = write(tmp_path, half_tensors(tiny_network), form=form)
    assert_refused(path, "not a stylevid weights file")


def test_metadata_without_a_network_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    path = tmp_path / "wave.safetensors"
    save_file(half_tensors(tiny_network), path, {"format": FORMAT})
    assert_refused(path, "describes no network")


@pytest.mark.parametrize(
    "network",
    [
        "",
        "{",
        "null",
        "3",
        "[1]",
        '"width"',
        '{"width": 3, "blocks": 1}',
        '{"width": 0, "blocks": 1}',
        '{"width": 1000000, "blocks": 1}',
        '{"width": 4, "blocks": 1000000}',
        '{"width": 4, "blocks": -1}',
        '{"width": 4.0, "blocks": 1}',
        '{"width": "4\\n", "blocks": 1}',
        '{"width": true, "blocks": 1}',
        '{"width": 4, "blocks": 1, "depth": 2}',
    ],
)
def test_network_out_of_range_is_refused(
    tmp_path: Path, tiny_network: StyleNet, network: str
) -> None:
    assert_refused(write(tmp_path, half_tensors(tiny_network), network), "describes no network")


def test_deeply_nested_network_is_refused(tmp_path: Path, tiny_network: StyleNet) -> None:
    path = write(tmp_path, half_tensors(tiny_network), "[" * 20_000)
    assert_refused(path, "describes no network")


def test_another_networks_tensors_are_refused(tmp_path: Path) -> None:
    other = StyleNet(StyleNetConfig(width=6, blocks=1))
    assert_refused(write(tmp_path, half_tensors(other)), "another form")


def test_the_same_network_is_the_same_file(tiny_network: StyleNet, tmp_path: Path) -> None:
    hashes = {save_network(tiny_network, tmp_path / f"{i}.safetensors") for i in range(8)}
    assert len(hashes) == 1


def test_a_style_from_before_networks_had_a_past_paints_as_it_did(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = StyleNet(StyleNetConfig(width=4, blocks=3, dilation=1)).half().float()
    old = {k: t for k, t in half_tensors(network).items() if not k.startswith(("recall.", "keep."))}
    path = write(tmp_path, old, json.dumps({"width": 4, "blocks": 3}), WITHOUT_PAST)
    image = torch.rand(1, 3, 40, 48)
    known = Past(image, torch.ones(1, 1, 20, 24))
    assert torch.allclose(load_network(path)(image), network(image), atol=1e-5)
    assert torch.allclose(load_network(path)(image, known), network(image, known), atol=1e-3)
    assert_refused(write(tmp_path, old, json.dumps({"width": 4, "blocks": 3})), "amiss")
