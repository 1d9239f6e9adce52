"""The front pages of a Hub repo and of its Space, from the records of the styles: `model_card.md`
and `space_card.md` filled in, and the previews on one sheet.

Everything here is a pure function: the same styles give the same bytes, so that publishing them
again changes nothing. What a record says is text, never markup.
"""

import html
import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, SpaceCard, SpaceCardData
from PIL import Image, ImageOps

from stylevid.styles import Style

SHEET = "contact_sheet.jpg"  # with an underscore it is no style's preview
_TILE, _GAP = 320, 8  # pixels

# The Hub's names of licences.
_LICENCES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
_MARKUP = re.compile(r"([\\`*_\[\]{}|~$#@!])")
_GITHUB = re.compile(r"github:([\w.-]+/[\w.-]+)@([0-9a-f]{7,40}):([\w./ -]+)")


def build_card(repo: str, styles: Sequence[Style], sizes: Mapping[str, int]) -> str:
    """The README.md of a repo of styles, front matter included.

    Args:
        repo: its name on the Hub, USER/NAME.
        styles: all that it holds, at least one.
        sizes: bytes of each style's weights file, by slug.
    """
    styles = sorted(styles, key=lambda style: style.slug)
    # Nothing of a record gets into the front matter but what is in our list or a plain name.
    licences = {_licence(style) for style in styles}
    licence = licences.pop() if len(licences) == 1 else None
    front = ModelCardData(
        license=licence or "other",
        license_name=None if licence else "see-each-style",
        license_link=None if licence else f"https://huggingface.co/{repo}#paintings-and-licences",
        library_name="stylevid",
        pipeline_tag="video-to-video",
        tags=["style-transfer", "neural-style-transfer", "temporal-consistency", "video",
              "image-to-image"],
    )  # fmt: skip
    return _fill(
        ModelCard, front, "model_card.md", repo=repo, styles=styles, sizes=sizes, sheet=SHEET,
        count=f"{len(styles)} style" + ("s" if len(styles) > 1 else ""), ways=_ways(styles),
        text=_text, html=_html, source=_source, flicker=_flicker, sharpness=_sharpness,
        licence=_licence, megabytes=_megabytes, facts=_facts, commands=_commands,
    )  # fmt: skip


def build_space_card(repo: str, space: str, sdk_version: str) -> str:
    """The README.md of the Space that shows a repo's styles on the page.

    Args:
        repo, space: their names on the Hub, USER/NAME.
        sdk_version: gradio's.
    """
    name = space.split("/")[-1]
    front = SpaceCardData(
        title=name, emoji="🎨", colorFrom="indigo", colorTo="pink", sdk="gradio",
        sdk_version=sdk_version, python_version="3.12", app_file="space.py", pinned=False,
        license="mit", short_description="Any video as a moving painting, with its sound",
        models=[repo], tags=["style-transfer", "video"],
    )  # fmt: skip
    return _fill(SpaceCard, front, "space_card.md", repo=repo, name=_text(name))


def contact_sheet(previews: Sequence[Image.Image]) -> bytes:
    """A JPEG of all previews in rows of two to four, with as few gaps as can be.

    Raises:
        ValueError: there are no previews.
    """
    if not previews:
        raise ValueError("a contact sheet shows at least one preview")
    count = len(previews)
    columns = min(count, min((4, 3, 2), key=lambda c: (-count % c, abs(c - 3))))
    rows = math.ceil(count / columns)
    step = _TILE + _GAP
    sheet = Image.new("RGB", (columns * step - _GAP, rows * step - _GAP), "white")
    for i, preview in enumerate(previews):
        tile = ImageOps.fit(preview.convert("RGB"), (_TILE, _TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (i % columns * step, i // columns * step))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _fill(kind: Any, front: ModelCardData | SpaceCardData, template: str, **values: Any) -> str:
    path = Path(__file__).with_name(template)
    return str(kind.from_template(front, template_path=str(path), **values)) + "\n"


def _licence(style: Style) -> str | None:
    """The Hub's name for the licence of the weights, if the record's words name one it knows."""
    named = re.match(r"(?:Weights:\s*)?([\w .-]+?)\.?(?:\s+Painting:|\s*[;,(]|$)", style.licence)
    name = re.sub(r"\s+", "-", named.group(1)).lower() if named else ""
    name = "cc0-1.0" if name == "cc0" else name
    return name if name in _LICENCES else None


def _flicker(style: Style) -> str:
    """Warping error times 1000, a mean over the clips of the record: off, on, the clips' own."""
    off, on, floor = (_mean(style, key) for key in ("off", "on", "floor"))
    if off is None:
        return "not measured"
    text = f"{1000 * off:.1f}" + ("" if on is None else f" → **{1000 * on:.1f}**")
    return text + ("" if floor is None else f"<br>clips' own: {1000 * floor:.1f}")


def _sharpness(style: Style) -> str:
    kept = _mean(style, "sharpness")
    return "" if kept is None else f"{100 * kept:.0f}&nbsp;%"


def _ways(styles: Sequence[Style]) -> dict[str, list[str]]:
    """The styles that were measured, by how."""
    ways: dict[str, list[str]] = {}
    for style in styles:
        if _mean(style, "off") is not None:
            how = f"{_text(style.metrics.get('how', 'no word on how'))}; {len(_clips(style))} clips"
            ways.setdefault(how, []).append(f"`{style.slug}`")
    return ways


def _facts(style: Style) -> str:
    told, keys = style.training, ("data", "device", "torch", "steps_done", "seconds")
    facts = {key.removesuffix("_done"): told[key] for key in keys if told.get(key) is not None}
    return "<br>".join(f"{key}: {_html(value)}" for key, value in facts.items())


def _commands(style: Style) -> str:
    """The commands that made the style, as HTML without a blank line, which would end it."""
    earlier = style.training.get("warm_started_from")
    commands = [*(earlier if isinstance(earlier, list) else []), style.training.get("command")]
    return "\n".join(filter(None, (_command(one) for one in commands if one is not None)))


def _command(command: object) -> str:
    """A command as HTML, broken into lines that a shell takes, none of them empty."""
    together = re.sub(r"(--[\w-]+) (?!-)", "\\1\0", _plain(command))  # an option and its value
    lines = textwrap.wrap(together, 84, break_long_words=False, break_on_hyphens=False)
    return " \\\n    ".join(html.escape(line.replace("\0", " ")) for line in lines)


def _source(source: str) -> str:
    """Where the picture is from, as a link if it is a file in a GitHub repository."""
    if found := _GITHUB.fullmatch(source):
        repo, commit, path = found.groups()
        url = f"https://github.com/{repo}/blob/{commit}/{path.replace(' ', '%20')}"
        return f"[{_text(repo)}]({url})"
    return _text(source)


def _clips(style: Style) -> list[dict[str, Any]]:
    clips = style.metrics.get("clips")
    measured = list(clips.values()) if isinstance(clips, dict) else []
    return [clip for clip in measured if isinstance(clip, dict)]


def _mean(style: Style, key: str) -> float | None:
    """A number's mean over the clips of the record; None where one of them lacks it."""
    values = [clip.get(key) for clip in _clips(style)]
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def _megabytes(size_bytes: int) -> str:
    return f"{max(size_bytes / 1e6, 0.01):.2f}&nbsp;MB"


def _plain(value: object) -> str:
    """One line of visible characters, of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return line if len(line) <= 2000 else line[:1999] + "…"


def _html(value: object) -> str:
    """A value as text within HTML, which may stand in a cell of a Markdown table."""
    return html.escape(_plain(value)).replace("|", "&#124;")


def _text(value: object) -> str:
    """A value as text within a line of Markdown: no markup, no HTML, no link."""
    text = html.escape(_MARKUP.sub(r"\\\1", _plain(value)), quote=False)
    return text.replace("://", r"\://")
