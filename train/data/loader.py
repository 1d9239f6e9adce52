"""Batches for the loop, loaded ahead of it by processes of their own.

A batch is a function of (seed, step) and of its place among all processes' shares alone.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stylevid.errors import StylevidError

from ..config import TrainConfig
from .images import photo_batch
from .pairs import CUTOUTS, Pairs
from .sceneflow import SceneFlow, Trouble, pair_batch

Batch = Tensor | Pairs
Item = tuple[Batch | StylevidError, dict[Trouble, str]]
"""A step's batch, or why there is none, and what was skipped for it."""


@dataclass
class TrainingData(Dataset[Item]):
    """Photographs, and pairs of frames for the temporal stage: an item for every step.

    Attributes:
        sceneflow: where pairs are read from; None leaves them to be generated from photographs.
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
    waited_s: float = field(default=0.0, init=False)

    @property
    def first_pair(self) -> int:
        """The place of this process's first pair among all pairs of a step."""
        return self.rank * (self.config.temporal_batch // self.processes)

    def load(self, step: int) -> Batch:
        """This process's share of a step's batch: crops; or pairs; or the layers that pairs are
        generated from, on the device that trains."""
        config, is_temporal = self.config, step >= self.config.steps
        share = (config.temporal_batch if is_temporal else config.batch) // self.processes
        if is_temporal and self.sceneflow:
            size = config.temporal_crop
            return pair_batch(self.sceneflow, share, size, config.seed, step, self.first_pair)
        if is_temporal:
            share, size = share * (1 + CUTOUTS), config.temporal_crop * 5 // 4
        else:
            size = config.crop
        return photo_batch(self.photos, share, size, config.seed, step, self.rank * share)

    def __getitem__(self, step: int) -> Item:
        skipped = self.sceneflow.skipped if self.sceneflow else {}
        before = len(skipped)
        try:
            batch = self.load(step)
        except StylevidError as error:  # as it is: DataLoader would wrap it in a traceback
            batch = error
        return batch, dict(islice(skipped.items(), before, None))

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of the steps from `first` up to `last`, loaded ahead.

        Raises:
            StylevidError: a picture cannot be read, or pair after pair of SceneFlow.
        """
        loader = DataLoader(
            self, batch_size=None, sampler=range(first, last), num_workers=self.workers,
            prefetch_factor=1 if self.workers else None, worker_init_fn=_start_worker,
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
