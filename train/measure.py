"""What a style is judged by, measured on what is delivered: pictures and videos are painted as a
user has them painted, and the video files are decoded again."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from stylevid.frames import Frame, to_image
from stylevid.learn import losses
from stylevid.learn.vgg import VGG16Features
from stylevid.metrics import CUT_BELOW, Flicker, FlickerMeter
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_image, stylize_video, target_size
from stylevid.video import Span, probe, read_yuv
from stylevid.yuv import yuv_to_image

PAIR_EVERY = 3  # frames between the pairs whose warping error is measured
LOSS_EVERY = 16  # frames between those whose losses are; never the first, painted alike off and on
KINDS = ("off", "on")  # the temporal-consistency switch


class Judge:
    """Style and content loss against one painting, as the training has them, unweighted."""

    def __init__(self, vgg: VGG16Features, painting: Tensor) -> None:
        """
        Args:
            vgg: on the device where it is to work.
            painting: 1,3,H,W in [0, 1], in the size that the style was trained with.
        """
        self._vgg = vgg
        with torch.no_grad():
            self._grams = [losses.gram_matrix(f) for f in vgg(painting.to(vgg.mean.device))]

    @torch.no_grad()
    def content(self, image: Tensor) -> Tensor:
        """What every painting of an image is compared with: relu3_3, N,256,h,w."""
        return self._vgg.content(image.to(self._vgg.mean.device))

    @torch.no_grad()
    def compare(self, painted: Tensor, content: Tensor) -> tuple[float, float]:
        """Style and content loss of a painting N,3,H,W in [0, 1] of the image with that
        `content`."""
        features = self._vgg(painted.to(self._vgg.mean.device))
        style = losses.style_loss(features, self._grams)
        return style.item(), losses.content_loss(features.relu3_3, content).item()


@torch.inference_mode()
def score_clip(
    clip: Path, painters: Mapping[str, Painter], judges: Mapping[str, Judge], frames: int, size: int
) -> dict[str, dict[str, float]]:
    """Each style's numbers on the first `frames` frames of a clip, `size` pixels at its longest.

    The clip is decoded and its flow, by Farneback's estimator, is found once for all styles.

    Args:
        judges: of each style's painting; without any there are no losses.
    Returns:
        By style: E_warp of the clip itself, "floor", and of the painted files, "off" and "on"; the
        same ten frames apart, "floor_10" and so on; "gradient_energy" of the file painted with the
        switch off and "sharpness", on / off; "style" and "content" loss of frames of that file,
        "style_on" and "content_on" of the other. What the clip is too short for is left out.
    Raises:
        VideoError: the clip cannot be read.
    """
    meters = {n: FlickerMeter(n, PAIR_EVERY, longest=None, cut_below=CUT_BELOW) for n in (1, 10)}
    fidelity: dict[str, list[tuple[float, float]]] = {}
    with closing(paintings(clip, painters, frames, size)) as shown:
        for number, (image, versions) in enumerate(shown):
            for meter in meters.values():
                meter.update(image, versions)
            if not judges or number % LOSS_EVERY < LOSS_EVERY - 1:
                continue
            content = next(iter(judges.values())).content(image)
            for version, painted in versions.items():
                judge = judges[version.split(" ", 1)[1]]
                fidelity.setdefault(version, []).append(judge.compare(painted, content))
    flickers = {interval: meter.result() for interval, meter in meters.items()}
    return {name: _numbers(name, flickers, fidelity) for name in painters}


def _numbers(
    name: str, flickers: Mapping[int, Flicker], fidelity: Mapping[str, list[tuple[float, float]]]
) -> dict[str, float]:
    """One style's part of what was measured for all."""
    numbers: dict[str, float] = {}
    for interval, flicker in flickers.items():
        if flicker.pairs:
            suffix = "" if interval == 1 else f"_{interval}"
            numbers[f"floor{suffix}"] = flicker.floor
            numbers |= {kind + suffix: flicker.errors[f"{kind} {name}"] for kind in KINDS}
    if (sharp := flickers[1].sharpness) and sharp[f"off {name}"]:
        numbers["gradient_energy"] = sharp[f"off {name}"]
        numbers["sharpness"] = sharp[f"on {name}"] / sharp[f"off {name}"]
    for kind, suffix in zip(KINDS, ("", "_on"), strict=True):
        if values := fidelity.get(f"{kind} {name}"):
            style, content = map(mean, zip(*values, strict=True))
            numbers |= {f"style{suffix}": style, f"content{suffix}": content}
    return numbers


def paintings(
    clip: Path, painters: Mapping[str, Painter], frames: int, size: int
) -> Generator[tuple[Tensor, dict[str, Tensor]]]:
    """The first frames of a clip, `size` pixels at its longest, each with the same frame of the
    files that every painter makes of them, by "off NAME" and "on NAME", 1,3,H,W in [0, 1]."""
    info = probe(clip)
    fitted = target_size(info.height, info.width, Options(size=size, enlarge=False))
    with closing(read_yuv(info, fitted)) as source:
        times_s = [timed.time_s for timed in islice(source, frames + 1)]
    end_s = float(sum(times_s[-2:]) / 2) if len(times_s) > frames else None  # before the next one
    files: dict[str, Path] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for name, painter in painters.items():
            for kind in KINDS:
                files[f"{kind} {name}"] = target = folder / f"{len(files)}.mp4"
                options = Options(kind == "on", size, enlarge=False, measure=False, end_s=end_s)
                stylize_video(clip, target, painter, options)
        source = stack.enter_context(closing(read_yuv(info, fitted, Span(0, end_s))))
        painted = [stack.enter_context(closing(read_yuv(probe(f)))) for f in files.values()]
        for timed, *others in zip(source, *painted, strict=True):
            versions = {n: yuv_to_image(o.frame) for n, o in zip(files, others, strict=True)}
            yield yuv_to_image(timed.frame), versions


def score_photos(
    photos: Iterable[Frame], painters: Mapping[str, Painter], judges: Mapping[str, Judge]
) -> dict[str, dict[str, float]]:
    """Mean style and content loss of each style's paintings of pictures, and their count."""
    found: dict[str, list[tuple[float, float]]] = {}
    for photo in photos:
        content = next(iter(judges.values())).content(to_image(photo))
        for name, painter in painters.items():
            painted = to_image(stylize_image(photo, painter))
            found.setdefault(name, []).append(judges[name].compare(painted, content))
    means = {name: map(mean, zip(*values, strict=True)) for name, values in found.items()}
    return {
        name: {"style": style, "content": content, "count": len(found[name])}
        for name, (style, content) in means.items()
    }
