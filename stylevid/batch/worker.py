"""A worker: its networks are loaded once, then it paints one clip after another."""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import torch

from ..errors import Cancelled, StylevidError
from ..network import StyleNet
from ..painter import Painter
from ..pipeline import Result, stylize_video
from .jobs import Job, Record
from .places import deliver, fetch, in_a_line, scratch_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers of a batch have in common.

    Attributes:
        out: the folder or URL of the results.
        networks: by the sha256 of their weights.
        threads: of a worker, its share of the cores.
        device, engine: as `Painter` takes them; by default workers take turns on the GPUs.
    """

    out: str
    networks: Mapping[str, StyleNet]
    threads: int
    device: str | None = None
    engine: str | None = None


class Worker:
    """Paints clips; what goes wrong with one is said in its record."""

    def __init__(self, number: int, should_stop: Callable[[], bool] = lambda: False) -> None:
        """
        Args:
            number: of the worker among those of the batch.
            should_stop: asked after each frame.
        """
        self._number, self._should_stop = number, should_stop

    def get_ready(self, config: WorkerConfig) -> None:
        """Load the first network.

        Raises:
            StylevidError: the device or the engine is not there.
        """
        torch.set_num_threads(config.threads)
        cv2.setNumThreads(config.threads)
        self._config, self._painters = config, dict[str, Painter]()
        self._scratch = scratch_of(config.out) / str(self._number)
        shutil.rmtree(self._scratch, ignore_errors=True)  # what a worker that died has left
        self._scratch.mkdir(parents=True)
        self._painter(next(iter(config.networks)))

    def _painter(self, weights: str) -> Painter:
        if weights not in self._painters:
            device, gpus = self._config.device, torch.cuda.device_count()
            device = f"cuda:{self._number % gpus}" if gpus and device is None else device
            network = self._config.networks[weights]
            self._painters[weights] = Painter(network, device, self._config.engine)
        return self._painters[weights]

    def paint(self, job: Job) -> Record:
        """Paint a clip and deliver it, or say why not.

        Raises:
            Cancelled: `should_stop` said yes.
        """
        try:
            return self._paint(job)
        except Cancelled:
            raise
        except (StylevidError, ValueError) as error:
            return job.record("refused", error=str(error))
        except Exception as error:  # a full disk, a store out of reach: the batch goes on
            log.exception("%s", job.source)
            return job.record("failed", error=f"{in_a_line(error)}.")

    def _paint(self, job: Job) -> Record:
        with TemporaryDirectory(dir=self._scratch) as folder:
            painted = Path(folder) / "painted" / PurePosixPath(job.target).name
            painted.parent.mkdir()
            result = stylize_video(fetch(job.source, Path(folder)), painted,
                                   self._painter(job.weights), job.options,
                                   should_stop=self._should_stop)  # fmt: skip
            size_bytes = painted.stat().st_size
            if self._should_stop():
                raise Cancelled("Nobody waits for it any more.")
            deliver(painted, f"{self._config.out}/{job.target}")
        return job.record("painted", size_bytes=size_bytes, **_figures(result))


def _figures(result: Result) -> dict[str, Any]:
    figures: dict[str, Any] = {"frames": result.frames, "seconds": round(result.seconds, 3)}
    if result.flicker and result.flicker.pairs:
        errors = {"floor": result.flicker.floor, **result.flicker.errors}
        figures["flicker"] = {name: float(f"{error:.4g}") for name, error in errors.items()}
    return figures
