"""A run becomes three files that load back; a network that paints nothing does not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylevid.frames import resize, to_image
from stylevid.network import StyleNet, StyleNetConfig
from stylevid.styles import get_style, list_styles
from stylevid.weights import load_network
from train.config import TrainConfig
from train.export import main, paint_preview
from train.learning.checkpoint import save_checkpoint

CONFIG = TrainConfig(width=4, blocks=1, seed=3)
FILES = ["wave.jpg", "wave.json", "wave.safetensors"]


def make_network() -> StyleNet:
    torch.manual_seed(0)
    return StyleNet(StyleNetConfig(width=4, blocks=1))


def write_run(folder: Path, network: StyleNet, record: dict[str, object]) -> dict[str, Path]:
    """A run's folder, the painting's record and a picture, as the command wants them."""
    run = folder / "run"
    run.mkdir()
    optimizer = torch.optim.Adam(network.parameters())
    save_checkpoint(run / "checkpoint.safetensors", network, optimizer, 7, CONFIG)
    (run / "run.json").write_text(json.dumps({"command": "train", "minutes": 2}))
    texts = {k: v for k, v in record.items() if k not in ("sha256", "network")}
    (folder / "painting.json").write_text(json.dumps(texts))
    picture = to_image(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))
    pixels = resize(picture, (48, 72))[0].permute(1, 2, 0).mul(255).byte().numpy()
    Image.fromarray(pixels).save(folder / "photo.png")
    return {
        "run": run,
        "painting": folder / "painting.json",
        "preview": folder / "photo.png",
        "weights": folder / "weights",
    }


def export(arguments: dict[str, Path], *more: str, slug: str = "wave") -> int:
    given = [text for key, path in arguments.items() for text in (f"--{key}", str(path))]
    return main([*given, "--slug", slug, *more])


def files(arguments: dict[str, Path]) -> list[str]:
    folder = arguments["weights"]
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_three_files_load_back(tmp_path: Path, record: dict[str, object]) -> None:
    network = make_network()
    arguments = write_run(tmp_path, network, record)
    assert export(arguments) == 0
    assert files(arguments) == FILES
    style = get_style("wave", arguments["weights"])
    assert (style.title, style.licence) == (record["title"], record["licence"])
    assert style.network == {"width": 4, "blocks": 1}
    assert style.training["steps_done"] == 7 and style.training["minutes"] == 2
    assert style.training["config"] == CONFIG.as_dict()
    loaded = load_network(style)  # which checks the sha256
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_the_time_it_took_is_recorded(tmp_path: Path, record: dict[str, object]) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    log = '{"step": 6, "seconds": 3.5}\n{"step": 7, "seconds": 4.25}\n'
    (arguments["run"] / "log.jsonl").write_text(log)
    assert export(arguments) == 0
    assert get_style("wave", arguments["weights"]).training["seconds"] == 4.25


def test_preview_is_the_painted_middle_square(tmp_path: Path, record: dict[str, object]) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    assert export(arguments) == 0
    with Image.open(arguments["weights"] / "wave.jpg") as preview:
        shown = np.asarray(preview).astype(int)
    assert shown.shape == (384, 384, 3)
    painted = paint_preview(make_network(), arguments["preview"])
    assert np.abs(shown - painted).mean() < 6


def test_metrics_are_recorded(tmp_path: Path, record: dict[str, object]) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    (tmp_path / "metrics.json").write_text('{"clips": {"a.mp4": {"on": 0.5}}}')
    assert export(arguments, "--metrics", str(tmp_path / "metrics.json")) == 0
    style = get_style("wave", arguments["weights"])
    assert style.metrics == {"clips": {"a.mp4": {"on": 0.5}}}


def test_exporting_again_replaces_the_style(tmp_path: Path, record: dict[str, object]) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    assert export(arguments) == export(arguments) == 0
    assert files(arguments) == FILES


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_network_that_paints_nothing_is_refused(
    tmp_path: Path, record: dict[str, object], value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make_network()
    with torch.no_grad():
        network.leave[1].weight.fill_(value)
        network.leave[1].bias.zero_()
    arguments = write_run(tmp_path, network, record)
    assert export(arguments) == 1
    assert "in one color or not at all" in capsys.readouterr().err
    assert files(arguments) == []


def test_network_that_paints_all_in_one_color_is_refused(
    tmp_path: Path, record: dict[str, object]
) -> None:
    network = make_network()
    with torch.no_grad():
        network.leave[1].weight.zero_()
        network.leave[1].bias.copy_(torch.tensor([2.0, 0.0, -2.0]).repeat_interleave(4))
    arguments = write_run(tmp_path, network, record)
    assert export(arguments) == 1
    assert files(arguments) == []


def test_run_without_a_checkpoint_is_refused(
    tmp_path: Path, record: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    (arguments["run"] / "checkpoint.safetensors").unlink()
    assert export(arguments) == 1
    assert "is not a training checkpoint" in capsys.readouterr().err
    assert files(arguments) == []


def test_missing_preview_picture_is_refused(tmp_path: Path, record: dict[str, object]) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    arguments["preview"].unlink()
    assert export(arguments) == 1
    assert files(arguments) == []


@pytest.mark.parametrize("slug", ["Great Wave", "../wave", "wave_2"])
def test_slug_that_no_reader_takes_is_refused(
    tmp_path: Path, record: dict[str, object], slug: str
) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    assert export(arguments, slug=slug) != 0
    assert files(arguments) == []
    assert list_styles(arguments["weights"]) == []


def test_painting_without_a_licence_is_refused(tmp_path: Path, record: dict[str, object]) -> None:
    texts = {key: value for key, value in record.items() if key != "licence"}
    arguments = write_run(tmp_path, make_network(), texts)
    assert export(arguments) == 1
    assert list_styles(arguments["weights"]) == []


@pytest.mark.parametrize("missing", ["painting", "run"])
def test_missing_or_broken_json_leaves_no_half_style(
    tmp_path: Path, record: dict[str, object], missing: str
) -> None:
    arguments = write_run(tmp_path, make_network(), record)
    if missing == "painting":
        arguments["painting"].write_text("{")
    else:
        (arguments["run"] / "run.json").unlink()
    assert export(arguments) == 1
    assert files(arguments) == []
