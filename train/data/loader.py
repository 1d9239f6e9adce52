"""Batches for the loop, loaded ahead of it by processes of their own.

A batch is a function of (seed, step) and of its place among all processes' shares alone.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from stylevid.errors import StylevidError
from stylevid.learn.sequences import Sequences, concatenate, estimate_truth, observe

from ..config import TrainConfig
from .clips import Clips
from .images import photo_batch
from .layers import draw_layers, show
from .sceneflow import SceneFlow, Trouble

Item = tuple[Sequences | StylevidError, dict[Trouble, str]]
"""A step's batch, or why there is none, and what was skipped for it."""

_PICTURES = 0.25  # share of the sequences that have a single frame
_STILL = 0.25  # share of the others that a fixed camera sees
_CLIPS = 0.6  # share of the sequences that real clips give
_LAYERS = 2  # a moving shape before a background


@dataclass
class TrainingData(Dataset[Item]):
    """Photographs, and sequences for the temporal stage: an item for every step.

    Attributes:
        sceneflow: where sequences are read from; None leaves them to be made from photographs.
        clips: where _CLIPS of the sequences come from, if they are given.
        rank, processes: this process takes the `rank`-th share of every batch.
        workers: processes that load, each with one thread and one batch that waits; 0 loads in
            this process.
        waited_s: how long the loop has stood still for a batch, seconds.
    """

    config: TrainConfig
    photos: list[Path]
    sceneflow: SceneFlow | None = None
    rank: int = 0
    processes: int = 1
    workers: int = 2
    clips: Clips | None = None
    waited_s: float = field(default=0.0, init=False)

    def load(self, step: int) -> Sequences:
        """This process's share of a step's batch: single frames first, later sequences."""
        config = self.config
        if step < config.steps:
            share, count = config.batch // self.processes, 1
        else:
            share = config.temporal_batch // self.processes
            rng = np.random.default_rng((config.seed, step))  # all sequences of a step are as long
            count = 1 if rng.random() < _PICTURES else int(rng.integers(2, config.frames + 1))
            count = min(count, self.sceneflow.longest) if self.sceneflow else count
        places = range(self.rank * share, (self.rank + 1) * share)
        return concatenate([self._sequence(step, place, count) for place in places])

    def _sequence(self, step: int, place: int, count: int) -> Sequences:
        """The sequence of a step at a place among those of all processes."""
        config, size = self.config, self.config.temporal_crop
        seed = (config.seed * 1_000_003 + step) * 4_099 + place
        generator = torch.Generator().manual_seed(seed)
        chance = np.random.default_rng((config.seed, step, place))
        if step < config.steps:
            photo = photo_batch(self.photos, 1, config.crop, config.seed, step, place)
            truth = estimate_truth([photo])
        elif self.clips is not None and chance.random() < _CLIPS:
            truth = self.clips.truth(count, size, chance)
        elif self.sceneflow is None:
            pictures = photo_batch(
                self.photos, _LAYERS, size * 5 // 4, config.seed, step, place * _LAYERS
            )
            drawn = draw_layers(pictures, (size, size), generator, config.speed, _STILL)
            truth = show(drawn, count)
        else:
            truth = self.sceneflow.truth(count, size, chance)
        return observe(
            *truth, config.noise, config.exposure, generator, config.stray, config.compressed
        )

    def __getitem__(self, step: int) -> Item:
        skipped = self.sceneflow.skipped if self.sceneflow else {}
        before = len(skipped)
        try:
            batch = self.load(step)
        except StylevidError as error:  # as it is: DataLoader would wrap it in a traceback
            batch = error
        return batch, dict(islice(skipped.items(), before, None))

    def batches(self, first: int, last: int) -> Iterator[Sequences]:
        """The batches of the steps from `first` up to `last`, loaded ahead.

        Raises:
            StylevidError: a picture cannot be read, or pair after pair of SceneFlow.
        """
        loader = DataLoader(
            self, batch_size=None, sampler=range(first, last), num_workers=self.workers,
            prefetch_factor=1 if self.workers else None, worker_init_fn=_start_worker,
            # A fork would copy the locks of OpenMP's, OpenCV's and torch's threads as they are.
            multiprocessing_context="spawn" if self.workers else None,
            generator=torch.Generator(),  # which leaves global chance alone
        )  # fmt: skip
        started = time.perf_counter()
        for batch, skipped in loader:
            self.waited_s += time.perf_counter() - started
            if self.sceneflow:
                self.sceneflow.skip(skipped)
            if isinstance(batch, StylevidError):
                raise batch
            yield batch
            started = time.perf_counter()


def _start_worker(_: int) -> None:
    logging.disable()  # the process that trains tells what its workers skip
