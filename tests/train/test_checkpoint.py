"""A checkpoint gives back what was saved, or says that it is none."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stylevid.errors import WeightsError
from stylevid.network import Past, StyleNet, StyleNetConfig
from tests.accidents import refused
from train.config import TrainConfig
from train.learning.checkpoint import load_checkpoint, load_network_from, save_checkpoint

CONFIG = TrainConfig(width=4, blocks=1, seed=3)


def make_run(seed: int, steps: int) -> tuple[StyleNet, torch.optim.Adam]:
    torch.manual_seed(seed)
    network = StyleNet(StyleNetConfig(width=4, blocks=1)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.9, 0.99))
    for _ in range(steps):
        advance(network, optimizer)
    return network, optimizer


def advance(network: StyleNet, optimizer: torch.optim.Adam) -> None:
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    optimizer.zero_grad()
    network(image, Past(image, torch.ones(1, 1, 8, 12))).square().mean().backward()
    optimizer.step()


def assert_same_run(
    one: tuple[StyleNet, torch.optim.Adam], other: tuple[StyleNet, torch.optim.Adam]
) -> None:
    for name, tensor in one[0].state_dict().items():
        assert torch.equal(other[0].state_dict()[name], tensor)
    moments, other_moments = (run[1].state_dict()["state"] for run in (one, other))
    assert moments.keys() == other_moments.keys()
    for number in moments:
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(moments[number][moment], other_moments[number][moment])


def test_what_was_saved_comes_back_and_goes_on_alike(tmp_path: Path) -> None:
    path, saved, restored = tmp_path / "checkpoint.safetensors", make_run(0, 3), make_run(1, 0)
    for step in (1, 3):  # the second takes the first one's place
        save_checkpoint(path, *saved, step=step, config=CONFIG)
    assert [*tmp_path.iterdir()] == [path]
    assert_same_run(saved, make_run(0, 3))  # saving left it alone
    checkpoint = load_checkpoint(path)
    checkpoint.restore(*restored)
    assert checkpoint.step == 3 and TrainConfig(**checkpoint.config) == CONFIG
    assert_same_run(saved, restored)
    for run in (saved, restored, saved, restored):
        advance(*run)
    assert_same_run(saved, restored)
    save_checkpoint(path, *saved, step=5, config=CONFIG)
    for given in (path, tmp_path):  # the network alone
        loaded = load_network_from(given)
        assert loaded.config == saved[0].config
        for name, tensor in saved[0].state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\x80\x04 no tensors" * 20,
        "truncated",
        {},
        {"step": "3"},
        {"step": "x", "config": "{}"},
        {"step": "1", "config": "{"},
        {"step": "1", "config": "[]"},
        {"step": "-1", "config": "{}"},
    ],
)
def test_what_is_no_checkpoint_is_refused(
    tmp_path: Path, content: bytes | str | dict[str, str] | None
) -> None:
    path = tmp_path / "other.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        save_file({"weight": torch.zeros(2)}, path, content)
    elif content:
        save_checkpoint(path, *make_run(seed=0, steps=1), step=1, config=CONFIG)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"other\.safetensors is not a training checkpoint"):
        load_checkpoint(path)
    with pytest.raises(WeightsError, match=r"other\.safetensors is (not a|damaged)"):
        load_network_from(path)


WHOLE = vars(CONFIG)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "describes no network of ours: 'width'"),
        ({**WHOLE, "width": 7}, "describes no network of ours: width is an even number"),
        ({k: v for k, v in WHOLE.items() if k != "dilation"}, "of ours: 'dilation'"),
        ({**WHOLE, "width": 6}, "its weights do not fit its settings"),
        ({**WHOLE, "seed": torch.nan}, "holds weights that are not finite"),
    ],
)
def test_a_checkpoint_of_no_network_is_refused(
    tmp_path: Path, config: dict[str, object], words: str
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network, _ = make_run(seed=0, steps=0)
    tensors = {f"network.{k}": t.contiguous() for k, t in network.state_dict().items()}
    if config.get("seed") is torch.nan:
        tensors["network.enter.1.weight"].fill_(torch.nan)
    save_file(tensors, path, {"step": "1", "config": json.dumps(config)})
    with refused(WeightsError, words):
        load_network_from(path)


def test_an_optimizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, *make_run(seed=0, steps=1), step=1, config=CONFIG)
    checkpoint = load_checkpoint(path)
    del checkpoint.tensors["optimizer.0.exp_avg"]
    with refused(WeightsError, "its optimizer's state does not fit"):
        checkpoint.restore(*make_run(seed=1, steps=0))
