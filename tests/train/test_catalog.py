"""The catalog: every style of one file is trained, measured, exported, and shown on a sheet."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from stylevid.errors import StyleError
from stylevid.styles import list_styles
from train.catalog import CATALOG, main, read_catalog
from train.config import TrainConfig

HEAD = """[start]
style = "{base}"
temporal_steps = 0
[settings]
width = 4
blocks = 1
steps = 2
temporal_steps = 1
batch = 1
temporal_batch = 1
crop = 16
style_size = 64
hold_out = 1
"""
STYLE = """[styles.{slug}]
painting = "painting.png"
title = "{slug}"
artist = "Nobody"
year = "2026"
medium = "code"
source = "made by the tests"
"""


def write(path: Path, base: str = "wave") -> Path:
    styles = "".join(STYLE.format(slug=slug) for slug in ("wave", "acorn"))
    path.write_text(f"{HEAD.format(base=base)}{styles}settings = {{ style_weight = 2.0 }}\n")
    return path


def test_settings_are_joined(tmp_path: Path) -> None:
    first, entries = read_catalog(write(tmp_path / "c.toml", base="acorn"))
    assert [entry.slug for entry in entries] == ["wave", "acorn"] and first.slug == "start"
    assert entries[1].settings["style_weight"] == 2.0 and entries[1].settings["crop"] == 16
    assert "style_weight" not in entries[0].settings
    assert entries[0].about["title"] == "wave"
    assert first.settings == entries[1].settings | {"temporal_steps": 0}


def test_the_bundled_catalog_can_be_trained(shared_data: Path) -> None:
    first, entries = read_catalog(CATALOG)
    assert TrainConfig(**first.settings).total_steps > 100
    paintings = {path.name for path in (shared_data / "paintings").iterdir()}
    assert {entry.painting for entry in entries} <= paintings
    assert all(TrainConfig(**entry.settings).total_steps > 100 for entry in entries)
    assert {style.slug for style in list_styles()} <= {entry.slug for entry in entries}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('style = "wave"', 'style = "duck"'), "starts from 'duck'"),
        (lambda text: text.replace('title = "acorn"\n', ""), "not a catalog"),
        (lambda text: text.replace("blocks = 1", "blocks = "), "not a catalog"),
        (lambda text: text.replace("width = 4", "breadth = 4"), "unknown setting 'breadth'"),
        (lambda text: text.replace("width = 4", 'width = "4"'), "width is a whole number; got '4'"),
        (lambda text: text.replace("blocks = 1", "tv_weight = -1"), "tv_weight is a number from 0"),
        (lambda _: "", "not a catalog"),
    ],
)
def test_a_catalog_that_is_none_is_refused(tmp_path: Path, change, words: str) -> None:
    path = write(tmp_path / "c.toml")
    path.write_text(change(path.read_text()))
    with pytest.raises(StyleError, match=words):
        read_catalog(path)
    with pytest.raises(StyleError, match="not a catalog"):
        read_catalog(tmp_path / "none.toml")


@pytest.fixture
def arguments(tmp_path: Path, material: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that must be given, and where to put what is made."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(Path(__file__).parents[2])
    return f"""--catalog {write(tmp_path / "c.toml")} --paintings {material}
        --weights {tmp_path / "weights"} --content {material / "photos"}
        --preview {material / "painting.png"} --runs {tmp_path / "runs"}
        --sheet {tmp_path / "made" / "sheet.jpg"}""".split()


def test_all_styles_are_made_once(
    tmp_path: Path, arguments: list[str], clip: Path, material: Path, capsys
) -> None:
    given = [*arguments, "--clips", str(clip), "--jobs", "2"]
    assert main(given) == 0, capsys.readouterr().err
    assert [style.slug for style in list_styles(tmp_path / "weights")] == ["acorn", "wave"]
    record = json.loads((tmp_path / "weights" / "acorn.json").read_text())
    assert record["metrics"]["clips"] and record["training"]["steps_done"] == 3
    assert "--warm-start start " in record["training"]["command"]
    with Image.open(tmp_path / "made" / "sheet.jpg") as sheet:
        assert sheet.width > sheet.height
    assert (tmp_path / "weights" / "wave.painting.jpg").exists()

    checkpoints = [tmp_path / "runs" / s / "checkpoint.safetensors" for s in ("acorn", "start")]
    before = [path.stat().st_mtime_ns for path in checkpoints]
    checkpoints[0].unlink()
    assert main(given) == 0
    after = [path.stat().st_mtime_ns for path in checkpoints]
    assert after[1] == before[1], "what is finished is not trained again"
    assert after[0] != before[0], "what is missing is"

    catalog = tmp_path / "c.toml"
    text = catalog.read_text()
    catalog.write_text(text.replace("style_weight = 2.0", "style_weight = 3.0"))
    assert main([*given, "--styles", "acorn"]) == 1, "other settings are not passed over"
    assert "was trained with style_weight 2.0, not 3.0." in capsys.readouterr().err
    catalog.write_text(text)
    shutil.copy(material / "painting.png", material / "other.png")
    catalog.write_text(catalog.read_text().replace("painting.png", "other.png"))
    assert main(given) == 1, "another painting's network is not taken for this one's"
    assert "another --name to start anew" in capsys.readouterr().err


def test_trouble_is_one_sentence(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--styles", "duck"]) == 1
    assert "no style 'duck'" in capsys.readouterr().err
    assert main([*arguments, "--styles", "wave", "--paintings", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("python -m train failed: ") and "painting.png" in said
    assert said.count("\n") == 1
