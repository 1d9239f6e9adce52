"""What a run tells while it goes on: a progress bar, a log, TensorBoard scalars, sample sheets."""

import json
import logging
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid
from tqdm import tqdm

from stylevid.canvas import image_on_canvas
from stylevid.files import written_whole
from stylevid.frames import Frame, resize, to_frame
from stylevid.learn.painting import read_painting
from stylevid.network import StyleNet

log = logging.getLogger(__name__)


class Reporter(ExitStack):
    """Called after each step; a run that is continued continues its log, too."""

    def __init__(self, folder: Path, samples: list[Path], total: int, sample_every: int) -> None:
        """
        Args:
            folder: the run's: `log.jsonl`, `sample_*.jpg` and TensorBoard's files go there.
            samples: photographs to paint for the sheets.
            total: steps of the whole run.
            sample_every: steps between two sheets.
        """
        super().__init__()
        self._folder, self._log = folder, folder / "log.jsonl"
        self._samples = [read_painting(path) for path in samples]
        self._total, self._sample_every = total, max(1, sample_every)
        self._started = time.perf_counter()
        self._bar: tqdm[Any] | None = None
        self._board = _open_board(folder)
        if self._board:
            self.callback(self._board.close)

    def __call__(self, step: int, values: dict[str, float], network: StyleNet) -> None:
        if self._bar is None:
            self._started -= self._continue_from(step)
            self._bar = tqdm(total=self._total, initial=step - 1, unit="step")
            self.callback(self._bar.close)
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()})
        seconds = round(time.perf_counter() - self._started, 1)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "seconds": seconds, **values}) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f"loss/{name}", value, step)
        if step % self._sample_every == 0 or step == self._total:
            sheet = paint_sheet(network, self._samples)
            Image.fromarray(sheet).save(self._folder / f"sample_{step:05d}.jpg", quality=92)
            if self._board:
                self._board.add_image("samples", sheet, step, dataformats="HWC")

    def _continue_from(self, step: int) -> float:
        """Forget what a stopped run logged after the checkpoint that this run continues from; the
        seconds that it took until then."""
        kept = [line for line in read_log(self._log) if line["step"] < step]
        with written_whole(self._log) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
        return kept[-1]["seconds"] if kept else 0.0


def read_log(path: Path) -> list[dict[str, float]]:
    """What a run has logged, step by step, if anything."""
    logged: list[dict[str, float]] = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        with suppress(ValueError):  # the line that a killed run was writing
            logged.append(json.loads(line))
    return logged


def _open_board(folder: Path) -> Any:
    """TensorBoard's writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("TensorBoard is not installed; the losses are in %s.", folder / "log.jsonl")
        return None
    return SummaryWriter(str(folder))


@torch.no_grad()
def paint_sheet(network: StyleNet, images: list[Tensor]) -> Frame:
    """The images 1,3,H,W as the network paints them now, three in a row, each 480 x 360."""
    device = next(network.parameters()).device
    tiles: list[Tensor] = []
    for image in images:
        with torch.autocast(device.type, torch.bfloat16):
            stylized = network(image_on_canvas(image).to(device))
        tiles += resize(stylized.float(), (360, 480))
    return to_frame(make_grid(tiles, nrow=3, padding=0)[None])
