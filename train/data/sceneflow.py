"""The SceneFlow datasets on disk: an index of their pairs of frames, and batches of crops from it.

FlyingThings3D, Monkaa and Driving (Mayer et al. 2016) and the subset of FlyingThings3D, whole or in
part. Every flow file gives one pair: `cur` is the frame on whose grid the flow lives, `prev` the
neighbour that it points to. With flow into the future that is the following frame: the pair runs
backwards in time, which is as good for training.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from stylevid.errors import DataError

from .flow_files import map_flow
from .pair_files import PairFiles, Window, crop_window, mirror_pairs, read_pair, resize_pairs
from .pairs import Pairs

log = logging.getLogger(__name__)

PASSES = {
    "clean": ("frames_cleanpass", "frames_cleanpass_webp", "image_clean"),
    "final": ("frames_finalpass", "frames_finalpass_webp", "image_final"),
}
SPLITS = ("train", "test", "all")

_SEARCH_DEPTH = 3  # folders below the root: sceneflow/FlyingThings3D_subset/train
_SCENE_DEPTH = 5  # folders below optical_flow: TRAIN/A/0000/into_future/left
_DIRECTIONS = ("into_future", "into_past")
_SIDES = ("left", "right")
_FLOW_SUFFIXES = (".pfm", ".flo")
_FRAME_SUFFIXES = (".png", ".webp")
_MASK_SUFFIXES = (".png", ".pgm")

_LEAST_VISIBLE = 0.1  # share of a crop
_FEW_DRAWS = 5  # of a crop that is mostly invisible
_MOST_DRAWS = 100  # of files that cannot be used


@dataclass(frozen=True)
class _View:
    """One camera's flow in one direction of time, and the folders of all that goes with it."""

    home: Path  # the dataset's own folder
    scene: Path | None  # TRAIN/A/0000; None in the subset, which has no scenes
    direction: str  # into_future or into_past
    side: str  # left or right
    frames: Path = Path()

    @property
    def is_held_out(self) -> bool:
        part = self.home.name if self.scene is None else self.scene.parts[0]
        return part.lower() in ("test", "val")

    @property
    def flow_folder(self) -> Path:
        return self._folder("flow", self.direction)

    def in_pass(self, name: str) -> "_View":
        """This view with its folder of frames among those that the pass can have."""
        tail = (self.scene or Path()) / self.side
        places = [self.home / p / tail for p in PASSES[name] if os.path.isdir(self.home / p)]
        return replace(self, frames=next((p for p in places if os.path.isdir(p)), places[0]))

    def neighbour(self, number: str) -> str:
        step = 1 if self.direction == "into_future" else -1
        return f"{int(number) + step:0{len(number)}d}"

    def flow_stem(self, number: str) -> str:
        return self._flow_stem(number, self.direction)

    def files(self, number: str) -> PairFiles:
        """The files of the pair whose `cur` has this number, as they are on the disk now."""
        neighbour = self.neighbour(number)
        flow = _existing(self.flow_folder, self.flow_stem(number), _FLOW_SUFFIXES)
        cur = _existing(self.frames, number, _FRAME_SUFFIXES)
        prev = _existing(self.frames, neighbour, _FRAME_SUFFIXES)
        if flow is None or cur is None or prev is None:
            message = f"Frame {number}, {neighbour} or its flow is gone from {self.frames}."
            raise DataError(message, "missing frame")
        back = "into_past" if self.direction == "into_future" else "into_future"
        reverse_flow = _existing(
            self._folder("flow", back), self._flow_stem(neighbour, back), _FLOW_SUFFIXES
        )
        occlusions, boundaries = (
            self._folder(kind, self.direction) for kind in ("flow_occlusions", "motion_boundaries")
        )
        occlusion = _existing(occlusions, number, _MASK_SUFFIXES)
        boundary = _existing(boundaries, number, _MASK_SUFFIXES)
        return PairFiles(cur, prev, flow, reverse_flow, occlusion, boundary)

    def _folder(self, kind: str, direction: str) -> Path:
        if self.scene is None:
            return self.home / kind / self.side / direction
        kind = "optical_flow" if kind == "flow" else kind
        return self.home / kind / self.scene / direction / self.side

    def _flow_stem(self, number: str, direction: str) -> str:
        if self.scene is None:
            return number
        towards = "Future" if direction == "into_future" else "Past"
        return f"OpticalFlowInto{towards}_{number}_{self.side[0].upper()}"


class SceneFlow:
    """The pairs found below a folder. Only names are kept; a file is read when it is drawn.

    Attributes:
        counts: what was skipped so far by kind of trouble, each pair once; the first of a kind is
            also logged. "end of sequence" is no trouble: SceneFlow has flow to frames it lacks.
    """

    def __init__(
        self, root: Path, passes: Sequence[str] = ("clean", "final"), split: str = "train"
    ) -> None:
        """
        Args:
            root: a dataset's own folder, or one that holds several, up to three folders down.
            passes: "clean", "final" or both.
            split: "train", all but TEST and val; "test", those; "all".
        Raises:
            DataError: there is no such folder, or no pair below it.
        """
        if not passes or not set(passes) <= set(PASSES) or split not in SPLITS:
            raise ValueError(
                f"passes are of {', '.join(PASSES)} and split one of {', '.join(SPLITS)}; "
                f"got {passes} and {split}"
            )
        if not root.is_dir():
            raise DataError(
                f"{root} is no folder; it should hold FlyingThings3D, Monkaa, Driving or "
                "FlyingThings3D_subset."
            )
        self.root = root
        self.counts: Counter[str] = Counter()
        self._lock = Lock()  # several threads may draw
        self._skipped: set[tuple[str, _View | Path, str]] = set()
        self._pairs = [
            (view, number)
            for view in self._find_views(passes, split)
            for number in self._find_numbers(view)
        ]
        if not self._pairs:
            raise DataError(
                f"{root} holds no pairs of {' or '.join(passes)} frames for the split {split}; "
                f"looked up to {_SEARCH_DEPTH} folders down for optical_flow beside "
                "frames_cleanpass or frames_finalpass, and for flow beside image_clean or "
                f"image_final{self.troubles()}."
            )

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> PairFiles:
        """The files of one pair, in the order of their names.

        Raises:
            DataError: a file that was there is gone.
        """
        view, number = self._pairs[index]
        return view.files(number)

    def read(self, index: int, place: Callable[[int, int], Window] | None = None) -> Pairs:
        """The pair at this index, 1,3,H,W, whole or the window that `place(height, width)` gives.

        Raises:
            DataError: a file of the pair cannot be used; it has been counted.
        """
        view, number = self._pairs[index]
        try:
            files = view.files(number)
            height, width = map_flow(files.flow).shape[:2]
            return read_pair(files, place(height, width) if place else None)
        except DataError as error:
            self._count(error.kind, view, number, str(error))
            raise

    def summary(self) -> str:
        """One sentence: how many pairs there are, and what was skipped so far."""
        return f"{self.root} holds {len(self)} pairs of frames with flow{self.troubles()}."

    def troubles(self) -> str:
        """The end of a sentence: what was skipped so far; empty if nothing was."""
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return f"; skipped so far: {found}" if found else ""

    def _count(self, kind: str, where: _View | Path, number: str, message: str) -> None:
        with self._lock:
            if (kind, where, number) in self._skipped:
                return
            self._skipped.add((kind, where, number))
            self.counts[kind] += 1
            is_first = self.counts[kind] == 1
        if is_first:
            level = logging.INFO if kind == "end of sequence" else logging.WARNING
            log.log(level, "%s (%s; skipped, and more of the kind only counted)", message, kind)

    def _find_views(self, passes: Sequence[str], split: str) -> Iterator[_View]:
        for home in self._folders(self.root.resolve(), _SEARCH_DEPTH):
            views = [*self._scene_views(home), *_subset_views(home)]
            wanted = [v for v in views if split == "all" or v.is_held_out == (split == "test")]
            present = [
                name for name in passes if any(os.path.isdir(home / p) for p in PASSES[name])
            ]
            if wanted and not present:
                folders = ", ".join(folder for name in passes for folder in PASSES[name])
                self._count("no frames", home, "", f"{home} has flow but no frames ({folders}).")
            yield from (view.in_pass(name) for view in wanted for name in present)

    def _scene_views(self, home: Path) -> Iterator[_View]:
        """FlyingThings3D, Monkaa, Driving: `optical_flow/<scene>/into_future/left`."""
        flows = home / "optical_flow"
        for folder in self._folders(flows, _SCENE_DEPTH) if os.path.isdir(flows) else ():
            parts = folder.relative_to(flows).parts
            if len(parts) > 2 and parts[-2] in _DIRECTIONS and parts[-1] in _SIDES:
                yield _View(home, Path(*parts[:-2]), parts[-2], parts[-1])

    def _find_numbers(self, view: _View) -> Iterator[str]:
        """The numbers of the view's flow files whose two frames are there, in order."""
        stems = self._stems(view.flow_folder, _FLOW_SUFFIXES)
        numbers = {match[0] for match in map(re.compile(r"\d+").search, stems) if match}
        frames = {stem for stem in self._stems(view.frames, _FRAME_SUFFIXES) if stem.isdigit()}
        for number in sorted(n for n in numbers if view.flow_stem(n) in stems):
            neighbour = view.neighbour(number)
            if {number, neighbour} <= frames:
                yield number
                continue
            missing = neighbour if number in frames else number
            at_end = number in frames and not min(frames) < neighbour < max(frames)
            kind = "end of sequence" if at_end else "missing frame"
            flow = view.flow_folder / view.flow_stem(number)
            self._count(kind, view, number, f"{flow} has no frame {missing} in {view.frames}.")

    def _folders(self, folder: Path, depth: int) -> Iterator[Path]:
        """The folder and all below it to this depth, sorted; links are followed."""
        yield folder
        if depth > 0:
            for name in sorted(entry.name for entry in self._scan(folder) if entry.is_dir()):
                yield from self._folders(folder / name, depth - 1)

    def _stems(self, folder: Path, suffixes: Sequence[str]) -> set[str]:
        names = (os.path.splitext(entry.name) for entry in self._scan(folder))
        return {stem for stem, suffix in names if suffix in suffixes}

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as cause:
            message = f"{folder} cannot be read: {cause.strerror}."
            self._count("unreadable folder", folder, "", message)
            return []


def _subset_views(home: Path) -> Iterator[_View]:
    """FlyingThings3D_subset: `flow/left/into_future` in `train` and in `val`."""
    for side in _SIDES:
        for direction in _DIRECTIONS:
            if os.path.isdir(home / "flow" / side / direction):
                yield _View(home, None, direction, side)


def _existing(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    paths = (folder / (stem + suffix) for suffix in suffixes)
    return next((path for path in paths if os.path.isfile(path)), None)


def pair_batch(
    dataset: SceneFlow, count: int, size: int, seed: int, step: int, first: int = 0
) -> Pairs:
    """`count` random crops of pairs, N,3,size,size.

    Each is a function of the files, the seed, the step and its place in the batch alone, counted
    from `first`, so that several processes can share one batch. A pair that cannot be used is
    counted and drawn anew, a crop that is mostly invisible too, a few times.

    Raises:
        DataError: pair after pair cannot be used.
    """
    drawn = [
        _draw(dataset, size, np.random.default_rng((seed, step, first + i))) for i in range(count)
    ]
    return Pairs(
        prev=torch.cat([pair.prev for pair in drawn]),
        cur=torch.cat([pair.cur for pair in drawn]),
        flow_cur_to_prev=torch.cat([pair.flow_cur_to_prev for pair in drawn]),
        visible=torch.cat([pair.visible for pair in drawn]),
    )


def _draw(dataset: SceneFlow, size: int, rng: np.random.Generator) -> Pairs:
    crops: list[Pairs] = []
    for _ in range(_MOST_DRAWS):
        # As many numbers for every draw, so that the next one does not depend on how this one ends.
        chosen, scale, down, across, mirror = rng.random(5).tolist()
        index = int(chosen * len(dataset))
        place = partial(crop_window, size=size, scale=scale, down=down, across=across)
        try:
            pair = resize_pairs(dataset.read(index, place), size)
        except DataError:
            continue
        crops.append(mirror_pairs(pair) if mirror < 0.5 else pair)
        if crops[-1].visible.mean() >= _LEAST_VISIBLE or len(crops) == _FEW_DRAWS:
            break
    if not crops:
        raise DataError(
            f"{_MOST_DRAWS} pairs drawn from {dataset.root} one after the other cannot be used"
            f"{dataset.troubles()}."
        )
    return max(crops, key=lambda pair: float(pair.visible.mean()))
