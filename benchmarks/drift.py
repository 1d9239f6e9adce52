"""`python -m benchmarks.drift`: whether a thousand frames on, paint that was painted over paint is
still what it was at first: the table of docs/temporal.md.

Old paint is compared with that of a painter who began one second before the same second of the same
scene, so that only its age counts; nothing goes through an encoder."""

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from torch import Tensor

from stylevid.errors import exit_status
from stylevid.frames import fit, luma, resize, size_of, to_frame, to_image
from stylevid.learn.losses import style_loss
from stylevid.learn.painting import read_picture, targets_of
from stylevid.learn.vgg import load_vgg
from stylevid.metrics import gradient_energy
from stylevid.painter import Painter
from stylevid.pipeline import Options, paint_frames
from stylevid.styles import get_style
from stylevid.video import Span, Timed, probe, read_frames
from stylevid.yuv import image_to_yuv, yuv_to_image

FRAMES, SECOND = 1000, 25
CHECKS = (0.1, 0.25, 0.5, 0.75, 1)  # of the frames
EVERY = 6  # frames of a second between those that are measured
NOISE = 0.008  # standard deviation, of a camera that stands still
PAN = 0.4  # pixels a frame
MEASURES = ("red", "green", "blue", "contrast", "sharpness", "style")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--styles", nargs="+", required=True, help="names of bundled styles")
    parser.add_argument("--photo", type=Path, required=True, help="stands still, and is panned")
    parser.add_argument("--clip", type=Path, required=True, help="whose first second is a loop")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--size", type=int, default=320, help="longest side, pixels")
    parser.add_argument("--out", type=Path, help="a folder for frames to look at")
    options = parser.parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """
    Raises:
        StylevidError: a style, the photo or the clip cannot be used.
    """
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    scenes = make_scenes(options.photo, options.clip, options.size)
    print("| | scene | " + " | ".join(MEASURES) + " |")  # noqa: T201
    print("| --- | --- |" + " ---: |" * len(MEASURES))  # noqa: T201
    for style in options.styles:
        for name, scene in scenes.items():
            stem = options.out and options.out / f"{style}-{name}"
            found = follow(style, scene, options.frames, stem)
            cells = (f"{column[-1] - 1:+.1%} ({max(column, key=lambda v: abs(v - 1)) - 1:+.1%})"
                     for column in zip(*found, strict=True))  # fmt: skip
            print(f"| {style} | {name} | {' | '.join(cells)} |", flush=True)  # noqa: T201


Scene = Callable[[int], Tensor]
"""Its frame of a number, 1,3,H,W, of even sides."""


def make_scenes(photo: Path, clip: Path, size: int) -> dict[str, Scene]:
    """A still, with a camera's noise and without, a slow pan there and back, and a loop."""
    height, width = size * 9 // 32 * 2, size // 2 * 2
    wide = to_image(read_picture(photo))
    shape = size_of(wide)
    wide = resize(wide, (round(shape[0] * 1.5 * width / shape[1]), 3 * width // 2))
    still = wide[..., :height, :width]
    info = probe(clip)
    fitted = fit(info.height, info.width, size)
    with closing(read_frames(info, (fitted[0] // 2 * 2, fitted[1] // 2 * 2), Span(0, 1))) as read:
        loop = [to_image(timed.frame) for timed in read]

    def noisy(number: int) -> Tensor:
        chance = torch.Generator().manual_seed(number)
        return (still + NOISE * torch.randn(still.shape, generator=chance)).clamp(0, 1)

    def pan(number: int) -> Tensor:
        room = size_of(wide)[1] - width - 1
        left = room - abs(room - number * PAN % (2 * room))
        part, whole = left % 1, int(left)
        here, there = (wide[..., :height, x : x + width] for x in (whole, whole + 1))
        return here + part * (there - here)

    def back_and_forth(number: int) -> Tensor:
        last = len(loop) - 1
        return loop[last - abs(last - number % (2 * last))]

    return {"still": lambda _: still, "noise": noisy, "pan": pan, "loop": back_and_forth}


@torch.inference_mode()
def follow(style: str, scene: Scene, frames: int, stem: Path | None = None) -> list[list[float]]:
    """At each of CHECKS of the frames: each of MEASURES of its second, old over young."""
    targets = targets_of(get_style(style))
    vgg, painter = load_vgg(), Painter(get_style(style))

    def measure(second: list[Tensor]) -> Tensor:
        images = torch.cat(second[::EVERY])
        fidelity = style_loss(vgg(images), targets.grams)
        sharp = mean(gradient_energy(image) for image in images.split(1))
        return torch.tensor([*images.mean((0, 2, 3)), luma(images).std(), sharp, fidelity])

    ends = [round(share * frames) for share in CHECKS]
    found: list[list[float]] = []
    second: deque[Tensor] = deque(maxlen=SECOND)
    for number, image in enumerate(paint(painter, scene, 0, frames), start=1):
        second.append(image)
        if number in ends:
            young = list(paint(painter, scene, number - 2 * SECOND, number))[SECOND:]
            found.append((measure(list(second)) / measure(young)).tolist())
        if stem is not None and number in (SECOND, frames // 4, frames):
            Image.fromarray(to_frame(image)).save(f"{stem}-{number}.png")
    return found


def paint(painter: Painter, scene: Scene, first: int, last: int) -> Iterator[Tensor]:
    """The paintings of these frames of a scene, the first of them without a past."""
    source = (Timed(image_to_yuv(scene(number)), Fraction(number), Fraction(1))
              for number in range(first, last))  # fmt: skip
    with closing(paint_frames(source, painter, Options())) as paintings:
        for painted in paintings:
            yield yuv_to_image(painted.shown)


if __name__ == "__main__":
    sys.exit(main())
