"""What a style is judged by, measured on what is delivered: pictures and videos are painted as a
user has them painted, and the video files are decoded again."""

import subprocess
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from imageio_ffmpeg import get_ffmpeg_exe
from torch import Tensor

from stylevid.errors import VideoError
from stylevid.frames import Frame, to_image
from stylevid.learn import losses
from stylevid.learn.vgg import VGG16Features
from stylevid.metrics import CUT_BELOW, Flicker, FlickerMeter
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_image, stylize_video, target_size
from stylevid.video import VideoInfo, probe, read_yuv
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
    with painted_files(clip, painters, frames, size) as (cut, files):
        for number, (image, versions) in enumerate(decoded(cut, files, size)):
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


@contextmanager
def painted_files(
    clip: Path, painters: Mapping[str, Painter], frames: int, size: int
) -> Generator[tuple[Path, dict[str, Path]]]:
    """The first frames of a clip as a file of their own, and the files that each painter makes of
    it, by "off NAME" and "on NAME"; all are gone when the block ends."""
    files: dict[str, Path] = {}
    with TemporaryDirectory() as folder:
        cut = _cut(probe(clip), frames, Path(folder) / "cut.mp4")
        for name, painter in painters.items():
            for kind in KINDS:
                files[f"{kind} {name}"] = target = Path(folder) / f"{len(files)}.mp4"
                options = Options(kind == "on", size, enlarge=False, measure=False)
                stylize_video(cut, target, painter, options)
        yield cut, files


def decoded(
    clip: Path, files: Mapping[str, Path], size: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Each frame of a clip, `size` pixels at its longest, with the same frame of every file that
    was painted from it, 1,3,H,W in [0, 1]."""
    info = probe(clip)
    fitted = target_size(info.height, info.width, Options(size=size, enlarge=False))
    with ExitStack() as stack:
        source = stack.enter_context(closing(read_yuv(info, fitted)))
        painted = [stack.enter_context(closing(read_yuv(probe(f)))) for f in files.values()]
        for timed, *others in zip(source, *painted, strict=True):
            versions = {n: yuv_to_image(o.frame) for n, o in zip(files, others, strict=True)}
            yield yuv_to_image(timed.frame), versions


def _cut(info: VideoInfo, frames: int, target: Path) -> Path:
    """The first frames of a video, silent and without loss."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(info.path), "-map", "0:v:0",
               "-frames:v", str(frames), "-fps_mode", "passthrough",
               "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", str(target)]  # fmt: skip
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["ffmpeg said nothing"]
        raise VideoError(f"{info.path.name} cannot be cut to {frames} frames: {said[0]}.")
    return target


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
