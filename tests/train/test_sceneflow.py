"""Known answers for SceneFlow's layouts: tiny trees made by code, in which everything is known.

A colored texture moves `STEP` pixels a frame, so that flow is the same everywhere and exact.
"""

import logging
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylevid.errors import DataError
from stylevid.warp import inside, pixel_grid, warp
from train.data.flow_files import write_flo, write_pfm
from train.data.pair_files import (
    PairFiles,
    Window,
    collision_mask,
    crop_window,
    mirror_pairs,
    read_pair,
    resize_pairs,
)
from train.data.pairs import Pairs
from train.data.sceneflow import SceneFlow, pair_batch

HEIGHT, WIDTH = 48, 64
STEP = (5, -3)  # (dx, dy) in pixels a frame
FRAMES = 4
BOTH = ("into_future", "into_past")

# Where the scenes of each dataset lie; the subset has none.
SCENES = {
    "flyingthings3d": "TRAIN/A/0000",
    "monkaa": "a_rain_of_stones_x2",
    "driving": "15mm_focallength/scene_forwards/fast",
    "FlyingThings3D_subset": None,
}


class Tree:
    """One camera's sequence in a dataset's layout, written file by file."""

    def __init__(self, home: Path, scene: str | None, side: str = "left") -> None:
        self.home, self.scene, self.side = home, scene, side

    def name(self, number: int) -> str:
        return f"{number:07d}" if self.scene is None else f"{number:04d}"

    def frame_path(self, number: int, render: str = "clean", suffix: str = ".png") -> Path:
        if self.scene is None:
            folder = self.home / f"image_{render}"
        else:
            folder = self.home / f"frames_{render}pass" / self.scene
        return folder / self.side / (self.name(number) + suffix)

    def mask_path(self, kind: str, number: int, direction: str, suffix: str) -> Path:
        if self.scene is None:
            folder = self.home / kind / self.side / direction
        else:
            folder = self.home / kind / self.scene / direction / self.side
        return folder / (self.name(number) + suffix)

    def flow_path(self, number: int, direction: str, suffix: str = "") -> Path:
        if self.scene is None:
            folder = self.home / "flow" / self.side / direction
            return folder / (self.name(number) + (suffix or ".flo"))
        to = "Future" if direction == "into_future" else "Past"
        name = f"OpticalFlowInto{to}_{self.name(number)}_{self.side[0].upper()}"
        folder = self.home / "optical_flow" / self.scene / direction / self.side
        return folder / (name + (suffix or ".pfm"))

    def write_frame(self, number: int, render: str = "clean", suffix: str = ".png") -> None:
        options = {"lossless": True} if suffix == ".webp" else {}
        path = made(self.frame_path(number, render, suffix))
        Image.fromarray(frame(number)).save(path, **options)

    def write_flow(
        self, number: int, direction: str, flow: np.ndarray | None = None, suffix: str = ""
    ) -> None:
        path = made(self.flow_path(number, direction, suffix))
        flow = true_flow(direction) if flow is None else flow
        (write_flo if path.suffix == ".flo" else write_pfm)(path, flow)

    def write_mask(self, kind: str, number: int, direction: str, mask: np.ndarray) -> None:
        suffix = ".pgm" if kind == "motion_boundaries" else ".png"
        path = made(self.mask_path(kind, number, direction, suffix))
        Image.fromarray(mask.astype(np.uint8)).save(path)

    def write(self, frames: int = FRAMES, render: str = "clean", ends: bool = False) -> "Tree":
        """All frames and all flow between them; with `ends`, as SceneFlow has it, flow to the
        frames before the first and after the last as well."""
        for number in range(frames):
            self.write_frame(number, render)
            if ends or number < frames - 1:
                self.write_flow(number, "into_future")
            if ends or number > 0:
                self.write_flow(number, "into_past")
        return self


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def texture() -> np.ndarray:
    coarse = torch.rand(1, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    # Red is darker and blue lighter, so that no channel passes for another.
    coarse = coarse * 0.5 + torch.tensor((0.0, 0.25, 0.5)).view(1, 3, 1, 1)
    wide = torch.nn.functional.interpolate(coarse, (96, 128), mode="bicubic").clamp(0, 1)
    return (wide[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


TEXTURE = texture()


def frame(number: int) -> np.ndarray:
    """What is at (x, y) in frame 0 is at (x, y) + number * STEP in this one."""
    top, left = 24 - number * STEP[1], 32 - number * STEP[0]
    return np.ascontiguousarray(TEXTURE[top : top + HEIGHT, left : left + WIDTH])


def true_flow(direction: str) -> np.ndarray:
    sign = 1 if direction == "into_future" else -1
    return np.full((HEIGHT, WIDTH, 2), (sign * STEP[0], sign * STEP[1]), np.float32)


def image(number: int) -> Tensor:
    return torch.from_numpy(frame(number)).permute(2, 0, 1)[None] / 255


def masked_error(pairs: Pairs, flow: Tensor) -> float:
    warped, _ = warp(pairs.prev, flow)
    squared = (pairs.visible * (warped - pairs.cur).square()).sum()
    return (squared / pairs.visible.sum()).item()


def assert_true(pairs: Pairs) -> None:
    """The flow explains cur far better than no flow and any mistaken one."""
    flow = pairs.flow_cur_to_prev
    error = masked_error(pairs, flow)
    assert pairs.visible.mean() > 0.1
    assert error < 0.05 * masked_error(pairs, torch.zeros_like(flow))
    assert error < 0.05 * masked_error(pairs, -flow)
    assert error < 0.05 * masked_error(pairs, flow.flip(1))
    backwards = Pairs(pairs.cur, pairs.prev, flow, pairs.visible)
    assert error < 0.05 * masked_error(backwards, flow)


def names(files: PairFiles) -> tuple[str, str, str]:
    return files.cur.stem, files.prev.stem, files.flow.stem


def all_files(dataset: SceneFlow) -> list[PairFiles]:
    return [dataset[i] for i in range(len(dataset))]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "flyingthings3d", SCENES["flyingthings3d"]).write()


@pytest.fixture
def dataset(tree: Tree) -> SceneFlow:
    return SceneFlow(tree.home)


# ---- the layouts ----


def train_home(root: Path, name: str) -> Path:
    return root / name / "train" if SCENES[name] is None else root / name


@pytest.mark.parametrize("name", SCENES)
def test_every_layout_is_found_and_its_flow_is_true(tmp_path: Path, name: str) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write()
    for root in (tmp_path, tmp_path / name):
        dataset = SceneFlow(root)
        assert len(dataset) == 2 * (FRAMES - 1)
        assert not dataset.counts
        for files in all_files(dataset):
            direction = next(d for d in BOTH if d in files.flow.parts)
            cur, prev = int(files.cur.stem), int(files.prev.stem)
            assert prev - cur == (1 if direction == "into_future" else -1)
            assert files.flow == tree.flow_path(cur, direction)
            pairs = read_pair(files)
            assert torch.equal(pairs.cur, image(cur))
            assert torch.equal(pairs.prev, image(prev))
            expected = torch.from_numpy(true_flow(direction)).permute(2, 0, 1)[None]
            assert torch.equal(pairs.flow_cur_to_prev, expected)
            assert masked_error(pairs, pairs.flow_cur_to_prev) < 1e-6
            assert_true(pairs)


def test_a_folder_of_several_datasets_holds_the_pairs_of_all(tmp_path: Path) -> None:
    for name, scene in SCENES.items():
        Tree(train_home(tmp_path / "SceneFlow", name), scene).write()
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 4 * 2 * (FRAMES - 1)
    found = Counter(name for f in all_files(dataset) for name in SCENES if name in f.flow.parts)
    assert found == dict.fromkeys(SCENES, 2 * (FRAMES - 1))


def test_datasets_unpacked_into_one_folder_are_found(tmp_path: Path) -> None:
    for scene in SCENES.values():
        Tree(tmp_path / "train" if scene is None else tmp_path, scene).write()
    assert len(SceneFlow(tmp_path)) == 4 * 2 * (FRAMES - 1)


def test_the_folder_of_one_split_can_be_the_root(tmp_path: Path) -> None:
    Tree(tmp_path / "train", None).write()
    assert len(SceneFlow(tmp_path / "train")) == 2 * (FRAMES - 1)


def test_linked_folders_are_followed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tree.home, target_is_directory=True)
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root", target_is_directory=True)
    assert len(SceneFlow(tmp_path / "root" / "linked")) == 2 * (FRAMES - 1)
    assert len(SceneFlow(tmp_path / "root")) >= 2 * (FRAMES - 1)


def test_both_cameras_are_found_and_never_mixed(tmp_path: Path) -> None:
    for side in ("left", "right"):
        Tree(tmp_path, "scene", side).write()
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 4 * (FRAMES - 1)
    for files in all_files(dataset):
        assert files.cur.parent == files.prev.parent
        assert files.flow.stem.endswith("_L" if files.cur.parent.name == "left" else "_R")
        assert files.reverse_flow is not None
        assert files.reverse_flow.parent.name == files.cur.parent.name


@pytest.mark.parametrize("name", ["monkaa", "FlyingThings3D_subset"])
def test_passes_are_chosen(tmp_path: Path, name: str) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write()
    once = 2 * (FRAMES - 1)
    assert len(SceneFlow(tmp_path)) == len(SceneFlow(tmp_path, ["clean"])) == once
    with pytest.raises(DataError, match="final"):
        SceneFlow(tmp_path, ["final"])
    tree.write(render="final")
    assert len(SceneFlow(tmp_path)) == 2 * once
    for files in all_files(SceneFlow(tmp_path, ["final"])):
        assert all("final" in str(path) for path in (files.cur, files.prev))


@pytest.mark.parametrize("folder", ["frames_cleanpass", "frames_cleanpass_webp"])
def test_webp_frames(tmp_path: Path, folder: str) -> None:
    tree = Tree(tmp_path, "scene").write()
    for number in range(FRAMES):
        tree.write_frame(number, suffix=".webp")
        tree.frame_path(number).unlink()
    (tmp_path / "frames_cleanpass").rename(tmp_path / folder)
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 2 * (FRAMES - 1)
    assert_true(dataset.read(0))


def test_either_kind_of_flow_file_in_either_layout(tmp_path: Path) -> None:
    for home, scene, suffix in ((tmp_path / "a", "scene", ".flo"), (tmp_path / "b", None, ".pfm")):
        tree = Tree(home, scene)
        for number in (0, 1):
            tree.write_frame(number)
        tree.write_flow(0, "into_future", suffix=suffix)
        tree.write_flow(1, "into_past", suffix=suffix)
        assert len(SceneFlow(home)) == 2
        assert_true(SceneFlow(home).read(1))


def test_one_direction_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "scene").write()
    for number in range(1, FRAMES):
        tree.flow_path(number, "into_past").unlink()
    dataset = SceneFlow(tmp_path)
    assert [names(f)[:2] for f in all_files(dataset)] == [
        ("0000", "0001"), ("0001", "0002"), ("0002", "0003"),
    ]  # fmt: skip
    assert all(f.reverse_flow is None for f in all_files(dataset))
    assert_true(dataset.read(0))


@pytest.mark.parametrize(
    ("train", "test"),
    [(("", "TRAIN/A/0000"), ("", "TEST/A/0000")), (("train", None), ("val", None))],
)
def test_split(tmp_path: Path, train: tuple[str, str | None], test: tuple[str, str | None]) -> None:
    Tree(tmp_path / train[0], train[1]).write(4)
    Tree(tmp_path / test[0], test[1]).write(3)
    assert len(SceneFlow(tmp_path)) == len(SceneFlow(tmp_path, split="train")) == 6
    assert len(SceneFlow(tmp_path, split="test")) == 4
    assert len(SceneFlow(tmp_path, split="all")) == 10
    part = "TEST" if test[1] else "val"
    assert all(part in f.flow.parts for f in all_files(SceneFlow(tmp_path, split="test")))


def test_monkaa_and_driving_have_no_test_split(tmp_path: Path) -> None:
    Tree(tmp_path, SCENES["monkaa"]).write()
    with pytest.raises(DataError, match="split test"):
        SceneFlow(tmp_path, split="test")


def test_wrong_options_are_refused(tree: Tree) -> None:
    for passes, split in ((["cleanpass"], "train"), ([], "train"), (["clean"], "TRAIN")):
        with pytest.raises(ValueError, match="clean, final"):
            SceneFlow(tree.home, passes, split)


def test_the_order_does_not_depend_on_when_files_were_written(tmp_path: Path) -> None:
    for root, scenes in ((tmp_path / "a", "xyz"), (tmp_path / "b", "zyx")):
        for scene in scenes:
            Tree(root, scene).write()
    a, b = (
        [f.flow.relative_to(tmp_path / root) for f in all_files(SceneFlow(tmp_path / root))]
        for root in ("a", "b")
    )
    assert a == b == sorted(a)


def test_only_names_are_kept(tree: Tree) -> None:
    """Files are read when they are drawn: what is gone by then is named and counted."""
    dataset = SceneFlow(tree.home)
    tree.frame_path(0).unlink()
    with pytest.raises(DataError, match="0000"):
        dataset.read(0)
    assert dataset.counts == {"missing frame": 1}


# ---- what is missing: pairs stay aligned ----


@pytest.mark.parametrize("name", ["monkaa", "FlyingThings3D_subset"])
@pytest.mark.parametrize("missing", range(1, 4))
def test_a_missing_flow_shifts_no_other_pair(tmp_path: Path, name: str, missing: int) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write(5)
    tree.flow_path(missing, "into_future").unlink()
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 7
    for i, files in enumerate(all_files(dataset)):
        assert names(files)[0] in names(files)[2]
        assert_true(dataset.read(i))


@pytest.mark.parametrize("name", ["monkaa", "FlyingThings3D_subset"])
def test_a_missing_frame_takes_its_own_pairs_alone(tmp_path: Path, name: str) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write(5)
    tree.frame_path(2).unlink()
    dataset = SceneFlow(tmp_path)
    found = [(int(names(f)[0]), int(names(f)[1])) for f in all_files(dataset)]
    assert found == [(0, 1), (3, 4), (1, 0), (4, 3)]
    assert dataset.counts == {"missing frame": 4}
    for i in range(len(dataset)):
        assert_true(dataset.read(i))


def test_flow_beyond_the_ends_of_a_sequence_is_no_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Tree(tmp_path, "scene").write(ends=True)
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 2 * (FRAMES - 1)
    assert dataset.counts == {"end of sequence": 2}
    assert not caplog.records
    assert "2 end of sequence" in dataset.summary()


def test_a_missing_folder_of_frames_is_counted_for_each_pair(tmp_path: Path) -> None:
    Tree(tmp_path, "a").write()
    Tree(tmp_path, "b").write()
    shutil.rmtree(tmp_path / "frames_cleanpass" / "b")
    assert SceneFlow(tmp_path).counts == {"missing frame": 2 * (FRAMES - 1)}


def test_files_of_other_names_are_left_alone(tree: Tree) -> None:
    folder = tree.flow_path(0, "into_future").parent
    for name in ("readme.txt", "OpticalFlowIntoFuture_L.pfm", "0001.pfm", "._0001.flo"):
        (folder / name).touch()
    tree.frame_path(0).with_name("Thumbs.png").touch()
    dataset = SceneFlow(tree.home)
    assert len(dataset) == 2 * (FRAMES - 1)
    assert not dataset.counts


def test_the_opposite_flow_and_the_masks_are_those_of_the_same_pair(tree: Tree) -> None:
    black = np.zeros((HEIGHT, WIDTH))
    for direction in BOTH:
        for number in (1, 2):
            tree.write_mask("flow_occlusions", number, direction, black)
            tree.write_mask("motion_boundaries", number, direction, black)
    dataset = SceneFlow(tree.home)
    for files in all_files(dataset):
        number, neighbour = int(files.cur.stem), int(files.prev.stem)
        direction, opposite = BOTH if neighbour > number else BOTH[::-1]
        assert files.reverse_flow == tree.flow_path(neighbour, opposite)
        if number in (1, 2):
            occlusion = tree.mask_path("flow_occlusions", number, direction, ".png")
            boundary = tree.mask_path("motion_boundaries", number, direction, ".pgm")
            assert (files.occlusion, files.boundary) == (occlusion, boundary)
        else:
            assert (files.occlusion, files.boundary) == (None, None)


# ---- what is broken: counted, named once, skipped ----


def break_flow(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "empty file":
        path.write_bytes(b"")
    elif how == "truncated file":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "oversized file":
        path.write_bytes(whole + bytes(4))
    elif how == "wrong magic":
        path.write_bytes(b"\x89PNG" + whole[4:])
    elif how == "wrong channels":
        write_pfm(path, np.zeros((HEIGHT, WIDTH, 1), np.float32))
    elif how == "sizes differ":
        write_pfm(path, np.zeros((HEIGHT, WIDTH - 1, 2), np.float32))
    elif how == "no finite flow":
        write_pfm(path, np.full((HEIGHT, WIDTH, 2), np.nan, np.float32))


FLOW_TROUBLES = (
    "empty file", "truncated file", "oversized file", "wrong magic", "wrong channels",
    "sizes differ", "no finite flow",
)  # fmt: skip


def draw_all(dataset: SceneFlow) -> int:
    """Read every pair, twice; how many can be used."""
    usable: set[int] = set()
    for index in [*range(len(dataset))] * 2:
        try:
            pairs = dataset.read(index)
        except DataError:
            continue
        assert_true(pairs)
        usable.add(index)
    return len(usable)


@pytest.mark.parametrize("kind", FLOW_TROUBLES)
def test_a_broken_flow_is_counted_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    # No flow back, so that one broken file is one broken pair.
    tree = Tree(tmp_path, "scene").write(6)
    for number in range(1, 6):
        tree.flow_path(number, "into_past").unlink()
    for number in (1, 3):
        break_flow(tree.flow_path(number, "into_future"), kind)
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 5
    assert draw_all(dataset) == 3
    assert dataset.counts == {kind: 2}
    assert dataset.summary().endswith(f"skipped so far: 2 {kind}.")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "0001" in record.getMessage() and kind in record.getMessage()


@pytest.mark.parametrize("how", ["empty", "text", "truncated", "smaller"])
def test_a_broken_frame_takes_its_pairs_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    tree = Tree(tmp_path, "scene").write(5)
    path = tree.frame_path(2)
    if how == "smaller":
        Image.fromarray(frame(2)[:-1]).save(path)
    else:
        whole = path.read_bytes()
        contents = {"empty": b"", "text": b"no picture", "truncated": whole[: len(whole) // 2]}
        path.write_bytes(contents[how])
    dataset = SceneFlow(tmp_path)
    assert draw_all(dataset) == 4
    kind = "sizes differ" if how == "smaller" else "unreadable picture"
    assert dataset.counts == {kind: 4}
    (record,) = caplog.records
    assert str(path) in record.getMessage()


@pytest.mark.parametrize("kind", ["flow_occlusions", "motion_boundaries"])
@pytest.mark.parametrize("how", ["empty", "smaller"])
def test_a_broken_mask_takes_its_pair(tree: Tree, kind: str, how: str) -> None:
    tree.write_mask(kind, 1, "into_past", np.zeros((HEIGHT, WIDTH - 1)))
    if how == "empty":
        suffix = ".png" if kind == "flow_occlusions" else ".pgm"
        tree.mask_path(kind, 1, "into_past", suffix).write_bytes(b"")
    dataset = SceneFlow(tree.home)
    assert draw_all(dataset) == 5
    assert dataset.counts == {"unreadable mask" if how == "empty" else "sizes differ": 1}


def test_a_broken_flow_back_takes_both_pairs(tree: Tree) -> None:
    break_flow(tree.flow_path(1, "into_past"), "truncated file")
    dataset = SceneFlow(tree.home)
    assert draw_all(dataset) == 4
    assert dataset.counts == {"truncated file": 2}


def test_a_folder_without_data_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="nowhere is no folder"):
        SceneFlow(tmp_path / "nowhere")
    with pytest.raises(DataError, match="file is no folder"):
        SceneFlow(tmp_path / "file")
    with pytest.raises(DataError) as caught:
        SceneFlow(tmp_path / "empty")
    message = str(caught.value)
    assert str(tmp_path / "empty") in message and message.endswith(".") and "\n" not in message
    for wanted in ("optical_flow", "frames_cleanpass", "flow", "image_clean", "split train"):
        assert wanted in message


def test_flow_without_frames_is_said(tmp_path: Path) -> None:
    Tree(tmp_path, "scene").write_flow(0, "into_future")
    with pytest.raises(DataError, match="1 no frames"):
        SceneFlow(tmp_path)
    Tree(tmp_path, "scene").write_frame(1)
    with pytest.raises(DataError, match="1 missing frame"):
        SceneFlow(tmp_path)


def test_when_every_file_is_broken_drawing_ends_with_one_sentence(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "scene").write(2)
    for number, direction in ((0, "into_future"), (1, "into_past")):
        break_flow(tree.flow_path(number, direction), "wrong magic")
    with pytest.raises(DataError) as caught:
        pair_batch(SceneFlow(tmp_path), 1, 16, seed=0, step=0)
    message = str(caught.value)
    assert "2 wrong magic" in message and str(tmp_path) in message
    assert message.count(". ") == 0 and message.endswith(".")


# ---- where a pair can be trusted ----


def moving_square(tree: Tree) -> tuple[Tensor, Tensor]:
    """A square at rows 14-19, columns 14-19 of frame 0 that moves 4 pixels right on a still
    background. The exact masks of frame 0: what the square will cover, and the square's own
    pixels that land there."""
    forward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    backward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    forward[14:20, 14:20, 0] = 4
    backward[14:20, 18:24, 0] = -4
    for number in (0, 1):
        tree.write_frame(number)
    tree.write_flow(0, "into_future", forward)
    tree.write_flow(1, "into_past", backward)
    covered = torch.zeros(1, 1, HEIGHT, WIDTH)
    covered[..., 14:20, 20:24] = 1
    return covered, covered.roll(-4, dims=-1)


def no_boundaries(tree: Tree) -> None:
    for number, direction in ((0, "into_future"), (1, "into_past")):
        tree.write_mask("motion_boundaries", number, direction, np.zeros((HEIGHT, WIDTH)))


def first_pair(tree: Tree) -> Pairs:
    return SceneFlow(tree.home).read(0)


@pytest.fixture
def square(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "square", "scene")


def test_occlusion_from_the_flow_both_ways(square: Tree) -> None:
    covered, _ = moving_square(square)
    no_boundaries(square)
    assert torch.equal(first_pair(square).visible, 1 - covered)


def test_occlusion_from_its_file_before_all_else(square: Tree) -> None:
    moving_square(square)
    no_boundaries(square)
    mask = np.zeros((HEIGHT, WIDTH))
    mask[2, 3], mask[40, 50] = 1, 255
    square.write_mask("flow_occlusions", 0, "into_future", mask)
    visible = first_pair(square).visible
    assert torch.equal(visible, torch.from_numpy(mask == 0)[None, None].float())


def test_black_and_white_masks_of_one_bit(square: Tree) -> None:
    moving_square(square)
    no_boundaries(square)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5, 6] = True
    path = made(square.mask_path("flow_occlusions", 0, "into_future", ".png"))
    Image.fromarray(mask).save(path)
    visible = first_pair(square).visible
    assert torch.equal(visible, torch.from_numpy(~mask)[None, None].float())


def test_occlusion_from_one_flow_masks_all_that_land_together(square: Tree) -> None:
    covered, covering = moving_square(square)
    no_boundaries(square)
    square.flow_path(1, "into_past").unlink()
    assert torch.equal(first_pair(square).visible, 1 - covered - covering)


def test_motion_boundaries_from_the_flow_or_from_their_file(square: Tree) -> None:
    moving_square(square)
    edges = 1 - first_pair(square).visible
    assert edges[..., 13, 14:20].eq(1).all()  # above the square
    assert edges[..., 14:20, 13].eq(1).all()  # left of it
    assert edges[..., :12, :].eq(0).all()
    mask = np.zeros((HEIGHT, WIDTH))
    mask[30, 31] = 1
    square.write_mask("motion_boundaries", 0, "into_future", mask)
    visible = first_pair(square).visible
    assert visible[0, 0, 30, 31] == 0
    assert visible[..., 13, 14:20].eq(1).all()


def test_the_flow_back_is_its_own_and_never_minus_the_flow(tree: Tree) -> None:
    """Where the neighbour's flow disagrees, the pixel is not visible."""
    backward = true_flow("into_past")
    backward[20:30, 20:40] += 3
    tree.write_flow(1, "into_past", backward)
    visible = first_pair(tree).visible[0, 0]
    dx, dy = STEP
    assert visible[20 - dy : 30 - dy, 20 - dx : 40 - dx].eq(0).all()
    assert visible.sum() == (HEIGHT - abs(dy)) * (WIDTH - abs(dx)) - 10 * 20


def test_pixels_that_leave_the_picture_are_not_visible(tree: Tree) -> None:
    visible = first_pair(tree).visible
    points = pixel_grid(HEIGHT, WIDTH) + torch.tensor(STEP).view(1, 2, 1, 1)
    assert torch.equal(visible, inside(points, HEIGHT, WIDTH))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.7e9, -2e4])
@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("with_reverse", [True, False])
def test_absurd_flow_is_not_visible_and_goes_no_further(
    tree: Tree, value: float, channel: int, with_reverse: bool
) -> None:
    flow = true_flow("into_future")
    flow[25:30, 20:30, channel] = value
    tree.write_flow(0, "into_future", flow)
    if not with_reverse:
        tree.flow_path(1, "into_past").unlink()
    pairs = first_pair(tree)
    assert torch.isfinite(pairs.flow_cur_to_prev).all()
    assert pairs.flow_cur_to_prev[..., 25:30, 20:30].eq(0).all()
    assert pairs.visible[..., 25:30, 20:30].eq(0).all()
    assert pairs.visible.mean() > 0.7
    assert_true(pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.7e9])
def test_absurd_flow_back_agrees_with_nothing_not_even_with_rest(tree: Tree, value: float) -> None:
    tree.write_flow(0, "into_future", np.zeros((HEIGHT, WIDTH, 2), np.float32))
    backward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    backward[20:30, 20:40] = value
    tree.write_flow(1, "into_past", backward)
    visible = first_pair(tree).visible
    assert visible[..., 20:30, 20:40].eq(0).all()
    # A warp mixes in a trace of the next pixel.
    assert visible.eq(0).sum() <= 12 * 22


def constant(dx: float, dy: float) -> Tensor:
    return torch.tensor((dx, dy)).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).clone()


@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.0, -2.0), (0.5, 0.25), (-7.3, 100.0)])
def test_nothing_collides_in_a_shift(motion: tuple[float, float]) -> None:
    flow = constant(*motion)
    landed = inside(pixel_grid(HEIGHT, WIDTH) + flow, HEIGHT, WIDTH)
    assert (collision_mask(flow) * landed).eq(0).all()


def test_nothing_collides_when_a_surface_shrinks_or_grows_a_little() -> None:
    centre = torch.tensor(((WIDTH - 1) / 2, (HEIGHT - 1) / 2)).view(1, 2, 1, 1)
    for zoom in (-0.05, 0.2):
        flow = (pixel_grid(HEIGHT, WIDTH) - centre) * zoom
        assert collision_mask(flow)[..., 4:-4, 4:-4].eq(0).all()


def test_a_collision_half_way_between_pixels_is_found() -> None:
    flow = constant(0, 0)
    flow[:, 0, 10:20, 10:20] = 4.5
    mask = collision_mask(flow)
    assert mask[..., 10:20, 20:24].eq(1).all()
    assert mask[..., 10:20, 16:20].eq(1).all()
    assert mask[..., :9, :].eq(0).all() and mask[..., 10:20, 10:14].eq(0).all()


def test_collisions_of_a_batch_are_each_pictures_own() -> None:
    moving = constant(0, 0)
    moving[:, 0, 10:20, 10:20] = 4
    both = collision_mask(torch.cat((constant(0, 0), moving)))
    assert both[0].eq(0).all()
    assert torch.equal(both[1:], collision_mask(moving))


# ---- crops ----


def test_a_window_is_that_part_of_the_whole_pair(tree: Tree) -> None:
    files = SceneFlow(tree.home)[0]
    whole, window = read_pair(files), Window(top=10, left=20, height=24, width=30)
    part = read_pair(files, window)
    rows, columns = slice(10, 34), slice(20, 50)
    assert torch.equal(part.prev, whole.prev[..., rows, columns])
    assert torch.equal(part.cur, whole.cur[..., rows, columns])
    assert torch.equal(part.flow_cur_to_prev, whole.flow_cur_to_prev[..., rows, columns])
    points = pixel_grid(24, 30) + part.flow_cur_to_prev
    assert torch.equal(part.visible, whole.visible[..., rows, columns] * inside(points, 24, 30))


@pytest.mark.parametrize("known", ["file", "both ways", "one flow"])
def test_a_window_finds_the_occlusion_that_the_whole_pair_has(square: Tree, known: str) -> None:
    """The last column of the window is reached from outside it in `one flow`."""
    covered, _ = moving_square(square)
    no_boundaries(square)
    if known == "file":
        square.write_mask("flow_occlusions", 0, "into_future", 255 * covered[0, 0].numpy())
    if known != "both ways":
        square.flow_path(1, "into_past").unlink()
    files = SceneFlow(square.home)[0]
    whole, part = read_pair(files), read_pair(files, Window(8, 20, 20, 20))
    assert torch.equal(part.visible, whole.visible[..., 8:28, 20:40])
    assert part.visible.eq(0).sum() == 24


def test_windows_are_squares_of_1_to_2_25_times_the_size_within_the_frame() -> None:
    for scale, side in ((0.0, 16), (0.5, 26), (0.999999, 36)):
        for down in (0.0, 0.5, 0.999999):
            top, left, height, width = crop_window(HEIGHT, WIDTH, 16, scale, down, 0.999999 - down)
            assert height == width == side
            assert 0 <= top <= HEIGHT - side and 0 <= left <= WIDTH - side
    assert crop_window(HEIGHT, WIDTH, 16, 0, 0.999999, 0.999999)[:2] == (32, 48)
    assert crop_window(HEIGHT, WIDTH, 40, 0.999999, 0, 0)[2:] == (48, 48)
    assert crop_window(HEIGHT, WIDTH, 100, 0.5, 0.5, 0.999999) == (0, 16, 48, 48)


def test_resizing_scales_dx_by_the_width_and_dy_by_the_height(dataset: SceneFlow) -> None:
    small = resize_pairs(dataset.read(0), 24)
    assert small.prev.shape == small.cur.shape == (1, 3, 24, 24)
    dx, dy = small.flow_cur_to_prev.split(1, dim=1)
    assert torch.allclose(dx, torch.tensor(STEP[0] * 24 / WIDTH))
    assert torch.allclose(dy, torch.tensor(STEP[1] * 24 / HEIGHT))
    assert_true(small)


def test_resizing_to_the_same_size_changes_nothing(dataset: SceneFlow) -> None:
    pairs = dataset.read(0, lambda height, width: Window(0, 0, 32, 32))
    same = resize_pairs(pairs, 32)
    for name in ("prev", "cur", "flow_cur_to_prev", "visible"):
        assert torch.equal(getattr(same, name), getattr(pairs, name))


@pytest.mark.parametrize("size", [12, 16, 20, 27, 40])
def test_a_resized_pixel_is_visible_only_if_all_that_it_is_made_of_are(size: int) -> None:
    """The flow is 0 but in one hidden pixel: nothing visible has any of that."""
    for hole in (0, 5, 13, 31):
        visible = torch.ones(1, 1, 32, 32)
        visible[..., hole, hole] = 0
        flow = torch.zeros(1, 2, 32, 32)
        flow[..., hole, hole] = -0.5 if hole > 0 else 0.5
        image = torch.zeros(1, 3, 32, 32)
        small = resize_pairs(Pairs(image, image, flow, visible), size)
        assert small.flow_cur_to_prev[small.visible.expand(1, 2, -1, -1) == 1].eq(0).all()
        # Its own place is hidden, and not much beside it.
        at = int((hole + 0.5) * size / 32)
        assert small.visible[0, 0, at, at] == 0
        assert small.visible.eq(0).sum() <= (2 * max(1, size / 32) + 2) ** 2


def test_a_partner_outside_the_crop_is_not_visible_after_resizing(dataset: SceneFlow) -> None:
    window = Window(4, 8, 30, 30)
    small = resize_pairs(dataset.read(0, lambda height, width: window), 20)
    _, within = warp(small.prev, small.flow_cur_to_prev)
    assert (small.visible * (1 - within)).eq(0).all()
    # 5 of 30 columns and 3 of 30 rows leave it; one more pixel each is lost to the resizing.
    assert small.visible.mean() > (1 - 6 / 30) * (1 - 4 / 30) - 0.1


def test_a_partner_in_the_outer_half_of_the_last_column_is_not_visible_after_resizing() -> None:
    """The last column's centre, 31, is 15.25 at half the size: beyond the last centre, 15."""
    image, visible = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    for column, share in ((31.0, 0.0), (30.0, 1.0)):
        flow = torch.zeros(1, 2, 32, 32)
        flow[:, 0] = column - torch.arange(32)
        assert resize_pairs(Pairs(image, image, flow, visible), 16).visible.mean() == share


def test_a_mirror_turns_dx_round_and_keeps_dy(dataset: SceneFlow) -> None:
    pairs = dataset.read(0)
    mirrored = mirror_pairs(pairs)
    assert torch.equal(mirrored.cur, pairs.cur.flip(-1))
    assert torch.equal(mirrored.prev, pairs.prev.flip(-1))
    assert torch.equal(mirrored.visible, pairs.visible.flip(-1))
    assert mirrored.flow_cur_to_prev[0, :, 3, 4].tolist() == [-STEP[0], STEP[1]]
    assert_true(mirrored)
    again = mirror_pairs(mirrored)
    assert torch.equal(again.flow_cur_to_prev, pairs.flow_cur_to_prev)


@pytest.mark.parametrize("scale", [0.0, 0.3, 0.7, 0.999])
def test_every_augmentation_keeps_the_flow_true(dataset: SceneFlow, scale: float) -> None:
    for index in range(len(dataset)):
        window = crop_window(HEIGHT, WIDTH, 20, scale, 0.5, 0.5)
        crop = resize_pairs(dataset.read(index, lambda h, w, window=window: window), 20)
        assert_true(crop)
        assert_true(mirror_pairs(crop))


def test_frames_smaller_than_the_crop_are_enlarged(dataset: SceneFlow) -> None:
    pairs = pair_batch(dataset, 2, 96, seed=0, step=0)
    assert pairs.cur.shape == (2, 3, 96, 96)
    assert_true(pairs)


# ---- batches ----


def assert_equal(a: Pairs, b: Pairs) -> None:
    for name in ("prev", "cur", "flow_cur_to_prev", "visible"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_batch_has_the_shapes_and_ranges_of_pairs(dataset: SceneFlow) -> None:
    pairs = pair_batch(dataset, 3, 24, seed=0, step=0)
    assert pairs.prev.shape == pairs.cur.shape == (3, 3, 24, 24)
    assert pairs.flow_cur_to_prev.shape == (3, 2, 24, 24)
    assert pairs.visible.shape == (3, 1, 24, 24)
    for part in vars(pairs).values():
        assert part.dtype == torch.float32
    for image in (pairs.prev, pairs.cur):
        assert image.min() >= 0 and image.max() <= 1
    assert set(pairs.visible.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("step", range(4))
def test_every_pair_of_a_batch_is_true(dataset: SceneFlow, step: int) -> None:
    pairs = pair_batch(dataset, 4, 24, seed=0, step=step)
    for i in range(4):
        assert_true(Pairs(**{name: part[i : i + 1] for name, part in vars(pairs).items()}))


def test_colors_stay_in_their_channels(dataset: SceneFlow) -> None:
    pairs = pair_batch(dataset, 4, 24, seed=0, step=0)
    for image in (pairs.prev, pairs.cur):
        red, green, blue = image.mean((0, 2, 3)).tolist()
        assert red < green - 0.15 and green < blue - 0.15


def test_batch_is_a_function_of_seed_and_step(dataset: SceneFlow) -> None:
    batch = pair_batch(dataset, 3, 16, seed=5, step=7)
    assert_equal(batch, pair_batch(dataset, 3, 16, seed=5, step=7))
    for seed, step in ((5, 8), (6, 7)):
        assert not torch.equal(batch.cur, pair_batch(dataset, 3, 16, seed, step).cur)


def test_batch_neither_follows_nor_changes_global_chance(dataset: SceneFlow) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    state = torch.get_rng_state()
    batch = pair_batch(dataset, 2, 16, seed=0, step=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    np.random.seed(2)
    assert_equal(batch, pair_batch(dataset, 2, 16, seed=0, step=0))


def test_processes_can_share_a_batch(dataset: SceneFlow) -> None:
    whole = pair_batch(dataset, 4, 16, seed=0, step=0)
    shares = [pair_batch(dataset, 2, 16, seed=0, step=0, first=first) for first in (0, 2)]
    assert torch.equal(whole.cur, torch.cat([share.cur for share in shares]))
    assert torch.equal(whole.visible, torch.cat([share.visible for share in shares]))


def test_batches_draw_every_pair_and_both_mirrors(dataset: SceneFlow) -> None:
    seen: Counter[tuple[bool, bool]] = Counter()
    for step in range(8):
        dx, dy = pair_batch(dataset, 4, 16, seed=0, step=step).flow_cur_to_prev[..., 0, 0].T
        seen.update(zip((dx > 0).tolist(), (dy > 0).tolist(), strict=True))
    # Two directions of time, each mirrored or not.
    assert len(seen) == 4


def test_what_replaces_a_broken_pair_depends_on_the_files_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "scene").write(6)
    for number in (1, 2, 4):
        break_flow(tree.flow_path(number, "into_future"), "truncated file")
    fresh, used = SceneFlow(tmp_path), SceneFlow(tmp_path)
    for step in range(6):
        pair_batch(used, 2, 16, seed=9, step=step)
    assert used.counts["truncated file"] > 0
    for step in (3, 0, 5):
        batch = pair_batch(fresh, 3, 16, seed=0, step=step)
        assert_equal(batch, pair_batch(used, 3, 16, seed=0, step=step))
        assert_true(batch)
    assert fresh.counts["truncated file"] > 0


def test_a_crop_that_is_mostly_invisible_is_drawn_anew(tree: Tree) -> None:
    """Only a corner is visible: single draws mostly miss it, batches mostly do not."""
    mask = np.full((HEIGHT, WIDTH), 255)
    mask[:24, :32] = 0
    for number in range(FRAMES):
        for direction in BOTH:
            tree.write_mask("flow_occlusions", number, direction, mask)
    dataset = SceneFlow(tree.home)
    shares = pair_batch(dataset, 40, 12, seed=0, step=0).visible.mean((1, 2, 3))
    assert (shares >= 0.1).float().mean() > 0.85


def test_when_nothing_is_visible_a_batch_still_comes(tree: Tree) -> None:
    for number in range(FRAMES):
        for direction in BOTH:
            tree.write_mask("flow_occlusions", number, direction, np.full((HEIGHT, WIDTH), 255))
    pairs = pair_batch(SceneFlow(tree.home), 2, 16, seed=0, step=0)
    assert pairs.visible.eq(0).all()
    assert pairs.cur.shape == (2, 3, 16, 16)


def test_counting_from_several_threads_counts_each_pair_once(tree: Tree) -> None:
    for number in range(FRAMES - 1):
        break_flow(tree.flow_path(number, "into_future"), "wrong magic")
    dataset = SceneFlow(tree.home)
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: draw_broken(dataset), range(8)):
            pass
    assert dataset.counts == {"wrong magic": 2 * (FRAMES - 1)}


def draw_broken(dataset: SceneFlow) -> None:
    for index in range(len(dataset)):
        with pytest.raises(DataError):
            dataset.read(index)
