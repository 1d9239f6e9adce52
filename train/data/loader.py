"""Batches for the loop, loaded ahead of it by a few threads.

A batch is a function of (seed, step) and of its place among all processes' shares alone.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylevid.learn.sequences import Sequences, concatenate, observe

from ..config import TrainConfig
from .clips import Clips
from .images import photo_batch
from .sceneflow import SceneFlow, pair_batch
from .sequences import draw_sequence, of_pairs

Batch = Tensor | Sequences
_PICTURES = 0.25  # share of the sequences that have a single frame
_STILL = 0.25  # share of the others that a fixed camera sees
_CLIPS = 0.6  # share of the sequences that real clips give
_LAYERS = 2  # a moving shape before a background


@dataclass
class TrainingData:
    """Photographs, and pairs of frames for the temporal stage.

    Attributes:
        sceneflow: where pairs are read from; None leaves them to be generated from photographs.
        clips: where _CLIPS of the sequences come from, if they are given.
        rank, processes: this process takes the `rank`-th share of every batch.
        workers: threads that load, and batches that wait, at most.
        waited_s: how long the loop has stood still for a batch, seconds.
    """

    config: TrainConfig
    photos: list[Path]
    sceneflow: SceneFlow | None = None
    clips: Clips | None = None
    rank: int = 0
    processes: int = 1
    workers: int = 2
    waited_s: float = field(default=0.0, init=False)

    def load(self, step: int) -> Batch:
        """This process's share of a step's batch: crops, then sequences."""
        config = self.config
        if step < config.steps:
            share = config.batch // self.processes
            return self._photos(share, config.crop, step, self.rank * share)
        share = config.temporal_batch // self.processes
        rng = np.random.default_rng((config.seed, step))  # all sequences of a step are as long
        count = 1 if rng.random() < _PICTURES else int(rng.integers(2, config.frames + 1))
        places = range(self.rank * share, (self.rank + 1) * share)
        return concatenate([self._sequence(step, place, count) for place in places])

    def _sequence(self, step: int, place: int, count: int) -> Sequences:
        """The sequence of a step at a place among those of all processes."""
        config, size = self.config, self.config.temporal_crop
        seed = (config.seed * 1_000_003 + step) * 4_099 + place
        generator = torch.Generator().manual_seed(seed)
        chance = np.random.default_rng((config.seed, step, place))
        if self.clips is not None and chance.random() < _CLIPS:
            truth = self.clips.truth(count, size, chance)
        elif self.sceneflow is None:
            pictures = self._photos(_LAYERS, size * 5 // 4, step, place * _LAYERS)
            drawn = draw_sequence(pictures, (size, size), generator, config.speed, _STILL)
            truth = drawn.truth(count)
        else:
            truth = of_pairs(pair_batch(self.sceneflow, 1, size, config.seed, step, place))
        return observe(*truth, config.noise, config.exposure, generator, config.stray)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of the steps from `first` up to `last`, loaded ahead."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for step in range(first, last):
                while len(waiting) < self.workers and step + len(waiting) < last:
                    waiting.append(pool.submit(self.load, step + len(waiting)))
                started = time.perf_counter()
                batch = waiting.popleft().result()
                self.waited_s += time.perf_counter() - started
                yield batch

    def _photos(self, count: int, size: int, step: int, first: int) -> Tensor:
        return photo_batch(self.photos, count, size, self.config.seed, step, first)
