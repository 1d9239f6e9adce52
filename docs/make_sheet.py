"""Make `docs/styles.jpg`, the example in every bundled style, and the list of styles in
`docs/catalog.md`, from `weights/` and `train/catalog.toml`.

Run as `python docs/make_sheet.py` from the project's root.
"""

import sys
import tomllib
from pathlib import Path
from statistics import mean, median

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stylevid import Painter, list_styles, stylize_image  # noqa: E402
from stylevid.scene import render_frame  # noqa: E402
from stylevid.styles import Style  # noqa: E402

TILE, CAPTION, GAP = (400, 225), 34, 8  # pixels
COLUMNS = 3
START, END = "<!-- styles -->", "<!-- end of styles -->"  # in docs/catalog.md


def main() -> None:
    styles = list_styles()
    frame = render_frame(2.0)
    tiles = [("the example", Image.fromarray(frame))]
    for style in styles:
        painted = stylize_image(frame, Painter(style))
        tiles.append((f"{style.title}, {style.artist}", Image.fromarray(painted)))
    sheet(tiles).save(ROOT / "docs" / "styles.jpg", quality=88)
    catalog = tomllib.loads((ROOT / "train" / "catalog.toml").read_text("utf-8"))["styles"]
    document = ROOT / "docs" / "catalog.md"
    text = document.read_text("utf-8")
    start, end = text.index(START) + len(START), text.index(END)
    document.write_text(text[:start] + styles_text(styles, catalog) + text[end:], "utf-8")


def sheet(tiles: list[tuple[str, Image.Image]]) -> Image.Image:
    """The pictures in rows, each over its name."""
    width, height = TILE[0] + GAP, TILE[1] + CAPTION
    rows = -(-len(tiles) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * width - GAP, rows * height), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for i, (name, picture) in enumerate(tiles):
        x, y = i % COLUMNS * width, i // COLUMNS * height
        whole.paste(picture.convert("RGB").resize(TILE, Image.Resampling.LANCZOS), (x, y))
        short = name
        while draw.textlength(short, font) > TILE[0]:
            short = f"{short.rstrip('…')[:-1]}…"
        draw.text((x, y + TILE[1] + 5), short, "black", font)
    return whole


def styles_text(styles: list[Style], catalog: dict[str, dict[str, str]]) -> str:
    """A table of the records, and a sentence about each style."""
    steadied = [clip_mean(style, "on") for style in styles if clips(style)]
    notes = [
        f"- **{style.title}** (`{style.slug}`): {catalog[style.slug]['note']}"
        for style in styles
        if "note" in catalog.get(style.slug, {})
    ]
    return "\n".join([
        "",
        "| style | painting | steps | 1 frame | 10 frames | sharpness | style | content |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row(style) for style in styles),
        "",
        f"With temporal consistency the median is {1000 * median(steadied):.1f}, the largest "
        f"{max(steadied) / median(steadied):.1f} times that.",
        "",
        *notes,
        "", "",
    ])  # fmt: skip


def row(style: Style) -> str:
    cells = [f"`{style.slug}`", f"{style.title}, {style.artist}, {style.year}", steps(style)]
    if clips(style):
        for after in ("", "_10"):
            names = (f"floor{after}", f"off{after}", f"on{after}")
            cells.append(" / ".join(f"{1000 * clip_mean(style, name):.1f}" for name in names))
        photos = style.metrics.get("photos", {})
        cells.append(f"{100 * clip_mean(style, 'sharpness'):.0f} %")
        cells += [f"{photos[key]:.2f}" if key in photos else "" for key in ("style", "content")]
    return f"| {' | '.join(cells)} |"


def steps(style: Style) -> str:
    """Of both stages of its last run; one that only went on from another has none of the first."""
    config = style.training.get("config", {})
    return f"{config.get('steps', '?')} + {config.get('temporal_steps', '?')}"


def clips(style: Style) -> list[dict[str, float]]:
    return list(style.metrics.get("clips", {}).values())


def clip_mean(style: Style, key: str) -> float:
    return mean(clip[key] for clip in clips(style))


if __name__ == "__main__":
    main()
