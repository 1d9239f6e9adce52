"""Real clips to learn from: parts of them, with flow as well as it can be estimated."""

from contextlib import closing
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from stylevid.errors import StyleError
from stylevid.frames import Frame, fit
from stylevid.learn.sequences import estimate_truth
from stylevid.video import VideoInfo, probe, read_frames

from .images import draw_crop

MOST_FRAMES = 120  # of a clip, from its start, and at most LONGEST pixels: they are kept in memory
LONGEST = 800


class Clips:
    """Frames of clips; cuts within them do no harm, since nothing is visible across a cut."""

    def __init__(self, paths: list[Path], least: int) -> None:
        """
        Args:
            least: frames that a clip must have.
        Raises:
            VideoError: a clip cannot be read.
        """
        self._infos = [probe(path) for path in paths]
        self._least = least

    @cached_property
    def _clips(self) -> list[list[Frame]]:
        """Read by each process that draws from them, when it does."""
        return [self._read(info) for info in self._infos]

    def _read(self, info: VideoInfo) -> list[Frame]:
        size = fit(info.height, info.width, min(LONGEST, max(info.height, info.width)))
        with closing(read_frames(info, size)) as decoded:
            frames = [timed.frame for timed in islice(decoded, MOST_FRAMES)]
        if len(frames) < self._least:
            raise StyleError(f"{info.path} has {len(frames)} frames; sequences have {self._least}. "
                             "Leave it out, or give --frames.")  # fmt: skip
        return frames

    def truth(
        self, count: int, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`count` frames of a square of `size` pixels of one of the clips, flow and visibility, as
        in `Sequences`: random place, time, scale and mirror."""
        clip = self._clips[rng.integers(len(self._clips))]
        start = int(rng.integers(len(clip) - count + 1))
        crop = draw_crop(clip[0].shape, size, rng)
        return estimate_truth([crop(frame) for frame in clip[start : start + count]])
