"""The written tree has FlyingThings3D's names and exact contents, whatever cuts the writing off."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylevid.warp import inside, pixel_grid
from tests.train.flow_truth import assert_true
from train.data.flow_files import read_flow
from train.data.pair_files import read_pair
from train.data.sceneflow import SceneFlow
from train.synthesize import main

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five smooth pictures of several sizes."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(5):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((60 + 20 * i, 90), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{i}.png")
    return folder


def run(photos: Path, root: Path, *more: str, pairs: int = 2) -> int:
    """Of what is given twice the last counts."""
    given = ["--photos", str(photos), "--out", str(root), "--pairs", str(pairs)]
    small = ["--size", f"{HEIGHT}x{WIDTH}", "--speed", "3", "--hold-out", "0", "--device", "cpu"]
    return main([*given, *small, *more])


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def tree(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes."""
    root = tmp_path_factory.mktemp("trees") / "tree"
    assert run(photos, root) == 0
    return root


def mask(path: Path) -> Tensor:
    with Image.open(path) as picture:
        assert picture.mode == "L"
        values = np.asarray(picture)
    assert set(np.unique(values)) <= {0, 255}
    return torch.from_numpy(values / np.float32(255))[None, None]


def flow_path(root: Path, number: int, way: str) -> Path:
    frame_name = {"Future": "0006", "Past": "0007"}[way]
    folder = root / f"optical_flow/TRAIN/A/{number:04d}/into_{way.lower()}/left"
    return folder / f"OpticalFlowInto{way}_{frame_name}_L.pfm"


def test_reader_of_the_dataset_reads_it(tree: Path) -> None:
    dataset = SceneFlow(tree)
    assert len(dataset) == 2 * 2 and not dataset.counts  # scenes, directions
    record = (tree / "synthesize.json").read_text()
    assert '"speed": 3.0' in record and str(tree.parent) not in record
    for index in range(len(dataset)):
        files = dataset[index]
        assert None not in (files.reverse_flow, files.occlusion, files.boundary)
        pair = read_pair(files)
        flow = read_flow(files.flow)
        assert torch.equal(pair.flow_cur_to_prev, flow)
        jumps = flow.diff(dim=-1).abs().amax(1, keepdim=True) > 1
        assert mask(files.boundary)[..., :-1][jumps].eq(1).all()
        points = pixel_grid(HEIGHT, WIDTH) + flow
        hidden = torch.maximum(mask(files.occlusion), mask(files.boundary))
        assert torch.equal(pair.visible, (1 - hidden) * inside(points, HEIGHT, WIDTH))
        assert_true(pair, 0.3)


def test_same_seed_same_tree_byte_for_byte(photos: Path, tree: Path, tmp_path: Path) -> None:
    assert run(photos, tmp_path / "again") == 0
    assert contents(tmp_path / "again") == contents(tree)
    assert run(photos, tmp_path / "other", "--seed", "1") == 0
    assert not contents(tmp_path / "other").items() & contents(tree).items()


@pytest.mark.parametrize("cut", [0, 14])
def test_cut_off_between_files_it_is_completed(
    photos: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """The file number `cut` is written and not yet in its place when everything stops."""
    root, written, replace = tmp_path / "tree", 0, Path.replace
    (root / ".partial-x").mkdir(parents=True)  # of somebody who was killed earlier

    def stop(partial: Path, path: Path) -> Path:
        nonlocal written
        if written == cut:
            raise KeyboardInterrupt
        written += 1
        return replace(partial, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", stop)
        run(photos, root)
    whole = contents(tree)
    assert len(contents(root)) == cut and contents(root).items() <= whole.items()
    assert run(photos, root) == 0
    assert contents(root) == whole


def refused(capsys: pytest.CaptureFixture[str], photos: Path, root: Path, *more: str) -> str:
    """What the command says last before it ends with 1."""
    assert run(photos, root, *more) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--pairs=0", "--pairs is 0; a tree holds 1 to 10000."),
        ("--size=540", "--size is '540'; it is written HEIGHTxWIDTH, such as 540x960."),
        ("--size=8x960", "height is 8; for a tree of 8x960 pixels it lies between 16 and 4096."),
        ("--speed=12", "speed is 12.0; for a tree of 48x64 pixels it lies between 0 and 4.8."),
        ("--speed=nan", "speed is nan"),
        ("--device=abacus", "There is no device 'abacus' here. Use --device cpu."),
        ("--photos=nowhere", "nowhere holds 0 pictures"),
        ("--photos={half}", "half.png cannot be read as a picture"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, sentence: str
) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "half.png").write_bytes(b"no picture")
    said = refused(capsys, photos, tmp_path / "tree", option.format(half=tmp_path / "half"))
    assert sentence in said
    assert (tmp_path / "tree").exists() == ("half" in option)


def test_tree_of_another_recipe_is_not_continued(
    photos: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tree)
    assert "with seed 0, not 7" in refused(capsys, photos, tree, "--seed", "7")
    assert contents(tree) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("synthesize.json", b"{"),
        ("synthesize.json", b"[]"),
        ("frames_cleanpass/TRAIN/A/0000/left/0006.png", b"rendered by others"),
    ],
)
def test_somebody_elses_folder_is_left_alone(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path) in refused(capsys, photos, tmp_path)
    assert contents(tmp_path) == {name: content}
