"""Several processes that train as one, as `torchrun` starts them; a single process otherwise."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stylevid.painter import find_device

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process's place among all: rank 0 alone writes files."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, value: T) -> T:
        """What rank 0 passed, on every process."""
        if self.count == 1:
            return value
        box: list[T] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of a tensor that each has."""
        if self.count > 1:
            dist.all_reduce(values)
        return values / self.count

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all processes after each backward pass."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(module)


@contextmanager
def join(device: str) -> Generator[tuple[Processes, str]]:
    """Meet the other processes of `torchrun`, and part at the end.

    Yields:
        The processes, and this one's device: its own GPU where `device` is "cuda".
    Raises:
        StylevidError: there is no such device.
    """
    alone = "WORLD_SIZE" not in os.environ
    if device == "cuda" and not alone:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    place = find_device(device)
    if alone:
        yield Processes(), device
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
