"""`python -m benchmarks.tables`: put what the records of weights/ hold into docs/catalog.md, and
with `--picture CLIP` a frame of a clip in every style into docs/styles.jpg."""

import argparse
import tomllib
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

from PIL import Image

from stylevid import Painter, Style, list_styles, stylize_image
from stylevid.frames import resize, to_frame, to_image
from stylevid.video import probe, read_frames

from .sheet import paste

ROOT = Path(__file__).resolve().parent.parent
CATALOG = ROOT / "docs" / "catalog.md"
START, END = "<!-- styles -->", "<!-- end of styles -->"  # in CATALOG
HEAD = ("| style | painting | steps | 1 frame | 10 frames | sharpness | style: photographs | "
        "style: frames off / on | content |")  # fmt: skip
ERRORS = ("floor", "off", "on")  # E_warp of the clip, and with temporal consistency off and on
COLUMNS, TILE = 3, (225, 400)  # of docs/styles.jpg: height, width in pixels
PAINTED = (360, 640)  # at which strokes have the size that they were learned in
FRAME = 48  # of the clip, which all paint


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--picture", type=Path, metavar="CLIP")
    options = parser.parse_args(arguments)
    styles = list_styles()
    CATALOG.write_text(with_styles(CATALOG.read_text("utf-8"), styles), "utf-8")
    if options.picture:
        picture(options.picture, styles).save(ROOT / "docs" / "styles.jpg", quality=88)


def with_styles(document: str, styles: Sequence[Style]) -> str:
    """The document with what the records say between its two marks."""
    before, rest = document.split(START)
    after = rest.split(END)[1]
    notes = tomllib.loads((ROOT / "train" / "catalog.toml").read_text("utf-8"))["styles"]
    return f"{before}{START}\n{styles_text(styles, notes)}\n{END}{after}"


def styles_text(styles: Sequence[Style], notes: dict[str, dict[str, Any]]) -> str:
    """A table of the records, how its numbers were measured, and a sentence about each style. A
    style that has not been measured has a row without numbers."""
    ways: dict[str, list[str]] = {}
    for style in filter(clips, styles):
        size = style.metrics.get("photos", {}).get("size", "?")
        how = f"{style.metrics['how']}; {len(clips(style))} clips; photographs {size} px"
        ways.setdefault(how, []).append(f"`{style.slug}`")
    steadied = [clip_mean(style, "on") for style in styles if clips(style)] or [0.0]
    middle = median(steadied)
    lines = [HEAD, "| --- | --- |" + " ---: |" * 7, *map(row, styles), ""]
    if middle:
        lines += [f"With temporal consistency the median is {1000 * middle:.1f}, the largest "
                  f"{max(steadied) / middle:.1f} times that.", ""]  # fmt: skip
    lines += [*(f"- {', '.join(slugs)}: {how}." for how, slugs in ways.items()), ""]
    told = [(style, notes.get(style.slug, {}).get("note")) for style in styles]
    lines += [f"- **{style.title}** (`{style.slug}`): {note}" for style, note in told if note]
    return "\n".join(lines)


def row(style: Style) -> str:
    """A line of the table; losses that a record does not have are left empty."""
    photos, cells = style.metrics.get("photos", {}), [""] * 6
    if clips(style):
        cells[0], cells[1] = (
            " / ".join(f"{1000 * clip_mean(style, key + apart):.1f}" for key in ERRORS)
            for apart in ("", "_10")
        )
        cells[2] = f"{clip_mean(style, 'sharpness'):.0%}"
        if photos:
            cells[3], cells[5] = (f"{photos[key]:.2f}" for key in ("style", "content"))
        if all("style_on" in clip for clip in clips(style)):
            cells[4] = " / ".join(f"{clip_mean(style, key):.2f}" for key in ("style", "style_on"))
    about = f"| `{style.slug}` | {style.title}, {style.artist}, {style.year} | {steps(style)} |"
    return f"{about} {' | '.join(cells)} |"


def steps(style: Style) -> str:
    """Of both stages of its last run; one that only went on from another has none of the first."""
    config = style.training.get("config", {})
    return f"{config.get('steps', '?')} + {config.get('temporal_steps', '?')}"


def clips(style: Style) -> list[dict[str, float]]:
    return list(style.metrics.get("clips", {}).values())


def clip_mean(style: Style, key: str) -> float:
    """Over the clips that are long enough to have it."""
    return mean(clip[key] for clip in clips(style) if key in clip)


def picture(clip: Path, styles: Sequence[Style]) -> Image.Image:
    """A frame of a clip, and its painting in every style."""
    with closing(read_frames(probe(clip), PAINTED)) as frames:
        frame = next(islice(frames, FRAME, None)).frame
    tiles = {"the example": frame}
    for style in styles:
        tiles[f"{style.title}, {style.artist}"] = stylize_image(frame, Painter(style))
    named = [(name, to_frame(resize(to_image(tile), TILE))) for name, tile in tiles.items()]
    return paste([dict(named[i : i + COLUMNS]) for i in range(0, len(named), COLUMNS)])


if __name__ == "__main__":
    main()
