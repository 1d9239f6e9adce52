"""Make the figures of `docs/temporal.md`: one column of pixels of real clips over time, painted
before the temporal stage of the training, and after it without and with temporal consistency.
Flicker shows as speckle, steady paint as smooth lines.

Run as `python docs/make_temporal.py --before RUNS CLIP:STYLE:X ...` from the project's root; X is
where the column is, as a share of the width. RUNS holds a folder of each style's first run, whose
`perceptual.safetensors` is the network before the temporal stage.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylevid import Painter, get_style  # noqa: E402
from stylevid.frames import Frame, fit, to_frame  # noqa: E402
from stylevid.stabilize import TemporalStabilizer  # noqa: E402
from stylevid.video import probe, read_yuv  # noqa: E402
from stylevid.yuv import Yuv, yuv_to_image  # noqa: E402
from train.checkpoint import load_network_from  # noqa: E402

FRAMES, LONGEST, HEIGHT = 80, 640, 300
REPEAT = 4  # pixels that a moment is wide
CAPTION, GAP = 22, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("jobs", nargs="+", metavar="CLIP:STYLE:X")
    options = parser.parse_args()
    for job in options.jobs:
        clip, style, share = job.rsplit(":", 2)
        untrained = load_network_from(options.before / style / "perceptual.safetensors")
        path = ROOT / "docs" / f"temporal-{Path(clip).stem}-{style}.jpg"
        figure(Path(clip), Painter(untrained), style, float(share)).save(path, quality=90)


def figure(clip: Path, before: Painter, style: str, share: float) -> Image.Image:
    """A row: the last frame with the column marked; then the column over time, of the clip, of the
    painting before the temporal stage, and without and with temporal consistency."""
    info = probe(clip)
    size = fit(info.height, info.width, min(LONGEST, max(info.height, info.width)))
    painter, stabilizer = Painter(get_style(style)), TemporalStabilizer()
    frames = [timed.frame for timed in islice(read_yuv(info, size), FRAMES)]
    untrained, alone = list(before.paint(frames)), list(painter.paint(frames))
    steady = [stabilizer.step(*pair) for pair in zip(frames, alone, strict=True)]
    x = round(share * (size[1] - 1))
    still = Image.fromarray(rgb(alone[-1]))
    ImageDraw.Draw(still).line([(x, 0), (x, size[0])], "white", 2)
    parts = [("the column", still)]
    rows = {"the clip": frames, "not trained to hold still": untrained, "off": alone, "on": steady}
    for name, pictures in rows.items():
        columns = np.stack([rgb(picture)[:, x] for picture in pictures], axis=1)
        parts.append((name, Image.fromarray(columns.repeat(REPEAT, axis=1))))
    return row(parts)


def rgb(picture: Yuv) -> Frame:
    return to_frame(yuv_to_image(picture))


def row(parts: list[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures side by side, each under its name."""
    scaled = [
        (name, part.resize((round(part.width * HEIGHT / part.height) if i == 0 else part.width,
                            HEIGHT), Image.Resampling.LANCZOS))
        for i, (name, part) in enumerate(parts)
    ]  # fmt: skip
    width = sum(part.width + GAP for _, part in scaled) - GAP
    whole = Image.new("RGB", (width, HEIGHT + CAPTION), "white")
    draw, font, x = ImageDraw.Draw(whole), ImageFont.load_default(15), 0
    for name, part in scaled:
        draw.text((x + 2, 2), name, "black", font)
        whole.paste(part, (x, CAPTION))
        x += part.width + GAP
    return whole


if __name__ == "__main__":
    main()
