"""The SceneFlow datasets on disk: an index of their pairs of frames, and random crops of the
sequences that these make.

FlyingThings3D, Monkaa and Driving (Mayer et al. 2016) and the subset of FlyingThings3D, whole or in
part. Every flow file gives one pair: `cur` is the frame on whose grid the flow lives, `prev` the
neighbour that it points to. With flow into the future that is the following frame: the pair runs
backwards in time, which is as good for training. Where a pair's `prev` is another one's `cur`, a
sequence goes on: ten frames in FlyingThings3D, hundreds in Driving.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylevid.errors import DataError
from stylevid.frames import resize
from stylevid.learn.sequences import LEARNED

from .pair_files import (
    PairFiles,
    Pairs,
    Place,
    Window,
    crop_window,
    mirror_pairs,
    read_pair,
    read_prev,
    resize_pairs,
)

log = logging.getLogger(__name__)

PASSES = {
    "clean": ("frames_cleanpass", "frames_cleanpass_webp", "image_clean"),
    "final": ("frames_finalpass", "frames_finalpass_webp", "image_final"),
}

_SEARCH_DEPTH = 3  # folders from the root to a dataset's own: sceneflow/FlyingThings3D_subset/train
_SCENE_DEPTHS = (1, 2, 3)  # folders of a scene: a_rain_of_stones_x2; TRAIN/A/0000
_FLOW_SUFFIXES = (".pfm", ".flo")
_FRAME_SUFFIXES = (".png", ".webp")
_MASK_SUFFIXES = (".png", ".pgm")

_LEAST_VISIBLE = 0.1  # share of a crop
_FEW_DRAWS = 5  # of a crop that is mostly invisible
_MOST_DRAWS = 100  # of files that cannot be used

Trouble = tuple[str, str]
"""Its kind, and which pair or folder has it."""


@dataclass(frozen=True)
class _View:
    """One camera's flow in one direction of time, and the folders of all that goes with it."""

    home: Path  # the dataset's own folder
    scene: Path | None  # TRAIN/A/0000; None in the subset, which has no scenes
    to: str  # future or past
    side: str  # left or right

    @property
    def is_held_out(self) -> bool:
        part = self.home.name if self.scene is None else self.scene.parts[0]
        return part.lower() in ("test", "val")

    def neighbour(self, number: str) -> str:
        step = 1 if self.to == "future" else -1
        return f"{int(number) + step:0{len(number)}d}"

    def folder(self, kind: str, to: str) -> Path:
        if self.scene is None:
            return self.home / kind / self.side / f"into_{to}"
        kind = "optical_flow" if kind == "flow" else kind
        return self.home / kind / self.scene / f"into_{to}" / self.side

    def frames(self, render: str) -> Path | None:
        """The folder of frames among those that the pass can have; None if it has none."""
        tail = (self.scene or Path()) / self.side
        places = [self.home / p / tail for p in PASSES[render] if os.path.isdir(self.home / p)]
        return next((place for place in places if os.path.isdir(place)), next(iter(places), None))

    def flow_stem(self, number: str, to: str) -> str:
        name = f"OpticalFlowInto{to.title()}_{number}_{self.side[0].upper()}"
        return number if self.scene is None else name

    def files(self, frames: Path, number: str) -> PairFiles:
        """The files of the pair whose `cur` has this number, as they are on the disk now."""
        neighbour = self.neighbour(number)
        back = "past" if self.to == "future" else "future"
        flow = _existing(
            self.folder("flow", self.to), self.flow_stem(number, self.to), _FLOW_SUFFIXES
        )
        cur, prev = (_existing(frames, n, _FRAME_SUFFIXES) for n in (number, neighbour))
        if flow is None or cur is None or prev is None:
            message = f"Frame {number}, {neighbour} or its flow is gone from {frames}."
            raise DataError(message, "missing frame")
        return PairFiles(
            cur, prev, flow,
            _existing(self.folder("flow", back), self.flow_stem(neighbour, back), _FLOW_SUFFIXES),
            _existing(self.folder("flow_occlusions", self.to), number, _MASK_SUFFIXES),
            _existing(self.folder("motion_boundaries", self.to), number, _MASK_SUFFIXES),
        )  # fmt: skip


class SceneFlow:
    """The pairs found below a folder. Only names are kept; a file is read when it is drawn.

    TEST and val are left for tests.

    Attributes:
        longest: frames of the longest sequence, two at least.
        skipped: what was skipped so far, each pair once, and a sentence about it.
        counts: how many of each kind of trouble; the first of a kind is also logged. "end of
            sequence" is no trouble: SceneFlow has flow to frames it lacks.
    """

    def __init__(self, root: Path, passes: Sequence[str] = ("clean", "final")) -> None:
        """
        Args:
            root: a dataset's own folder, or one that holds several, up to three folders down.
            passes: "clean", "final" or both.
        Raises:
            DataError: there is no such folder, or no pair below it.
        """
        if not root.is_dir():
            raise DataError(
                f"{root} is no folder; it should hold FlyingThings3D, Monkaa, Driving or "
                "FlyingThings3D_subset."
            )
        self.root = root
        self.skipped: dict[Trouble, str] = {}
        self.counts: Counter[str] = Counter()
        self._pairs = [
            (view, frames, number)
            for view in _find_views(root.resolve())
            if not view.is_held_out
            for frames in self._find_frames(view, passes)
            for number in self._find_numbers(view, frames)
        ]
        if not self._pairs:
            raise DataError(
                f"{root} holds no pairs of {' or '.join(passes)} frames to train on; "
                f"looked up to {_SEARCH_DEPTH} folders down for optical_flow beside "
                "frames_cleanpass or frames_finalpass, and for flow beside image_clean or "
                f"image_final{self.troubles()}."
            )
        places = {pair: index for index, pair in enumerate(self._pairs)}
        self._before = [
            places.get((view, frames, view.neighbour(number)))
            for view, frames, number in self._pairs
        ]
        self._lengths = self._measure()
        self.longest = max(self._lengths)

    def _measure(self) -> list[int]:
        """How many frames of a sequence there are up to each pair's `cur`."""

        def time(index: int) -> int:
            view, _, number = self._pairs[index]
            return int(number) if view.to == "past" else -int(number)

        lengths = [2] * len(self)
        for index in sorted(range(len(self)), key=time):
            if (before := self._before[index]) is not None:
                lengths[index] = lengths[before] + 1
        return lengths

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> PairFiles:
        """The files of one pair, in the order of their names.

        Raises:
            DataError: a file that was there is gone.
        """
        view, frames, number = self._pairs[index]
        return view.files(frames, number)

    def read(self, index: int, place: Place | None = None) -> Pairs:
        """The pair at this index, 1,3,H,W, whole or the window that `place(height, width)` gives.

        Raises:
            DataError: a file of the pair cannot be used; it has been counted.
        """
        with self._counted(index):
            return read_pair(self[index], place)

    @contextmanager
    def _counted(self, index: int) -> Generator[None]:
        """Count the trouble with a pair before it is passed on."""
        try:
            yield
        except DataError as error:
            self.skip({(error.kind, str(index)): str(error)})
            raise

    def truth(
        self, count: int, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`count` frames of a random square of `size` pixels, flow and visibility, as in
        `Sequences`.

        A sequence that cannot be used is counted and drawn anew, a crop that is mostly invisible
        too, a few times.

        Args:
            count: from 1 to `longest`.
        Raises:
            DataError: one after the other cannot be used.
        """
        ends = [index for index, length in enumerate(self._lengths) if length >= count]
        crops: list[tuple[Tensor, Tensor, Tensor]] = []
        shares: list[float] = []
        for _ in range(_MOST_DRAWS):
            # As many numbers for every draw: the next one does not depend on how this one ends.
            chosen, *where = rng.random(5).tolist()
            try:
                crops.append(self._cut(ends[int(chosen * len(ends))], count, size, *where))
            except DataError:
                continue
            shares.append(crops[-1][2].mean().item() if count > 1 else 1.0)
            if shares[-1] >= _LEAST_VISIBLE or len(crops) == _FEW_DRAWS:
                break
        if not crops:
            raise DataError(
                f"{_MOST_DRAWS} sequences drawn from {self.root} one after the other cannot be used"
                f"{self.troubles()}."
            )
        return crops[shares.index(max(shares))]

    def _cut(
        self, end: int, count: int, size: int, scale: float, down: float, across: float,
        mirror: float,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """A square of the last `count` frames up to a pair's `cur`."""
        sizes: set[tuple[int, int]] = set()

        def place(height: int, width: int) -> Window:
            sizes.add((height, width))
            return crop_window(height, width, size, scale, down, across)

        pairs: list[Pairs] = []
        earlier: list[Tensor] = []
        at: int | None = end
        for number in range(max(1, count - 1)):  # from the last pair on, back in time
            assert at is not None, f"sequences have {self.longest} frames at most"
            if number < LEARNED:
                pair = resize_pairs(self.read(at, place), size)
                pairs.insert(0, mirror_pairs(pair) if mirror < 0.5 else pair)
            else:
                with self._counted(at):
                    frame = resize(read_prev(self[at], place), (size, size))
                earlier.insert(0, frame.flip(-1) if mirror < 0.5 else frame)
            at = self._before[at]
        if len(sizes) > 1:
            message = f"The frames up to {self[end].cur} have several sizes."
            self.skip({("sizes differ", str(end)): message})
            raise DataError(message, "sizes differ")
        frames = torch.stack([*earlier, pairs[0].prev, *(pair.cur for pair in pairs)])[-count:]
        flows = torch.stack([pair.flow_cur_to_prev for pair in pairs])
        visible = torch.stack([pair.visible for pair in pairs])
        return frames, flows[: count - 1], visible[: count - 1]

    def summary(self) -> str:
        """One sentence: how many pairs there are, and what was skipped so far."""
        return f"{self.root} holds {len(self)} pairs of frames with flow{self.troubles()}."

    def troubles(self) -> str:
        """The end of a sentence: what was skipped so far; empty if nothing was."""
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return f"; skipped so far: {found}" if found else ""

    def skip(self, troubles: Mapping[Trouble, str]) -> None:
        """Count what is skipped, here or by another process that reads the same dataset."""
        for trouble, message in troubles.items():
            if trouble in self.skipped:
                continue
            kind, _ = trouble
            self.skipped[trouble] = message
            self.counts[kind] += 1
            if self.counts[kind] == 1:
                level = logging.INFO if kind == "end of sequence" else logging.WARNING
                log.log(level, "%s (%s; skipped, and more of the kind only counted)", message, kind)

    def _find_frames(self, view: _View, passes: Sequence[str]) -> list[Path]:
        found = [frames for render in passes if (frames := view.frames(render))]
        if not found:
            folders = ", ".join(folder for render in passes for folder in PASSES[render])
            message = f"{view.home} has flow but no frames ({folders})."
            self.skip({("no frames", str(view.home)): message})
        return found

    def _find_numbers(self, view: _View, frames: Path) -> Iterator[str]:
        """The numbers of the view's flow files whose two frames are there, in order."""
        folder, stem = view.folder("flow", view.to), view.flow_stem(r"(\d+)", view.to)
        there = self._numbers(frames, r"(\d+)", _FRAME_SUFFIXES)
        for number in sorted(self._numbers(folder, stem, _FLOW_SUFFIXES)):
            neighbour = view.neighbour(number)
            if {number, neighbour} <= there:
                yield number
                continue
            missing = neighbour if number in there else number
            at_end = number in there and not min(there) < neighbour < max(there)
            kind = "end of sequence" if at_end else "missing frame"
            flow = folder / view.flow_stem(number, view.to)
            self.skip({(kind, f"{frames} {flow}"): f"{flow} has no frame {missing} in {frames}."})

    def _numbers(self, folder: Path, stem: str, suffixes: Sequence[str]) -> set[str]:
        """The numbers of the files in the folder that are so named."""
        pattern = re.compile(f"{stem}({'|'.join(map(re.escape, suffixes))})")
        try:
            return {found[1] for found in map(pattern.fullmatch, os.listdir(folder)) if found}
        except FileNotFoundError:
            return set()
        except OSError as cause:
            message = f"{folder} cannot be read: {cause.strerror}."
            self.skip({("unreadable folder", str(folder)): message})
            return set()


def _find_views(root: Path) -> Iterator[_View]:
    """All below the root, in the order of their names: `optical_flow/<scene>/into_future/left` of
    FlyingThings3D, Monkaa and Driving, `flow/left/into_future` of the subset's train and val."""
    layouts = {depth: f"optical_flow/{'*/' * depth}into_*/*" for depth in _SCENE_DEPTHS}
    found = {
        folder: depth
        for depth, layout in ({0: "flow/*/into_*"} | layouts).items()
        for above in range(_SEARCH_DEPTH + 1)
        for folder in root.glob("*/" * above + layout)
    }
    for folder, depth in sorted(found.items()):
        into, side = folder.parts[-2:] if depth else folder.parts[:-3:-1]
        if into in ("into_future", "into_past") and side in ("left", "right"):
            scene = Path(*folder.parts[-2 - depth : -2]) if depth else None
            yield _View(folder.parents[2 + depth], scene, into.removeprefix("into_"), side)


def _existing(folder: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    paths = (folder / (stem + suffix) for suffix in suffixes)
    return next((path for path in paths if os.path.isfile(path)), None)
