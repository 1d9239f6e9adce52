"""The front pages of a Hub repo and of its Space, from the records of the styles: `model_card.md`,
`space_card.md` and `space_entry.txt` filled in, and the previews on one sheet.

Everything here is a pure function: the same styles give the same bytes, so that publishing them
again changes nothing. What a record says is text, never markup.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
from PIL import Image, ImageOps

from stylevid.hub import HubName
from stylevid.hub_errors import one_line
from stylevid.styles import Style

SHEET = "contact_sheet.jpg"  # with an underscore it is no style's preview
_TILE, _GAP = 320, 8  # pixels

# The Hub's names of licences.
_LICENCES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
_MARKUP = re.compile(r"[!-&*:<-@[-`{-~]")  # ASCII that is not plain text; : is of addresses
_GITHUB = re.compile(r"github:([\w.-]+/[\w.-]+)@([0-9a-f]{7,40}):([\w./ -]+)")


def build_card(repo: str, styles: Sequence[Style], sizes: Mapping[str, int]) -> str:
    """The README.md of a repo of styles, front matter included.

    Args:
        repo: its name on the Hub, USER/NAME.
        styles: all that it holds, at least one.
        sizes: bytes of each style's weights file, by slug.
    """
    styles = sorted(styles, key=lambda style: style.slug)
    # Nothing of a record gets into the front matter but a licence that is in our list.
    licences = {_licence(style) for style in styles}
    measured = {style.slug: _measured(style) for style in styles}
    ways: dict[str, list[str]] = {}  # the styles that were measured, by how
    for style in styles:
        if means := measured[style.slug]:
            how = f"{_text(style.metrics.get('how', 'no word on how'))}; {means['clips']} clips"
            ways.setdefault(how, []).append(style.slug)
    return _fill(
        "model_card.md", repo=repo, styles=styles, sizes=sizes, sheet=SHEET, text=_text,
        licence=licences.pop() if len(licences) == 1 else None, licence_of=_licence,
        measured=measured, ways=ways, source=_source, facts=_facts, commands=_commands,
    )  # fmt: skip


def build_space(styles: HubName, space: str, sdk_version: str) -> dict[str, bytes]:
    """The README.md and space.py of the Space `space` that shows these styles on the page, which
    needs this version of gradio."""
    told = {"styles": styles, "name": space.split("/")[-1], "sdk_version": sdk_version}
    files = {"README.md": "space_card.md", "space.py": "space_entry.txt"}
    return {path: _fill(template, **told).encode() for path, template in files.items()}


def contact_sheet(previews: Sequence[Image.Image]) -> bytes:
    """A JPEG of all previews in rows of two to four, with as few gaps as can be."""
    count, step = len(previews), _TILE + _GAP
    columns = min(count, min((4, 3, 2), key=lambda c: (-count % c, abs(c - 3))))
    rows = math.ceil(count / columns)
    sheet = Image.new("RGB", (columns * step - _GAP, rows * step - _GAP), "white")
    for i, preview in enumerate(previews):
        tile = ImageOps.fit(preview.convert("RGB"), (_TILE, _TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (i % columns * step, i // columns * step))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _fill(template: str, **values: Any) -> str:
    text = Path(__file__).with_name(template).read_text("utf-8")
    return jinja2.Template(text).render(values) + "\n"


def _licence(style: Style) -> str | None:
    """The Hub's name for the licence of the weights, if the record's words name one it knows."""
    named = re.match(r"(?:Weights:\s*)?([\w .-]+?)\.?(?:\s+Painting:|\s*[;,(]|$)", style.licence)
    name = re.sub(r"\s+", "-", named.group(1)).lower() if named else ""
    name = "cc0-1.0" if name == "cc0" else name
    return name if name in _LICENCES else None


def _measured(style: Style) -> dict[str, float]:
    """Means over the clips of the record: what all of them have, and nothing without "off"."""
    clips = style.metrics.get("clips")
    rows: list[Any] = list(clips.values()) if isinstance(clips, dict) else []
    means: dict[str, float] = {}
    for key in ("off", "on", "floor", "sharpness"):
        values: list[Any] = [row.get(key) if isinstance(row, dict) else None for row in rows]
        if rows and all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            means[key] = fmean(values)
    return means | {"clips": len(rows)} if "off" in means else {}


def _facts(style: Style) -> str:
    told, keys = style.training, ("data", "device", "torch", "steps_done", "seconds")
    facts = {key.removesuffix("_done"): told[key] for key in keys if told.get(key) is not None}
    return "<br>".join(f"{key}: {_text(value)}" for key, value in facts.items())


def _commands(style: Style) -> list[str]:
    """The commands that made the style, as text of HTML."""
    earlier = style.training.get("warm_started_from")
    commands = [*(earlier if isinstance(earlier, list) else []), style.training.get("command")]
    return [text for command in commands if command is not None and (text := _text(command))]


def _source(source: str) -> str:
    """Where the picture is from, as a link if it is a file in a GitHub repository."""
    if found := _GITHUB.fullmatch(source):
        repo, commit, path = found.groups()
        url = f"https://github.com/{repo}/blob/{commit}/{path.replace(' ', '%20')}"
        return f"[{_text(repo)}]({url})"
    return _text(source)


def _text(value: object) -> str:
    """A value as text of Markdown and of HTML: what may be markup is written as its number, which
    is never taken for markup."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", one_line(value, 2000))
