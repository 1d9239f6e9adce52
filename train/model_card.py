"""The text and the picture of a Hub repo's front page, from the records of its styles.

Everything here is a pure function: the same styles give the same bytes, so that publishing them
again changes nothing. What a record says is text, never markup.
"""

import html
import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageOps

from stylevid.styles import Style

SHEET = "contact_sheet.jpg"  # with an underscore it is no style's preview
_TILE, _GAP = 320, 8  # pixels

_LICENCES = {
    "mit": "mit",
    "apache-2.0": "apache-2.0",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
}
_MARKUP = re.compile(r"([\\`*_\[\]{}|~$#@!])")
_GITHUB = re.compile(r"github:([\w.-]+/[\w.-]+)@([0-9a-f]{7,40}):([\w./ -]+)")
_DATASET = re.compile(r"[\w.-]+/[\w.-]+")

_LIMITS = """\
- A style changes color and texture, not shapes: it paints brush strokes, it redraws nothing.
- Areas without any texture, such as an overexposed sky, stay flat.
- Fine print and small faces dissolve into paint.
- Up to 960 pixels strokes have a fixed size; on larger videos they grow along.
- The flicker figures come from a few clips; other footage may flicker more or less.\
"""

_PAPERS = """\
- Perceptual losses for feed-forward networks: [Johnson, Alahi, Fei-Fei 2016]\
(https://arxiv.org/abs/1603.08155)
- Instance norm: [Ulyanov, Vedaldi, Lempitsky 2016](https://arxiv.org/abs/1607.08022)
- Temporal losses on flow-warped frames: [Gao et al. 2018, ReCoNet]\
(https://arxiv.org/abs/1807.01197); occlusion masks: [Ruder, Dosovitskiy, Brox 2016]\
(https://arxiv.org/abs/1604.08610)
- Warping error, the measure of flicker: [Lai et al. 2018](https://arxiv.org/abs/1808.00449)\
"""


def build_card(repo: str, styles: Sequence[Style], sizes: Mapping[str, int]) -> str:
    """The README.md of a repo of styles, front matter included.

    Args:
        repo: its name on the Hub, USER/NAME.
        styles: all that it holds, at least one.
        sizes: bytes of each style's weights file, by slug.
    """
    styles = sorted(styles, key=lambda style: style.slug)
    words = dict(enumerate(("One", "Two", "Three", "Four", "Five", "Six"), 1))
    count = f"{words.get(len(styles), len(styles))} style" + ("s" if len(styles) > 1 else "")
    largest = max(sizes[style.slug] for style in styles)
    parts = [
        _front_matter(repo, styles),
        f"# {_text(repo.split('/')[-1])}",
        f"![Previews of {count.lower()}]({SHEET})",
        f"{count} for stylevid, which turns any video into a moving painting: one pass of a small "
        "network for each frame, steadied from frame to frame, with the video's own sound. A style "
        f"is one safetensors file of at most {_megabytes(largest)}, and a record of how it was "
        "made.",
        "## Styles",
        _table(styles, sizes),
        _about_flicker(styles),
        "## Use",
        _usage(repo, styles[0]),
        "## Training",
        "Perceptual losses teach the network the painting; then the flow-warped, occlusion-masked "
        "difference of the *stylized* frames teaches it to hold still.",
        *(_training(style) for style in styles),
        "## Limits",
        _LIMITS,
        "## Paintings and licences",
        "The pictures of the paintings are not part of this repo.",
        "\n".join(_painting(style) for style in styles),
        "## Papers",
        _PAPERS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def build_space_card(repo: str, space: str, sdk_version: str) -> str:
    """The README.md of the Space that shows a repo's styles on the page.

    Args:
        repo, space: their names on the Hub, USER/NAME.
        sdk_version: gradio's.
    """
    return f"""\
---
title: "{space.split("/")[-1]}"
emoji: 🎨
colorFrom: indigo
colorTo: pink
sdk: gradio
sdk_version: {sdk_version}
python_version: "3.12"
app_file: space.py
pinned: false
license: mit
short_description: Any video as a moving painting, with its sound
models:
- {repo}
tags:
- style-transfer
- video
---

# {_text(space.split("/")[-1])}

The page of stylevid with the styles of [{_text(repo)}](https://huggingface.co/{repo}).
It runs on a CPU, and on a GPU when the Space has one. A private repo of styles is read with the
token in the Space's secret `HF_TOKEN`.
"""


def contact_sheet(previews: Sequence[Image.Image]) -> bytes:
    """A JPEG of all previews in rows of two to four, with as few gaps as can be.

    Raises:
        ValueError: there are no previews.
    """
    if not previews:
        raise ValueError("a contact sheet shows at least one preview")
    count = len(previews)
    columns = 1 if count == 1 else min((4, 3, 2), key=lambda c: (-count % c, abs(c - 3)))
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    step = _TILE + _GAP
    sheet = Image.new("RGB", (columns * step - _GAP, rows * step - _GAP), "white")
    for i, preview in enumerate(previews):
        tile = ImageOps.fit(preview.convert("RGB"), (_TILE, _TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (i % columns * step, i // columns * step))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _front_matter(repo: str, styles: Sequence[Style]) -> str:
    """What the Hub reads. Nothing of a record gets here but what is in a list of ours or a plain
    name."""
    found = {_licence(style) for style in styles}
    licence = found.pop() if len(found) == 1 else None
    lines = [f"license: {licence}"]
    if licence is None:
        lines = ["license: other", "license_name: see-each-style"]
        lines += [f"license_link: https://huggingface.co/{repo}#paintings-and-licences"]
    lines += ["library_name: stylevid", "pipeline_tag: video-to-video", "tags:"]
    lines += ["- style-transfer", "- neural-style-transfer", "- temporal-consistency"]
    lines += ["- video", "- image-to-image"]
    datasets = sorted({name for style in styles for name in _datasets(style)})
    lines += ["datasets:", *(f"- {name}" for name in datasets)] if datasets else []
    return "\n".join(["---", *lines, "---"])


def _licence(style: Style) -> str | None:
    """The Hub's name for the licence of the weights, if the record's words name one it knows."""
    named = re.match(r"(?:Weights:\s*)?([\w .-]+?)\.?(?:\s+Painting:|\s*[;,(]|$)", style.licence)
    return _LICENCES.get(re.sub(r"\s+", "-", named.group(1)).lower()) if named else None


def _datasets(style: Style) -> list[str]:
    """Data sets on the Hub that the record names, as `training.datasets`: ["USER/NAME", ...]."""
    named = style.training.get("datasets")
    known = [str(name) for name in named] if isinstance(named, list) else []
    return [name for name in known if _DATASET.fullmatch(name)]


def _table(styles: Sequence[Style], sizes: Mapping[str, int]) -> str:
    rows = ["| | painting | flicker | sharpness kept | weights |", "| --- " * 5 + "|"]
    for style in styles:
        preview = f'<img src="{style.slug}.jpg" width="160" alt="{_html(style.title)}">'
        named = f"`{style.slug}`<br>**{_text(style.title)}**<br>{_text(style.artist)}, "
        named += f"{_text(style.year)}<br>{_text(style.medium)}"
        sharpness = _mean(style, "sharpness")
        kept = "" if sharpness is None else f"{100 * sharpness:.0f}&nbsp;%"
        weights = f"{_megabytes(sizes[style.slug])}<br>{(_licence(style) or 'see below').upper()}"
        rows.append(f"| {preview} | {named} | {_flicker(style)} | {kept} | {weights} |")
    return "\n".join(rows)


def _flicker(style: Style) -> str:
    """Warping error times 1000, a mean over the clips of the record: off, on, the clips' own."""
    off, on, floor = (_mean(style, key) for key in ("off", "on", "floor"))
    if off is None:
        return "not measured"
    text = f"{1000 * off:.1f}" + ("" if on is None else f" → **{1000 * on:.1f}**")
    return text + ("" if floor is None else f"<br>clips' own: {1000 * floor:.1f}")


def _about_flicker(styles: Sequence[Style]) -> str:
    """How the numbers of the table were measured, each way said once."""
    ways: dict[str, list[str]] = {}
    for style in styles:
        if _mean(style, "off") is not None:
            how = f"{_text(style.metrics.get('how', 'no word on how'))}; {len(_clips(style))} clips"
            ways.setdefault(how, []).append(f"`{style.slug}`")
    if not ways:
        return ""
    said = "Flicker is the mean warping error times 1000, with temporal consistency off → on."
    if len(ways) == 1:
        return f"{said} Measured as: {next(iter(ways))}."
    return said + "".join(f"\n- {', '.join(slugs)}: {how}." for how, slugs in ways.items())


def _usage(repo: str, style: Style) -> str:
    return f"""\
In a browser, from the shell, from Python, in a checkout of stylevid:

```sh
python app.py --hub-repo {repo}
python -m stylevid clip.mp4 --style {repo}/{style.slug} -o painted.mp4
```

```python
from stylevid import Painter, get_style, stylize_video
painter = Painter(get_style("{repo}/{style.slug}"))
stylize_video("clip.mp4", "painted.mp4", painter)
```"""


def _training(style: Style) -> str:
    """One style's command, data and device, folded away."""
    told = style.training
    earlier = told.get("warm_started_from")
    commands = [*(earlier if isinstance(earlier, list) else []), told.get("command")]
    facts = {"data": told.get("data"), "device": told.get("device"), "torch": told.get("torch")}
    facts |= {"steps": told.get("steps_done"), "seconds": told.get("seconds")}
    known = "<br>".join(f"{key}: {_html(v)}" for key, v in facts.items() if v is not None)
    # A blank line would end the block of HTML, and with it the escaping.
    lines = [_command(one) for one in commands if one is not None]
    code = "\n".join(filter(None, lines)) or "not recorded"
    return (
        f"<details><summary>{_html(style.title)}</summary>\n"
        f"<p>{known or 'Nothing more is recorded.'}</p>\n<pre><code>{code}</code></pre>\n</details>"
    )


def _command(command: object) -> str:
    """A command as HTML, broken into lines that a shell takes, none of them empty."""
    together = re.sub(r"(--[\w-]+) (?!-)", "\\1\0", _plain(command))  # an option and its value
    lines = textwrap.wrap(together, 84, break_long_words=False, break_on_hyphens=False)
    return " \\\n    ".join(html.escape(line.replace("\0", " ")) for line in lines)


def _painting(style: Style) -> str:
    return (
        f"- **{_text(style.title)}**, {_text(style.artist)}, {_text(style.year)}. "
        f"{_text(style.licence).rstrip('.')}. Picture: {_source(style.source)}"
    )


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
    line = "".join(c if c.isprintable() else " " for c in str(value))
    line = " ".join(line.split())
    return line if len(line) <= 2000 else line[:1999] + "…"


def _html(value: object) -> str:
    """A value as text within HTML, which may stand in a cell of a Markdown table."""
    return html.escape(_plain(value)).replace("|", "&#124;")


def _text(value: object) -> str:
    """A value as text within a line of Markdown: no markup, no HTML, no link."""
    text = html.escape(_MARKUP.sub(r"\\\1", _plain(value)), quote=False)
    return text.replace("://", r"\://")
