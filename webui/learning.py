"""Learning for one visitor: the clip, and a painting of their own, before it is painted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stylevid.frames import Frame
from stylevid.learn.clip import Lesson, learn_clip
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.painting import nearest, study, targets_of
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress, Result, stylize_video
from stylevid.styles import Style
from stylevid.weights import load_network, save_network

from .painting import Job

SKETCH_EVERY_S = 3.0


@dataclass(frozen=True)
class Sketch:
    """How far the learning is, and a frame as it would be painted now, uint8 H,W,3."""

    fraction: float
    left_s: float
    picture: Frame


@dataclass(frozen=True)
class Course:
    """What is to be learned, and then painted, called like `stylize_video`.

    Attributes:
        style: to start from, and whose painting it is unless there is another.
        picture: the visitor's own painting; None learns the style's.
        styles: from which the nearest to the picture is started from.
        job: stopped once, it paints with what is learned so far; stopped again, or left, it stops.
    """

    seconds: float
    style: Style
    picture: Path | None
    styles: list[Style]
    job: Job

    def __call__(
        self,
        video: Path,
        target: Path,
        painter: Painter,
        options: Options,
        tell: Callable[[Progress | Sketch], None],
        should_stop: Callable[[], bool],
    ) -> Result:
        """Learn, keep what was learned beside `target` as a style, and paint."""
        style, painting = self._start()
        told = -SKETCH_EVERY_S

        def show(lesson: Lesson) -> None:
            nonlocal told
            if time.monotonic() - told >= SKETCH_EVERY_S:
                told = time.monotonic()
                tell(Sketch(lesson.fraction, lesson.left_s, lesson.preview()))

        network = learn_clip(load_network(style), painting, video, options, self.seconds, show,
                             should_stop, painter.device)  # fmt: skip
        self.job.go_on()
        save_network(network, target.with_suffix(".safetensors"), painting.pack())
        learned = Painter(network.cpu(), str(painter.device))
        return stylize_video(video, target, learned, options, tell, should_stop)

    def _start(self) -> tuple[Style, PaintingTargets]:
        if self.picture is not None:
            painting = study(self.picture)
            return nearest(painting, self.styles), painting
        return self.style, targets_of(self.style)
