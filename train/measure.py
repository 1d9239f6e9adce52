"""What a style is judged by: steadiness on real clips and on frames with ground truth, style and
content loss on pictures. Numbers only; the command that prints them is `evaluate`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from stylevid.frames import fit, size_of, unpad
from stylevid.metrics import Flicker, FlickerMeter
from stylevid.painter import Painter
from stylevid.stabilize import TemporalStabilizer
from stylevid.video import probe, read_yuv
from stylevid.warp import warp
from stylevid.yuv import image_to_yuv, yuv_to_image

from . import losses
from .clips import Pairs
from .vgg import VGG16Features


@dataclass(frozen=True)
class Fidelity:
    """Style and content loss, means over `count` pictures; nan when there were none."""

    style: float
    content: float
    count: int


@dataclass(frozen=True)
class ClipScore:
    """One clip, one style: E_warp at 1 and 10 frames, and the fidelity of a few of its frames.

    Both flickers have the versions "off" (the network alone) and, if it was asked for, "on" (the
    temporal-consistency switch).
    """

    clip: str
    short: Flicker
    long: Flicker
    fidelity: Fidelity | None = None


class Judge:
    """Style and content loss against one painting, as the training has them, unweighted."""

    def __init__(self, vgg: VGG16Features, painting: Tensor) -> None:
        """
        Args:
            vgg: on the device where the pictures will be.
            painting: 1,3,H,W in [0, 1].
        """
        self.vgg = vgg
        with torch.no_grad():
            self._grams = [losses.gram_matrix(f) for f in vgg(painting.to(vgg.mean.device))]

    @torch.no_grad()
    def __call__(self, stylized: Tensor, image: Tensor) -> tuple[float, float]:
        """Style and content loss of the painted image, both N,3,H,W in [0, 1]."""
        with torch.autocast(image.device.type, torch.bfloat16):
            features, wanted = self.vgg(stylized), self.vgg(image).relu3_3
        style = losses.style_loss(features, self._grams)
        return style.item(), losses.content_loss(features.relu3_3, wanted).item()


def mean_fidelity(values: Iterable[tuple[float, float]]) -> Fidelity:
    """The means of (style, content) pairs."""
    pairs = list(values)
    if not pairs:
        return Fidelity(math.nan, math.nan, 0)
    style, content = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return Fidelity(style, content, len(pairs))


@torch.inference_mode()
def score_clip(
    clip: Path,
    painters: Mapping[str, Painter],
    frames: int,
    size: int,
    switch: bool = True,
    judge: Judge | None = None,
) -> dict[str, ClipScore]:
    """Each painter's score on the first `frames` frames of a clip, `size` pixels at its longest.

    The clip is decoded and its flow estimated once for all painters.

    Args:
        switch: measure with the temporal-consistency switch on as well; the flow is then
            Farneback's, else DIS's.
        judge: takes style and content loss of every twelfth frame, switch off.
    Raises:
        VideoError: the clip cannot be read.
    """
    info = probe(clip)
    fitted = fit(info.height, info.width, min(size, max(info.height, info.width)))
    stabilizers = {name: TemporalStabilizer() for name in painters}
    # DIS follows clips more closely than Farneback, and the stabilizer uses it: so it judges only
    # where there is no stabilizer.
    estimator = "farneback" if switch else "dis"
    meters = [FlickerMeter(interval, longest=None, judge=estimator) for interval in (1, 10)]
    fidelities: dict[str, list[tuple[float, float]]] = {name: [] for name in painters}
    for number, timed in enumerate(islice(read_yuv(info, fitted), frames)):
        versions: dict[str, Tensor] = {}
        image = None
        for name, painter in painters.items():
            image = yuv_to_image(timed.frame, painter.device)
            (painted,) = painter.paint([timed.frame])
            versions[f"off {name}"] = stylized = yuv_to_image(painted, painter.device)
            if switch:
                steadied = stabilizers[name].step(timed.frame, painted)
                versions[f"on {name}"] = yuv_to_image(steadied, painter.device)
            if judge and number % 12 == 0:
                fidelities[name].append(judge(stylized, image))
        if image is not None:
            for meter in meters:
                meter.update(image, versions)
    short, long = (meter.result() for meter in meters)
    return {
        name: ClipScore(
            clip.name,
            _versions_of(short, name),
            _versions_of(long, name),
            mean_fidelity(fidelities[name]) if judge else None,
        )
        for name in painters
    }


def _versions_of(flicker: Flicker, name: str) -> Flicker:
    """One painter's part of a flicker that was measured for all."""

    def part(values: dict[str, float]) -> dict[str, float]:
        kinds = (key.split(" ", 1) for key in values)
        return {kind: values[f"{kind} {owner}"] for kind, owner in kinds if owner == name}

    return Flicker(flicker.floor, part(flicker.errors), part(flicker.sharpness), flicker.pairs)


def paint_image(painter: Painter, image: Tensor) -> Tensor:
    """The painting of an image 1,3,H,W in [0, 1], as a video of one frame."""
    (painted,) = painter.paint([image_to_yuv(image)])
    return unpad(yuv_to_image(painted, image.device), *size_of(image))


@torch.inference_mode()
def score_pictures(painter: Painter, pictures: Iterable[Tensor], judge: Judge) -> Fidelity:
    """Style and content loss of a network on pictures 1,3,H,W in [0, 1]."""

    def scores() -> Iterable[tuple[float, float]]:
        for picture in pictures:
            image = picture.to(painter.device)
            yield judge(paint_image(painter, image), image)

    return mean_fidelity(scores())


@torch.inference_mode()
def stability_error(painter: Painter | None, pairs: Iterable[Pairs]) -> tuple[float, int]:
    """e_stab over neighbouring frames with ground-truth flow, and the number of pairs.

    e_stab = sqrt(mean over pairs of (1/D) sum M (O_t - W O_{t-1})^2), D = 3 H W, values in
    [0, 1]. Unlike E_warp it divides by all pixels, not by the visible ones alone.

    Args:
        painter: None measures the frames themselves: the floor.
        pairs: whole frames; N,3,H,W each.
    Source: the temporal error e_stab of ReCoNet, Gao et al. 2018, section 4.
    """
    squares: list[float] = []
    for pair in pairs:
        cur, prev = (
            x if painter is None else torch.cat([paint_image(painter, one) for one in x.split(1)])
            for x in (pair.cur, pair.prev)
        )
        warped, _ = warp(prev, pair.flow_cur_to_prev)
        squares.append((pair.visible * (cur - warped).square()).mean().item())
    if not squares:
        return math.nan, 0
    return math.sqrt(sum(squares) / len(squares)), len(squares)
