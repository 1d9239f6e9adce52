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
from stylevid.learn.painting import read_picture

from .data.flow_files import read_flow
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
        flows = sorted((root / "training" / "flow").rglob("*.flo"))
        pairs = (_read_sintel(root / "training" / render, path) for path in _spread(flows, limit))
    else:
        pairs = _each_sceneflow(_open_sceneflow(root, render), limit)
    return islice(pairs, limit)


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


def _read_sintel(frames: Path, flow_file: Path) -> Pairs:
    """Sintel's flow lives on frame t and points to t+1: `cur` is t, `prev` is t+1. Visible is what
    neither `occlusions` nor `invalid` shows in white."""
    scene, number = flow_file.parent.name, int(flow_file.stem.removeprefix("frame_"))
    names = (f"frame_{n:04d}.png" for n in (number, number + 1))
    cur, prev = (to_image(read_picture(frames / scene / name)) for name in names)
    flow = read_flow(flow_file)
    if flow.shape[-2:] != cur.shape[-2:] or cur.shape != prev.shape:
        raise DataError(f"{flow_file} and its frames in {frames / scene} differ in size.")
    visible = torch.ones_like(cur[:, :1])
    for mask in ("occlusions", "invalid"):
        path = frames.parent / mask / scene / f"{flow_file.stem}.png"
        if path.exists():
            visible *= (to_image(read_picture(path))[:, :1] < 0.5).float()
    return Pairs(prev, cur, flow, visible)
