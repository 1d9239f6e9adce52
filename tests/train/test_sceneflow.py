"""Known answers for SceneFlow's layouts: tiny trees made by code, in which everything is known.

A colored texture moves `STEP` pixels a frame, so that flow is the same everywhere and exact.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylevid.errors import DataError
from stylevid.learn.sequences import LEARNED
from stylevid.warp import inside, pixel_grid
from tests.train.flow_truth import assert_equal, assert_true, write_flow
from train.data.pair_files import (
    PairFiles,
    Pairs,
    collision_mask,
    crop_window,
    mirror_pairs,
    read_pair,
    resize_pairs,
)
from train.data.sceneflow import SceneFlow

HEIGHT, WIDTH = 48, 64
STEP = (5, -3)  # (dx, dy) in pixels a frame
FRAMES = 4
ONCE = 2 * (FRAMES - 1)  # pairs of one camera in one pass
BOTH = ("into_future", "into_past")
MASKS = ("flow_occlusions", "motion_boundaries")

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

    def path(
        self, kind: str, number: int, suffix: str, direction: str = "", stem: str = "{}"
    ) -> Path:
        parts = (self.side, direction) if self.scene is None else (self.scene, direction, self.side)
        name = stem.format(f"{number:07d}" if self.scene is None else f"{number:04d}")
        return self.home.joinpath(kind, *parts) / (name + suffix)

    def frame_path(self, number: int, render: str = "clean", suffix: str = ".png") -> Path:
        kind = f"image_{render}" if self.scene is None else f"frames_{render}pass"
        return self.path(kind, number, suffix)

    def mask_path(self, kind: str, number: int, direction: str = "into_future") -> Path:
        suffix = ".pgm" if kind == "motion_boundaries" else ".png"
        return self.path(kind, number, suffix, direction)

    def flow_path(self, number: int, direction: str, suffix: str = "") -> Path:
        if self.scene is None:
            return self.path("flow", number, suffix or ".flo", direction)
        to = "Future" if direction == "into_future" else "Past"
        stem = f"OpticalFlowInto{to}_{{}}_{self.side[0].upper()}"
        return self.path("optical_flow", number, suffix or ".pfm", direction, stem)

    def write_frame(self, number: int, render: str = "clean", suffix: str = ".png") -> None:
        path = made(self.frame_path(number, render, suffix))
        Image.fromarray(frame(number)).save(path, lossless=True)

    def write_flow(
        self, number: int, direction: str, flow: np.ndarray | None = None, suffix: str = ""
    ) -> None:
        flow = true_flow(direction) if flow is None else flow
        write_flow(made(self.flow_path(number, direction, suffix)), flow)

    def write_mask(
        self, kind: str, number: int, direction: str, mask: Tensor | None = None
    ) -> None:
        mask = torch.zeros(HEIGHT, WIDTH) if mask is None else mask[0, 0]
        path = made(self.mask_path(kind, number, direction))
        Image.fromarray(mask.byte().numpy()).save(path)

    def write_blank_masks(self, numbers: Iterable[int]) -> None:
        for number, direction, kind in product(numbers, BOTH, MASKS):
            self.write_mask(kind, number, direction)

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


def numbers(files: PairFiles) -> tuple[int, int]:
    return int(files.cur.stem), int(files.prev.stem)


def forward_only(root: Path, frames: int = FRAMES) -> SceneFlow:
    tree = Tree(root, "scene").write(frames)
    for number in range(1, frames):
        tree.flow_path(number, "into_past").unlink()
    return SceneFlow(root)


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
    for root in (tmp_path, tmp_path / name, tree.home):
        dataset = SceneFlow(root)
        assert len(dataset) == ONCE and not dataset.counts
        for files in dataset:
            direction = next(d for d in BOTH if d in files.flow.parts)
            cur, prev = numbers(files)
            assert prev - cur == (1 if direction == "into_future" else -1)
            assert files.flow == tree.flow_path(cur, direction)
            assert files.reverse_flow == tree.flow_path(prev, BOTH[direction == BOTH[0]])
            pairs = read_pair(files)
            flow = torch.from_numpy(true_flow(direction)).permute(2, 0, 1)[None]
            assert_equal(pairs, Pairs(image(prev), image(cur), flow, pairs.visible))
            assert_true(pairs, 0.01)


def test_several_datasets_are_found_side_by_side_or_in_one_folder(tmp_path: Path) -> None:
    for name, scene in SCENES.items():
        Tree(train_home(tmp_path / "a" / "SceneFlow", name), scene).write()
        Tree(tmp_path / "b" / "train" if scene is None else tmp_path / "b", scene).write()
    apart = SceneFlow(tmp_path / "a")
    found = Counter(name for f in apart for name in SCENES if name in f.flow.parts)
    assert found == dict.fromkeys(SCENES, ONCE)
    assert len(apart) == len(SceneFlow(tmp_path / "b")) == 4 * ONCE


@pytest.mark.parametrize("test", [("", "TEST/A/0000"), ("val", None)])
def test_what_is_for_tests_is_left_out(tmp_path: Path, test: tuple[str, str | None]) -> None:
    Tree(tmp_path / test[0], test[1]).write(3)
    with pytest.raises(DataError, match="to train on"):
        SceneFlow(tmp_path)
    Tree(tmp_path, "TRAIN/A/0000").write()
    assert len(SceneFlow(tmp_path)) == ONCE


def test_linked_folders_are_followed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tree.home, target_is_directory=True)
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root", target_is_directory=True)
    assert len(SceneFlow(tmp_path / "root" / "linked")) == ONCE
    assert len(SceneFlow(tmp_path / "root")) >= ONCE


def test_both_cameras_are_found_and_never_mixed(tmp_path: Path) -> None:
    for side in ("left", "right"):
        Tree(tmp_path, "scene", side).write()
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == 2 * ONCE
    for files in dataset:
        assert files.flow.stem.endswith("_L" if files.cur.parent.name == "left" else "_R")
        assert files.cur.parent == files.prev.parent and files.reverse_flow is not None
        assert files.reverse_flow.parent.name == files.cur.parent.name


@pytest.mark.parametrize("name", ["monkaa", "FlyingThings3D_subset"])
def test_passes_are_chosen(tmp_path: Path, name: str) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write()
    assert len(SceneFlow(tmp_path)) == len(SceneFlow(tmp_path, ["clean"])) == ONCE
    with pytest.raises(DataError, match="final"):
        SceneFlow(tmp_path, ["final"])
    tree.write(render="final")
    assert len(SceneFlow(tmp_path)) == 2 * ONCE
    for files in SceneFlow(tmp_path, ["final"]):
        assert all("final" in str(path) for path in (files.cur, files.prev))


@pytest.mark.parametrize(
    ("scene", "flow", "frames", "folder"),
    [
        ("scene", ".flo", ".webp", "frames_cleanpass"),
        ("scene", ".pfm", ".webp", "frames_cleanpass_webp"),
        (None, ".pfm", ".png", "image_clean"),
    ],
)
def test_either_kind_of_file_in_either_layout(
    tmp_path: Path, scene: str | None, flow: str, frames: str, folder: str
) -> None:
    tree = Tree(tmp_path, scene)
    for number, direction in enumerate(BOTH):
        tree.write_frame(number, suffix=frames)
        tree.write_flow(number, direction, suffix=flow)
    home = "image_clean" if scene is None else "frames_cleanpass"
    (tmp_path / home).rename(tmp_path / folder)
    assert len(SceneFlow(tmp_path)) == 2
    assert_true(SceneFlow(tmp_path).read(1))


# ---- what is missing: pairs stay aligned ----


@pytest.mark.parametrize("name", ["monkaa", "FlyingThings3D_subset"])
@pytest.mark.parametrize("missing", ["flow", "frame"])
def test_what_is_missing_takes_its_own_pairs_and_shifts_no_other(
    tmp_path: Path, name: str, missing: str
) -> None:
    tree = Tree(train_home(tmp_path, name), SCENES[name]).write(5)
    (tree.flow_path(2, "into_future") if missing == "flow" else tree.frame_path(2)).unlink()
    dataset = SceneFlow(tmp_path)
    found = [numbers(files) for files in dataset]
    if missing == "flow":
        assert found == [(0, 1), (1, 2), (3, 4), (1, 0), (2, 1), (3, 2), (4, 3)]
    else:
        assert found == [(0, 1), (3, 4), (1, 0), (4, 3)]
    assert dataset.counts == ({} if missing == "flow" else {"missing frame": 4})
    for i, files in enumerate(dataset):
        assert files.cur.stem in files.flow.stem
        assert_true(dataset.read(i))
    tree.frame_path(0).unlink()  # gone when it is drawn
    with pytest.raises(DataError, match="0000"):
        dataset.read(0)
    assert dataset.counts["missing frame"] == (1 if missing == "flow" else 5)


def test_ends_of_a_sequence_are_no_trouble_and_a_missing_folder_of_frames_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Tree(tmp_path, "a").write(ends=True)
    dataset = SceneFlow(tmp_path)
    assert len(dataset) == ONCE and dataset.counts == {"end of sequence": 2}
    assert not caplog.records and "2 end of sequence" in dataset.summary()
    Tree(tmp_path, "b").write()
    shutil.rmtree(tmp_path / "frames_cleanpass" / "b")
    counts = {"end of sequence": 2, "missing frame": ONCE}
    assert SceneFlow(tmp_path).counts == counts and len(caplog.records) == 1


def test_files_of_other_names_are_left_alone(tree: Tree) -> None:
    folder = tree.flow_path(0, "into_future").parent
    for name in ("readme.txt", "OpticalFlowIntoFuture_L.pfm", "0001.pfm", "._0001.flo"):
        (folder / name).touch()
    tree.frame_path(0).with_name("Thumbs.png").touch()
    dataset = SceneFlow(tree.home)
    assert len(dataset) == ONCE and not dataset.counts


def test_the_masks_are_those_of_the_same_pair(tree: Tree) -> None:
    tree.write_blank_masks((1, 2))
    for files in SceneFlow(tree.home):
        number, prev = numbers(files)
        paths = [tree.mask_path(kind, number, BOTH[prev < number]) for kind in MASKS]
        wanted = paths if number in (1, 2) else [None, None]
        assert [files.occlusion, files.boundary] == wanted


# ---- what is broken: counted, named once, skipped ----


def break_file(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "smaller" and path.suffix == ".pfm":
        write_flow(path, np.zeros((HEIGHT, WIDTH - 1, 2), np.float32))
    elif how == "smaller":
        with Image.open(path) as picture:
            picture.crop((0, 0, WIDTH, HEIGHT - 1)).save(path)
    elif how == "unknown":
        write_flow(path, np.full((HEIGHT, WIDTH, 2), np.nan, np.float32))
    else:
        contents = {"empty": b"", "text": b"no picture", "truncated": whole[: len(whole) // 2]}
        path.write_bytes(contents[how])


def draw_all(dataset: SceneFlow) -> int:
    """Read every pair, twice; how many can be used."""
    usable: set[int] = set()
    for index in [*range(len(dataset))] * 2:
        try:
            assert_true(dataset.read(index))
        except DataError:
            continue
        usable.add(index)
    return len(usable)


@pytest.mark.parametrize(
    ("name", "how", "kind", "pairs"),
    [
        ("flow", "empty", "empty file", 1), ("flow", "truncated", "damaged file", 1),
        ("flow", "smaller", "sizes differ", 1), ("flow", "unknown", "no finite flow", 1),
        ("flow back", "text", "damaged file", 2), ("flow back", "smaller", "sizes differ", 2),
        ("frame", "truncated", "unreadable picture", 4), ("frame", "smaller", "sizes differ", 4),
        ("occlusion", "empty", "unreadable picture", 1), ("boundary", "smaller", "sizes differ", 1),
    ],
)  # fmt: skip
def test_a_broken_file_takes_its_pairs_and_no_other_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str, kind: str, pairs: int
) -> None:
    tree = Tree(tmp_path, "scene").write(5)
    tree.write_blank_masks(range(5) if name == "flow" else [1])  # with all no flow back is read
    path = {
        "flow": tree.flow_path(1, "into_past"),
        "flow back": tree.flow_path(1, "into_past"),
        "frame": tree.frame_path(2),
        "occlusion": tree.mask_path("flow_occlusions", 1, "into_past"),
        "boundary": tree.mask_path("motion_boundaries", 1, "into_past"),
    }[name]
    dataset = SceneFlow(tmp_path)
    break_file(path, how)
    assert draw_all(dataset) == 8 - pairs
    assert dataset.counts == {kind: pairs}
    assert dataset.summary().endswith(f"skipped so far: {pairs} {kind}.")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(path) in record.getMessage() and kind in record.getMessage()


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(DataError, match=f"{name} is no folder"):
            SceneFlow(tmp_path / name)
    with pytest.raises(DataError) as caught:
        SceneFlow(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path)) and message.endswith(".") and "\n" not in message
    for wanted in ("optical_flow", "frames_cleanpass", "flow", "image_clean", "to train on"):
        assert wanted in message
    tree = Tree(tmp_path, "scene")
    tree.write_flow(0, "into_future")
    with pytest.raises(DataError, match="1 no frames"):
        SceneFlow(tmp_path)
    tree.write_frame(1)
    with pytest.raises(DataError, match="1 missing frame"):
        SceneFlow(tmp_path)


# ---- where a pair can be trusted ----


def moving_square(tree: Tree) -> tuple[Tensor, Tensor]:
    """A square at rows 14-19, columns 14-19 of frame 0 that moves 4 pixels right on a still
    background, without boundaries. The exact masks of frame 0: what the square will cover, and the
    square's own pixels that land there."""
    forward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    backward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    forward[14:20, 14:20, 0] = 4
    backward[14:20, 18:24, 0] = -4
    for number, direction in enumerate(BOTH):
        tree.write_frame(number)
        tree.write_mask("motion_boundaries", number, direction)
    tree.write_flow(0, "into_future", forward)
    tree.write_flow(1, "into_past", backward)
    covered = filled(range(14, 20), range(20, 24))
    return covered, covered.roll(-4, dims=-1)


def filled(rows: Iterable[int], columns: Iterable[int]) -> Tensor:
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[0, 0, torch.tensor([*rows])[:, None], torch.tensor([*columns])] = 1
    return mask


def first_pair(tree: Tree) -> Pairs:
    return SceneFlow(tree.home).read(0)


@pytest.fixture
def square(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "square", "scene")


@pytest.mark.parametrize("known", ["both ways", "one flow", "file", "file of one bit"])
def test_occlusion_from_its_file_or_from_the_flow(square: Tree, known: str) -> None:
    """One flow alone masks all that land together; a file goes before all else."""
    hidden, covering = moving_square(square)
    if known == "one flow":
        square.flow_path(1, "into_past").unlink()
        hidden = hidden + covering
    elif known != "both ways":
        hidden = filled([2], [3]) + filled([40], [50])
        square.write_mask("flow_occlusions", 0, "into_future", hidden)
        path = square.mask_path("flow_occlusions", 0)
        if known == "file of one bit":
            Image.fromarray(hidden[0, 0].numpy() > 0).save(path)
    assert torch.equal(first_pair(square).visible, 1 - hidden)
    window = (slice(8, 28), slice(20, 40))  # its last column is reached from outside it
    part = read_pair(SceneFlow(square.home)[0], lambda *_: window)
    assert torch.equal(part.visible, 1 - hidden[..., *window])


def test_motion_boundaries_from_the_flow_or_from_their_file(square: Tree) -> None:
    moving_square(square)
    path = square.mask_path("motion_boundaries", 0)
    path.unlink()
    edges = 1 - first_pair(square).visible
    assert edges[..., 13, 14:20].eq(1).all()  # above the square
    assert edges[..., 14:20, 13].eq(1).all()  # left of it
    assert edges[..., :12, :].eq(0).all()
    square.write_mask("motion_boundaries", 0, "into_future", filled([30], [31]))
    visible = first_pair(square).visible
    assert visible[0, 0, 30, 31] == 0 and visible[..., 13, 14:20].eq(1).all()


def test_the_flow_back_is_its_own_and_never_minus_the_flow(tree: Tree) -> None:
    """Where the neighbour's flow disagrees, and where a pixel leaves the picture, it is hidden."""
    points = pixel_grid(HEIGHT, WIDTH) + torch.tensor(STEP).view(1, 2, 1, 1)
    within = inside(points, HEIGHT, WIDTH)
    assert torch.equal(first_pair(tree).visible, within)
    backward = true_flow("into_past")
    backward[20:30, 20:40] += 3
    tree.write_flow(1, "into_past", backward)
    dx, dy = STEP
    wrong = filled(range(20 - dy, 30 - dy), range(20 - dx, 40 - dx))
    assert torch.equal(first_pair(tree).visible, within * (1 - wrong))


@pytest.mark.parametrize(("value", "channel"), [(np.nan, 0), (-np.inf, 1), (1.7e9, 1), (-2e4, 0)])
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
    assert pairs.flow_cur_to_prev[..., 25:30, 20:30].eq(0).all()
    assert pairs.visible[..., 25:30, 20:30].eq(0).all() and pairs.visible.mean() > 0.7
    assert_true(pairs)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.7e9])
def test_absurd_flow_back_agrees_with_nothing_not_even_with_rest(tree: Tree, value: float) -> None:
    tree.write_flow(0, "into_future", np.zeros((HEIGHT, WIDTH, 2), np.float32))
    backward = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    backward[20:30, 20:40] = value
    tree.write_flow(1, "into_past", backward)
    visible = first_pair(tree).visible
    assert visible[..., 20:30, 20:40].eq(0).all()
    assert visible.eq(0).sum() <= 12 * 22  # a warp mixes in a trace of the next pixel


def constant(dx: float, dy: float) -> Tensor:
    return torch.tensor((dx, dy)).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).clone()


@pytest.mark.parametrize(
    ("motion", "zoom"),
    [((0, 0), 0), ((3, -2), 0), ((-7.3, 100), 0), ((0, 0), -0.05), ((0, 0), 0.2)],
)
def test_nothing_collides_in_a_shift_or_a_slow_zoom(
    motion: tuple[float, float], zoom: float
) -> None:
    centre = torch.tensor(((WIDTH - 1) / 2, (HEIGHT - 1) / 2)).view(1, 2, 1, 1)
    flow = constant(*motion) + (pixel_grid(HEIGHT, WIDTH) - centre) * zoom
    landed = inside(pixel_grid(HEIGHT, WIDTH) + flow, HEIGHT, WIDTH)
    assert (collision_mask(flow) * landed)[..., 4:-4, 4:-4].eq(0).all()


def test_a_collision_half_way_between_pixels_is_found_in_its_own_picture() -> None:
    flow = constant(0, 0)
    flow[:, 0, 10:20, 10:20] = 4.5
    still, mask = collision_mask(torch.cat((constant(0, 0), flow)))
    assert still.eq(0).all()
    assert mask[..., 10:20, 16:24].eq(1).all()
    assert mask[..., :9, :].eq(0).all() and mask[..., 10:20, 10:14].eq(0).all()


# ---- crops ----


def test_a_window_is_that_part_of_the_whole_pair(dataset: SceneFlow) -> None:
    window, sizes = (slice(10, 34), slice(20, 50)), []
    part = dataset.read(0, lambda *size: sizes.append(size) or window)
    assert sizes == [(HEIGHT, WIDTH)]
    prev, cur, flow, visible = (x[..., *window] for x in vars(dataset.read(0)).values())
    within = inside(pixel_grid(24, 30) + flow, 24, 30)
    assert_equal(part, Pairs(prev, cur, flow, visible * within))


def test_windows_are_squares_of_1_to_2_25_times_the_size_within_the_frame() -> None:
    last = 0.999999
    for scale, side in ((0.0, 16), (0.5, 26), (last, 36)):
        for down in (0.0, 0.5, last):
            rows, columns = crop_window(HEIGHT, WIDTH, 16, scale, down, last - down)
            assert rows.stop - rows.start == columns.stop - columns.start == side
            assert 0 <= rows.start <= HEIGHT - side and 0 <= columns.start <= WIDTH - side
    assert crop_window(HEIGHT, WIDTH, 16, 0, last, last) == (slice(32, 48), slice(48, 64))
    assert crop_window(HEIGHT, WIDTH, 40, last, 0, 0) == (slice(0, 48), slice(0, 48))
    assert crop_window(HEIGHT, WIDTH, 100, 0.5, 0.5, last) == (slice(0, 48), slice(16, 64))


def test_resizing_scales_dx_by_the_width_and_dy_by_the_height(dataset: SceneFlow) -> None:
    small = resize_pairs(dataset.read(0), 24)
    assert small.prev.shape == small.cur.shape == (1, 3, 24, 24)
    dx, dy = small.flow_cur_to_prev.split(1, dim=1)
    assert torch.allclose(dx, torch.tensor(STEP[0] * 24 / WIDTH))
    assert torch.allclose(dy, torch.tensor(STEP[1] * 24 / HEIGHT))
    assert_true(small)


@pytest.mark.parametrize("size", [12, 16, 27, 40])
@pytest.mark.parametrize("hole", [0, 13, 31])
def test_a_resized_pixel_is_visible_only_if_all_that_it_is_made_of_are(
    size: int, hole: int
) -> None:
    """The flow is 0 but in one hidden pixel: nothing visible has any of that."""
    visible, flow = torch.ones(1, 1, 32, 32), torch.zeros(1, 2, 32, 32)
    visible[..., hole, hole] = 0
    flow[..., hole, hole] = -0.5 if hole > 0 else 0.5
    image = torch.zeros(1, 3, 32, 32)
    small = resize_pairs(Pairs(image, image, flow, visible), size)
    assert small.flow_cur_to_prev[small.visible.expand(1, 2, -1, -1) == 1].eq(0).all()
    # Its own place is hidden, and not much beside it.
    at = int((hole + 0.5) * size / 32)
    assert small.visible[0, 0, at, at] == 0
    assert small.visible.eq(0).sum() <= (2 * max(1, size / 32) + 2) ** 2


@pytest.mark.parametrize(("column", "share"), [(31.0, 0.0), (30.0, 1.0)])
def test_a_partner_outside_the_crop_is_not_visible_after_resizing(
    column: float, share: float
) -> None:
    """The last column's centre, 31, is 15.25 at half the size: beyond the last centre, 15."""
    image, visible, flow = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32), constant(0, 0)
    flow = flow[..., :32, :32].clone()
    flow[:, 0] = column - torch.arange(32)
    assert resize_pairs(Pairs(image, image, flow, visible), 16).visible.mean() == share


def test_a_mirror_turns_dx_round_and_keeps_dy(dataset: SceneFlow) -> None:
    pairs = dataset.read(0)
    mirrored = mirror_pairs(pairs)
    assert torch.equal(mirrored.cur, pairs.cur.flip(-1))
    assert mirrored.flow_cur_to_prev[0, :, 3, 4].tolist() == [-STEP[0], STEP[1]]
    assert_true(mirrored)
    assert_equal(mirror_pairs(mirrored), pairs)


# ---- what is drawn ----


def pair_batch(dataset: SceneFlow, count: int, size: int, seed: int = 0) -> Pairs:
    """Sequences of two frames, as pairs."""
    drawn = [dataset.truth(2, size, np.random.default_rng((seed, i))) for i in range(count)]
    frames, flow, visible = (torch.cat(parts, dim=1) for parts in zip(*drawn, strict=True))
    return Pairs(frames[0], frames[1], flow[0], visible[0])


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("count", range(1, FRAMES + 1))
def test_sequences_are_consecutive_frames_with_true_flow(
    tmp_path: Path, name: str, count: int
) -> None:
    Tree(train_home(tmp_path, name), SCENES[name]).write(ends=True)
    dataset = SceneFlow(tmp_path)
    assert dataset.longest == FRAMES
    for seed, size in enumerate((32, 24, 24, 96)):  # the last is larger than the frames
        frames, flows, visible = dataset.truth(count, size, np.random.default_rng(seed))
        assert frames.shape == (count, 1, 3, size, size)
        assert len(flows) == len(visible) == min(count - 1, LEARNED)
        assert frames.dtype == flows.dtype == visible.dtype == torch.float32
        assert frames.min() >= 0 and frames.max() <= 1
        assert set(visible.unique().tolist()) <= {0.0, 1.0}
        for t in range(1, count):  # everything moves alike: earlier frames, too
            place = max(t - count, -len(flows))
            assert_true(Pairs(frames[t - 1], frames[t], flows[place], visible[place]))


def test_where_a_flow_file_is_missing_a_sequence_ends(tmp_path: Path) -> None:
    forward_only(tmp_path, 6)
    Tree(tmp_path, "scene").flow_path(3, "into_future").unlink()
    dataset = SceneFlow(tmp_path)
    assert dataset.longest == 4
    for number in (4, 5):  # the only four are 3, 2, 1, 0 in the painter's order
        Tree(tmp_path, "scene").frame_path(number).unlink()
    for seed in range(8):
        dataset.truth(4, HEIGHT, np.random.default_rng(seed))
    assert not dataset.counts


@pytest.mark.parametrize("how", ["smaller", "truncated"])
def test_a_frame_that_cannot_be_used_takes_its_sequences(tmp_path: Path, how: str) -> None:
    dataset = forward_only(tmp_path, 4)
    break_file(Tree(tmp_path, "scene").frame_path(3), how)
    with pytest.raises(DataError, match="one after the other cannot be used; skipped so far: 1 "):
        dataset.truth(4, 32, np.random.default_rng(0))
    assert len(dataset.truth(3, 32, np.random.default_rng(0))[0]) == 3


def test_batches_draw_both_directions_and_both_mirrors(dataset: SceneFlow) -> None:
    signs = pair_batch(dataset, 32, 16).flow_cur_to_prev[..., 0, 0].sign()
    assert {tuple(sign) for sign in signs.tolist()} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_what_replaces_a_broken_pair_depends_on_the_files_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "scene").write(6)
    for number in (1, 2, 4):
        break_file(tree.flow_path(number, "into_future"), "truncated")
    fresh, used = SceneFlow(tmp_path), SceneFlow(tmp_path)
    pair_batch(used, 12, 16, seed=9)
    assert used.counts["damaged file"] > 0
    for seed in (3, 0, 5):
        batch = pair_batch(fresh, 3, 16, seed)
        assert_equal(batch, pair_batch(used, 3, 16, seed))
        assert_true(batch)
    assert fresh.counts["damaged file"] > 0


@pytest.mark.parametrize("corner", [True, False])
def test_a_crop_that_is_mostly_invisible_is_drawn_anew_a_few_times(
    tree: Tree, corner: bool
) -> None:
    """Only a corner is visible: single draws mostly miss it, batches mostly do not."""
    mask = torch.ones(1, 1, HEIGHT, WIDTH)
    mask[..., :24, :32] = not corner
    for number in range(FRAMES):
        for direction in BOTH:
            tree.write_mask("flow_occlusions", number, direction, mask)
    shares = pair_batch(SceneFlow(tree.home), 40, 12).visible.mean((1, 2, 3))
    assert (shares >= 0.1).float().mean() > 0.85 if corner else shares.eq(0).all()
