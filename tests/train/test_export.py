"""A run becomes three files that load back; a network that paints nothing does not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.network import StyleNet, StyleNetConfig
from stylevid.styles import get_style
from stylevid.weights import load_network
from train.config import TrainConfig
from train.export import main, paint_preview
from train.learning.checkpoint import save_checkpoint

CONFIG = TrainConfig(width=4, blocks=1, seed=3)
FILES = ["wave.jpg", "wave.json", "wave.safetensors"]


def make_network() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(StyleNetConfig(width=4, blocks=1))


@pytest.fixture
def arguments(tmp_path: Path, record: dict[str, object]) -> dict[str, Path]:
    """A run's folder, the painting's record and a picture, as the command wants them."""
    run = tmp_path / "run"
    run.mkdir()
    save_run(run, make_network())
    (run / "run.json").write_text(json.dumps({"command": "train", "minutes": 2}))
    (run / "log.jsonl").write_text('{"step": 6, "seconds": 3}\n{"step": 7, "seconds": 4.25}\n{"st')
    texts = {k: v for k, v in record.items() if k not in ("sha256", "network")}
    (tmp_path / "painting.json").write_text(json.dumps(texts))
    (tmp_path / "metrics.json").write_text('{"clips": {"a.mp4": {"on": 0.5}}}')
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((72, 48)).save(tmp_path / "photo.png")
    return {
        "run": run,
        "painting": tmp_path / "painting.json",
        "preview": tmp_path / "photo.png",
        "metrics": tmp_path / "metrics.json",
        "weights": tmp_path / "weights",
    }


def save_run(folder: Path, network: StyleNet) -> None:
    optimizer = torch.optim.Adam(network.parameters())
    save_checkpoint(folder / "checkpoint.safetensors", network, optimizer, 7, CONFIG)


def export(arguments: dict[str, Path], slug: str = "wave") -> int:
    given = [text for key, path in arguments.items() for text in (f"--{key}", str(path))]
    return main([*given, "--slug", slug])


def files(arguments: dict[str, Path]) -> list[str]:
    folder = arguments["weights"]
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_three_files_load_back(arguments: dict[str, Path], record: dict[str, object]) -> None:
    assert export(arguments) == export(arguments) == 0  # the second takes the first one's place
    assert files(arguments) == FILES
    style = get_style("wave", arguments["weights"])
    assert (style.title, style.licence) == (record["title"], record["licence"])
    assert style.network == {"width": 4, "blocks": 1, "dilation": 4}
    training = {"command": "train", "minutes": 2, "steps_done": 7, "seconds": 4.25}
    assert style.training == training | {"config": vars(CONFIG)}
    assert style.metrics == {"clips": {"a.mp4": {"on": 0.5}}}
    loaded = load_network(style)  # which checks the sha256
    for name, tensor in make_network().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())
    with Image.open(arguments["weights"] / "wave.jpg") as preview:
        shown = np.asarray(preview).astype(int)
    assert shown.shape == (384, 384, 3)
    painted = paint_preview(make_network(), arguments["preview"])
    assert np.abs(shown - painted).mean() < 6


def test_an_older_paintings_picture_does_not_stay(arguments: dict[str, Path]) -> None:
    arguments["weights"].mkdir()
    (arguments["weights"] / "wave.painting.jpg").touch()
    assert export(arguments) == 0
    assert files(arguments) == FILES


def test_what_cannot_be_loaded_is_not_exported(arguments: dict[str, Path], capsys) -> None:
    network = make_network()
    with torch.no_grad():
        network.get_parameter("keep.1.bias").fill_(2000.0)
    save_run(arguments["run"], network)
    assert export(arguments) == 1
    assert "holds the value 2e+03, in 'keep.1.bias'" in capsys.readouterr().err
    assert files(arguments) == []


def test_a_file_is_no_folder_of_styles(arguments: dict[str, Path], capsys) -> None:
    arguments["weights"].touch()
    assert export(arguments) == 1
    assert capsys.readouterr().err == f"[Errno 17] File exists: '{arguments['weights']}'\n"


def test_metrics_and_a_log_may_be_missing(arguments: dict[str, Path]) -> None:
    (arguments["run"] / "log.jsonl").unlink()
    del arguments["metrics"]
    assert export(arguments) == 0
    style = get_style("wave", arguments["weights"])
    assert style.metrics == {} and "seconds" not in style.training


@pytest.mark.parametrize(("weight", "bias"), [(0.0, 0), (0.0, 2), (float("nan"), 0)])
def test_network_that_paints_all_in_one_color_or_nothing_is_refused(
    arguments: dict[str, Path], weight: float, bias: float, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make_network()
    with torch.no_grad():
        network.get_parameter("leave.1.weight").fill_(weight)
        colors = torch.tensor([bias, 0.0, -bias]).repeat_interleave(4)
        network.get_parameter("leave.1.bias").copy_(colors)
    save_run(arguments["run"], network)
    assert export(arguments) == 1
    words = "in one color or not at all" if weight == 0 else "weights that are not finite"
    assert words in capsys.readouterr().err
    assert files(arguments) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run/checkpoint.safetensors", None, "is not a training checkpoint"),
        ("run/run.json", None, "cannot be read as JSON"),
        ("photo.png", None, "cannot be read as a picture"),
        ("painting.json", "{", "cannot be read as JSON"),
        ("metrics.json", "[]", "holds no JSON object"),
        ("painting.json", '{"title": "A", "artist": "B"}', ""),  # among others no licence
    ],
)
def test_what_is_missing_or_broken_leaves_no_half_style(
    arguments: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    words: str,
) -> None:
    path = arguments["painting"].parent / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert export(arguments) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert export(arguments, "../wave") == 1
    assert files(arguments) == []
