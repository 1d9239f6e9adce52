"""A weights file loads as it was saved, or is refused in one sentence."""

import json
import resource
from collections.abc import Callable
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


def write(folder: Path, tensors: dict[str, Tensor], network: str = NETWORK) -> Path:
    path = folder / "wave.safetensors"
    save_file(tensors, path, {"format": FORMAT, "network": network})
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
        0.99,
        0.1,
        None,
    ],
    ids=["empty", "short", "text", "pickle", "header of 2^40", "header of 2^64", "nested header",
         "not its end", "not its header's end", "header alone"],
)  # fmt: skip
def test_what_is_no_whole_file_is_refused(
    tmp_path: Path, tiny_weights: Path, content: bytes | float | None
) -> None:
    whole = tiny_weights.read_bytes()
    if not isinstance(content, bytes):
        header = 8 + int.from_bytes(whole[:8], "little")
        content = whole[: int(len(whole) * content) if content else header]
    (tmp_path / "wave.safetensors").write_bytes(content)
    assert_refused(tmp_path / "wave.safetensors", "damaged or no safetensors file")


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


def changed(tensors: dict[str, Tensor], value: float) -> dict[str, Tensor]:
    tensors = {name: tensor.float().clone() for name, tensor in tensors.items()}
    tensors["up.1.weight"][0, 0, 0, 0] = value
    return tensors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t | {"up.1.weight": t["up.1.weight"][:1].clone()}, "another form"),
        (lambda t: {name: tensor.int() for name, tensor in t.items()}, "another form"),
        (lambda _: half_tensors(StyleNet(StyleNetConfig(width=6, blocks=1))), "another form"),
        (
            lambda t: {n: x for n, x in t.items() if n != "leave.1.bias"},
            r"'leave\.1\.bias' is amiss",
        ),
        (lambda t: t | {"more\nstill": torch.zeros(1)}, "is amiss"),
        (lambda t: changed(t, float("nan")), r"not finite, in 'up\.1\.weight'"),
        (lambda t: changed(t, float("-inf")), r"not finite, in 'up\.1\.weight'"),
        (lambda t: changed(t, -1e9), r"holds the value 1e\+09, in 'up\.1\.weight'"),
    ],
)
def test_tensors_that_are_not_the_networks_are_refused(
    tmp_path: Path,
    tiny_network: StyleNet,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    words: str,
) -> None:
    assert_refused(write(tmp_path, change(half_tensors(tiny_network))), words)


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


@pytest.mark.parametrize(
    "metadata", [None, *({"format": form, "network": NETWORK} for form in ("", "stylevid-3"))]
)
def test_unknown_format_is_refused(
    tmp_path: Path, tiny_network: StyleNet, metadata: dict[str, str] | None
) -> None:
    save_file(half_tensors(tiny_network), tmp_path / "wave.safetensors", metadata)
    assert_refused(tmp_path / "wave.safetensors", "not a stylevid weights file")


@pytest.mark.parametrize(
    "network",
    [
        None,
        "",
        "{",
        "null",
        "[1]",
        '"width"',
        '{"width": 0, "blocks": 1}',
        '{"width": 1000000, "blocks": 1}',
        '{"width": 4, "blocks": 1000000}',
        '{"width": 4.0, "blocks": 1}',
        '{"width": "4\\n", "blocks": 1}',
        '{"width": 4, "blocks": 1, "depth": 2}',
        "[" * 20_000,
    ],
)
def test_metadata_that_describe_no_network_are_refused(
    tmp_path: Path, tiny_network: StyleNet, network: str | None
) -> None:
    metadata = {"format": FORMAT} | ({"network": network} if network is not None else {})
    save_file(half_tensors(tiny_network), tmp_path / "wave.safetensors", metadata)
    assert_refused(tmp_path / "wave.safetensors", "describes no network")


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
