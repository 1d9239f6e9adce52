"""Batches for the loop, loaded ahead of it by a few threads.

A batch is a function of (seed, step) and of its place among all processes' shares alone.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..config import TrainConfig
from .images import photo_batch
from .pairs import CUTOUTS, Pairs
from .sceneflow import SceneFlow, pair_batch

Batch = Tensor | Pairs


@dataclass
class TrainingData:
    """Photographs, and pairs of frames for the temporal stage.

    Attributes:
        sceneflow: where pairs are read from; None leaves them to be generated from photographs.
        rank, processes: this process takes the `rank`-th share of every batch.
        workers: threads that load, and batches that wait, at most.
        waited_s: how long the loop has stood still for a batch, seconds.
    """

    config: TrainConfig
    photos: list[Path]
    sceneflow: SceneFlow | None = None
    rank: int = 0
    processes: int = 1
    workers: int = 2
    waited_s: float = field(default=0.0, init=False)

    @property
    def first_pair(self) -> int:
        """The place of this process's first pair among all pairs of a step."""
        return self.rank * (self.config.temporal_batch // self.processes)

    def load(self, step: int) -> Batch:
        """This process's share of a step's batch: crops; or pairs; or the layers that pairs are
        generated from, on the device that trains."""
        config = self.config
        if step < config.steps:
            share = config.batch // self.processes
            return self._photos(share, config.crop, step, self.rank * share)
        share = config.temporal_batch // self.processes
        if self.sceneflow is None:
            layers = share * (1 + CUTOUTS)
            return self._photos(layers, config.temporal_crop * 5 // 4, step, self.rank * layers)
        size = config.temporal_crop
        return pair_batch(self.sceneflow, share, size, config.seed, step, self.first_pair)

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
