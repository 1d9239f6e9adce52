"""Make `docs/tone.jpg`: photographs as two networks paint them that differ in the tone term only.

Run as `python docs/make_tone.py --without RUN --with RUN PHOTO...` from the project's root.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylevid import Painter, stylize_image  # noqa: E402
from stylevid.frames import Frame, fit  # noqa: E402
from train.checkpoint import load_network_from  # noqa: E402
from train.images import read_picture  # noqa: E402

LONGEST, TILE, CAPTION, GAP = 640, (420, 280), 24, 6  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", type=Path, required=True, help="weights, or a run's folder")
    parser.add_argument("--with", type=Path, required=True, dest="toned")
    parser.add_argument("photos", type=Path, nargs="+")
    options = parser.parse_args()
    photos = [read_small(path) for path in options.photos]
    columns = {"the photograph": photos}
    for name, run in (("without the tone term", options.without), ("with it", options.toned)):
        painter = Painter(load_network_from(run))
        columns[name] = [stylize_image(photo, painter) for photo in photos]
    sheet(columns).save(ROOT / "docs" / "tone.jpg", quality=88)


def read_small(path: Path) -> Frame:
    image = Image.fromarray(read_picture(path))
    height, width = fit(image.height, image.width, LONGEST)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def sheet(columns: dict[str, list[Frame]]) -> Image.Image:
    """A column of pictures under each name."""
    width, height = TILE[0] + GAP, TILE[1] + GAP
    rows = max(map(len, columns.values()))
    whole = Image.new("RGB", (len(columns) * width - GAP, CAPTION + rows * height - GAP), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for x, (name, pictures) in enumerate(columns.items()):
        draw.text((x * width + 2, 3), name, "black", font)
        for y, picture in enumerate(pictures):
            tile = cover(Image.fromarray(picture))
            whole.paste(tile, (x * width, CAPTION + y * height))
    return whole


def cover(picture: Image.Image) -> Image.Image:
    """The middle of the picture, as large as a tile."""
    scale = max(TILE[0] / picture.width, TILE[1] / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    left, top = (size[0] - TILE[0]) // 2, (size[1] - TILE[1]) // 2
    return picture.resize(size, Image.Resampling.LANCZOS).crop(
        (left, top, left + TILE[0], top + TILE[1])
    )


if __name__ == "__main__":
    main()
