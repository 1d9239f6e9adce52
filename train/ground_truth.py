"""Neighbouring frames with ground-truth flow, whole and unaugmented, for measuring: MPI Sintel
and the layouts of SceneFlow."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch

from stylevid.errors import DataError
from stylevid.frames import to_image

from .data.flow_files import read_flow
from .data.images import read_picture
from .data.pairs import Pairs
from .data.sceneflow import SceneFlow

T = TypeVar("T")


def ground_truth_pairs(root: Path, render: str, limit: int | None = None) -> Iterator[Pairs]:
    """The pairs of a dataset, in the order of their names, spread over it if they are limited.

    Args:
        root: MPI Sintel's folder (with `training/flow`), or a SceneFlow root; of the latter the
            TEST or val split where there is one.
        render: "clean" or "final".
        limit: of pairs; None takes all.
    Raises:
        DataError: the folder is neither, or a file of Sintel cannot be used; pairs of SceneFlow
            that cannot be used are skipped, and the next ones taken.
    """
    if (root / "training" / "flow").is_dir():
        found = sorted((root / "training" / "flow").rglob("*.flo"))
        return islice(_each_sintel(root / "training", _spread(found, limit), render), limit)
    return islice(_each_sceneflow(_open_sceneflow(root, render), limit), limit)


def _open_sceneflow(root: Path, render: str) -> SceneFlow:
    try:
        return SceneFlow(root, (render,), "test")
    except DataError:
        return SceneFlow(root, (render,), "all")


def _each_sceneflow(dataset: SceneFlow, limit: int | None) -> Iterator[Pairs]:
    for index in _spread(range(len(dataset)), limit):
        with suppress(DataError):  # counted and named by the dataset
            yield dataset.read(index)


def _spread(found: Sequence[T], limit: int | None) -> Sequence[T]:
    """At most about `limit` of them, evenly spread."""
    return found[:: max(1, len(found) // limit)] if limit else found


def _each_sintel(root: Path, flows: Sequence[Path], render: str) -> Iterator[Pairs]:
    """Sintel's flow lives on frame t and points to t+1: `cur` is t, `prev` is t+1."""
    for path in flows:
        scene, name = path.parent.name, path.stem
        following = f"frame_{int(name.removeprefix('frame_')) + 1:04d}.png"
        frames = root / render / scene
        cur, prev = (
            to_image(read_picture(p)) for p in (frames / f"{name}.png", frames / following)
        )
        flow = read_flow(path)
        if flow.shape[-2:] != cur.shape[-2:] or cur.shape != prev.shape:
            raise DataError(f"{path} and its frames in {frames} differ in size.")
        yield Pairs(prev, cur, flow, _sintel_visible(root, scene, name, cur))


def _sintel_visible(root: Path, scene: str, name: str, cur: torch.Tensor) -> torch.Tensor:
    """1 where neither `occlusions` nor `invalid` is white."""
    visible = torch.ones_like(cur[:, :1])
    for mask in ("occlusions", "invalid"):
        path = root / mask / scene / f"{name}.png"
        if path.exists():
            visible *= (to_image(read_picture(path))[:, :1] < 0.5).float()
    return visible
