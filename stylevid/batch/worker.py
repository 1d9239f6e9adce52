"""A worker: its networks are loaded once, then it paints one clip after another."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import torch
from torch import Tensor

from ..errors import Cancelled, StylevidError
from ..network import StyleNet
from ..painter import Painter
from ..pipeline import Piece, Result, stylize_video
from ..recipe import read_recipe
from ..video import VideoInfo, join_pieces, probe
from ..weights import load_network, save_network
from .film import cut_film, is_long
from .jobs import PIECES, InPieces, Job, Join, Record
from .places import deliver, exists, fetch, hide_queries, in_a_line, remove, scratch_of

log = logging.getLogger(__name__)

_PAUSE_S = 10.0  # after trouble outside: a store that is begun anew needs some seconds


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers of a batch have in common.

    Attributes:
        networks: by the sha256 of their weights.
        paintings: what those that are to learn hold of their paintings, by the same.
        threads: of a worker, its share of the cores.
        device, engine: as `Painter` takes them; by default workers take turns on the GPUs.
    """

    out: str
    networks: Mapping[str, StyleNet]
    paintings: Mapping[str, Mapping[str, Tensor]]
    threads: int
    device: str | None = None
    engine: str | None = None


class Worker:
    """Paints clips; what goes wrong with one is said in its record."""

    def __init__(self, number: int, should_stop: Callable[[], bool] = lambda: False) -> None:
        """The worker's number in the batch, and what is asked after each frame."""
        self._number, self._should_stop = number, should_stop

    def get_ready(self, config: WorkerConfig) -> None:
        """Load the first network, or raise that the device or the engine is not there."""
        torch.set_num_threads(config.threads)
        cv2.setNumThreads(config.threads)
        self._config, self._painters = config, dict[str, Painter]()
        self._fetched: tuple[str, Path] | None = None
        self._learned: tuple[str, Painter] | None = None
        self._scratch = scratch_of(config.out) / str(self._number)
        shutil.rmtree(self._scratch, ignore_errors=True)  # what a worker that died has left
        self._scratch.mkdir(parents=True)
        self._painter(next(iter(config.networks)))

    def _painter(self, weights: str) -> Painter:
        if weights not in self._painters:
            self._painters[weights] = self._ready(self._config.networks[weights])
        return self._painters[weights]

    def _ready(self, network: StyleNet) -> Painter:
        device, gpus = self._config.device, torch.cuda.device_count()
        device = f"cuda:{self._number % gpus}" if gpus and device is None else device
        return Painter(network, device, self._config.engine)

    def paint(self, job: Job) -> Record | InPieces:
        """Paint a clip and deliver it, or say why not; a long one is only taken apart.

        Raises:
            Cancelled: `should_stop` said yes.
        """
        try:
            return self._paint(job)
        except Cancelled:
            raise
        except OSError as error:  # a full disk, a store out of reach: the batch goes on
            reason = in_a_line(error)
            log.warning("%s: %s", hide_queries(job.source), reason)
        except (StylevidError, ValueError) as error:
            return job.record("refused", error=str(error))
        except Exception as error:  # of a store, or a fault of ours
            reason = in_a_line(error)
            log.exception("%s", hide_queries(job.source))
        time.sleep(_PAUSE_S)
        return job.record("failed", error=f"{reason}.")

    def _paint(self, job: Job) -> Record | InPieces:
        piece = job.part if isinstance(job.part, Piece) else None
        if piece and exists(f"{self._config.out}/{job.target}"):  # of a batch that was killed
            return job.record("painted", frames=len(piece.ticks) - 1)
        info = probe(self._fetch(job.source))
        with TemporaryDirectory(dir=self._scratch) as scratch:
            folder = Path(scratch)
            if isinstance(job.part, Join):
                return self._join(job, job.part, info, folder)
            if not piece and is_long(info, job.options, job.piece_s):
                return self._take_apart(job, info, folder)
            painter = self._painter_of(job, info, folder)
            painter.styles = (job.style,)  # which its file tells
            painted = folder / "painted" / PurePosixPath(job.target).name
            painted.parent.mkdir()
            result = stylize_video(info, painted, painter, job.options,
                                   should_stop=self._should_stop, piece=piece)  # fmt: skip
            return self._deliver(job, painted, _figures(result))

    def _fetch(self, source: str) -> Path:
        """The clip's path here; of a remote one, a copy that is kept until another one comes."""
        if self._fetched is None or self._fetched[0] != source:
            folder, self._fetched = self._scratch / "source", None
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._fetched = source, fetch(source, folder)
        return self._fetched[1]

    def _painter_of(self, job: Job, info: VideoInfo, folder: Path) -> Painter:
        if job.learned and (self._learned is None or self._learned[0] != job.learned):
            weights = fetch(f"{self._config.out}/{job.learned}", folder)
            self._learned = job.learned, self._ready(load_network(weights))
        if job.learned and self._learned:
            return self._learned[1]
        return self._ready(self._learn(job, info)) if job.learn_s else self._painter(job.weights)

    def _learn(self, job: Job, info: VideoInfo) -> StyleNet:
        # Learning loads VGG, and what is quick needs none of it.
        from ..learn.clip import learn_clip
        from ..learn.losses import PaintingTargets

        device = self._painter(job.weights).device
        painting = PaintingTargets.unpack(self._config.paintings[job.weights])
        network = self._config.networks[job.weights]
        return learn_clip(network, painting, info.path, job.options, job.learn_s,
                          should_stop=self._should_stop, device=device).cpu()  # fmt: skip

    def _take_apart(self, job: Job, info: VideoInfo, folder: Path) -> InPieces:
        learned = f"{job.pieces}.safetensors" if job.learn_s else None
        if learned and not exists(f"{self._config.out}/{learned}"):
            save_network(self._learn(job, info), folder / "learned.safetensors")
            deliver(folder / "learned.safetensors", f"{self._config.out}/{learned}")
        return InPieces(job, cut_film(info, job.options, job.piece_s, self._should_stop), learned)

    def _join(self, job: Job, join: Join, info: VideoInfo, folder: Path) -> Record:
        started = time.monotonic()
        places = [f"{self._config.out}/{record.target}" for record in join.records]
        joined = folder / "joined.mp4"
        pieces = [fetch(place, folder) for place in places]
        recipe = read_recipe(pieces[0])
        join_pieces(pieces, [piece.shown_s for piece in join.pieces], joined, info,
                    job.options.span, recipe.as_json() if recipe else "")  # fmt: skip
        seconds = sum(record.seconds for record in join.records) + time.monotonic() - started
        measured = [(record.frames, record.flicker) for record in join.records if record.flicker]
        weight = sum(frames for frames, _ in measured)
        flicker = {
            name: float(f"{sum(n * errors[name] for n, errors in measured) / weight:.4g}")
            for name in (measured[0][1] if measured else ())
        }
        record = self._deliver(job, joined, {
            "frames": sum(record.frames for record in join.records),
            "seconds": round(seconds, 3), "flicker": flicker or None,
            "tries": max(record.tries for record in join.records),
        })  # fmt: skip
        remove(f"{self._config.out}/{PIECES}/{job.target}")
        return record

    def _deliver(self, job: Job, painted: Path, figures: Mapping[str, Any]) -> Record:
        size_bytes = painted.stat().st_size
        if self._should_stop():
            raise Cancelled("Nobody waits for it any more.")
        deliver(painted, f"{self._config.out}/{job.target}")
        return job.record("painted", size_bytes=size_bytes, **figures)


def _figures(result: Result) -> dict[str, Any]:
    figures: dict[str, Any] = {"frames": result.frames, "seconds": round(result.seconds, 3)}
    if result.flicker and result.flicker.pairs:
        errors = {"floor": result.flicker.floor, **result.flicker.errors}
        figures["flicker"] = {name: float(f"{error:.4g}") for name, error in errors.items()}
    return figures
