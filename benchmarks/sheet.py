"""`python -m benchmarks.sheet`: a style beside what it stands for: pictures at full size, as its
network paints them, as direct optimization does (Gatys et al. 2016), and the painting."""

import argparse
import sys
import unicodedata
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from stylevid.errors import exit_status
from stylevid.files import written_whole
from stylevid.frames import Frame, to_frame
from stylevid.learn.losses import PaintingTargets
from stylevid.learn.objective import LossWeights, Objective
from stylevid.learn.painting import read_painting
from stylevid.learn.vgg import load_vgg
from stylevid.network import StyleNet
from stylevid.painter import Painter
from stylevid.pipeline import stylize_image
from stylevid.styles import read_style
from train.config import TrainConfig

from .optimize import optimize_pixels, picture_loss

BAR = 26  # pixels over a picture, for its name


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.sheet", description=__doc__)
    parser.add_argument("--style", type=Path, required=True, help="weights, beside their record")
    parser.add_argument("--painting", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=640, help="longest side of pictures, pixels")
    parser.add_argument("--iterations", type=int, default=120, help="of L-BFGS; 0 leaves it out")
    parser.add_argument("--out", type=Path, required=True, help="a .jpg or .png")
    options = parser.parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Make the sheet, and write it."""
    sheet = make(options)
    with written_whole(options.out) as partial:
        sheet.save(partial, quality=90)


def make(options: argparse.Namespace) -> Image.Image:
    """A row for each picture: the picture, the network's painting, L-BFGS's, and the painting.

    The losses of direct optimization are those of the style's training, with its weights.
    """
    painter = Painter(options.style)
    config = read_style(options.style.with_suffix(".json")).training.get("config", {})
    config = vars(TrainConfig()) | config
    painting = read_painting(options.painting, config["style_size"])
    shown = to_frame(read_painting(options.painting, options.size))
    vgg = load_vgg()
    with torch.no_grad():
        objective = Objective(StyleNet(), vgg, PaintingTargets.of(painting, vgg))
    terms = ("content", "style", "color", "tv")
    weights = LossWeights(*(config[f"{term}_weight"] for term in terms))
    rows: list[dict[str, Frame]] = []
    for path in options.pictures:
        image = read_painting(path, options.size).contiguous()
        row = {path.stem: to_frame(image), "network": stylize_image(to_frame(image), painter)}
        if options.iterations:
            loss = picture_loss(objective, image, weights)
            found = optimize_pixels(loss, image, options.iterations)
            row[f"L-BFGS, {options.iterations} iterations"] = to_frame(found)
        rows.append(row | {"painting": shown})
    return paste(rows)


def paste(rows: list[dict[str, Frame]]) -> Image.Image:
    """Pictures side by side, unscaled, each under its name; rows below one another."""
    heights = [max(len(frame) for frame in row.values()) + BAR for row in rows]
    width = max(sum(frame.shape[1] for frame in row.values()) for row in rows)
    sheet = Image.new("RGB", (width, sum(heights)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for name, frame in row.items():
            shown = label(name, frame.shape[1] - 8, font)
            draw.text((left + 4, top + 3), shown, "black", font)
            sheet.paste(Image.fromarray(frame), (left, top + BAR))
            left += frame.shape[1]
        top += height
    return sheet


def label(name: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of a name as `width` pixels have place for, without accents, which Pillow's own font
    lacks."""
    letters = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    fits = (n for n in range(len(letters), 0, -1) if font.getlength(letters[:n]) <= width)
    return letters[: next(fits, 0)]


if __name__ == "__main__":
    sys.exit(main())
