"""Make the figures of `docs/temporal.md`: one column of pixels of real clips over time, painted
without and with temporal consistency. Flicker shows as speckle, steady paint as smooth lines.

Run as `python docs/make_temporal.py CLIP:STYLE:X ...` from the project's root; X is where the
column is, as a share of the width.
"""

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

FRAMES, LONGEST, HEIGHT = 96, 640, 300
REPEAT = 4  # pixels that a moment is wide
CAPTION, GAP = 22, 6


def main() -> None:
    for job in sys.argv[1:]:
        clip, style, share = job.rsplit(":", 2)
        path = ROOT / "docs" / f"temporal-{Path(clip).stem}-{style}.jpg"
        figure(Path(clip), style, float(share)).save(path, quality=90)


def figure(clip: Path, style: str, share: float) -> Image.Image:
    """A row: the last frame with the column marked; then the column over time, of the clip, of the
    painting without and with temporal consistency."""
    info = probe(clip)
    size = fit(info.height, info.width, min(LONGEST, max(info.height, info.width)))
    painter, stabilizer = Painter(get_style(style)), TemporalStabilizer()
    frames = [timed.frame for timed in islice(read_yuv(info, size), FRAMES)]
    alone = list(painter.paint(frames))
    steady = [stabilizer.step_frame(*pair) for pair in zip(frames, alone, strict=True)]
    x = round(share * (size[1] - 1))
    still = Image.fromarray(rgb(alone[-1]))
    ImageDraw.Draw(still).line([(x, 0), (x, size[0])], "white", 2)
    parts = [("the column", still)]
    for name, pictures in (("the clip", frames), ("off", alone), ("on", steady)):
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
