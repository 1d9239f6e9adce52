# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""A painted video that is dropped on the page brings back the settings that made it."""

from pathlib import Path

import gradio as gr

from stylevid.recipe import read_recipe
from stylevid.styles import Style, name_styles

from . import QUIET
from .layout import BRUSHES, SIZES, Choices


def connect_restoring(left: Choices, styles: list[Style], guests: gr.State) -> None:
    """Let an uploaded result set the switches of the left side."""
    brushes = {brush: name for name, brush in BRUSHES.items()}
    sizes = {size: name for name, size in SIZES.items()}

    def restore(video: str | None, guests: list[Style]) -> dict:
        recipe = read_recipe(Path(video)) if video else None
        if recipe is None:
            return {left.style: gr.skip()}
        known = {style.slug: name for name, style in name_styles([*styles, *guests]).items()}
        slugs = recipe.styles[: 1 if recipe.mix is None else 2]
        there = [known[slug] for slug in slugs if slug in known]
        said = "This video was painted here: its settings are chosen again."
        if not slugs:
            said += " Its style was learned, and is on this page only if it was brought along."
        elif len(there) < len(slugs):
            said += f" Its style {' and '.join(slugs)} is not on this page."
        gr.Info(said)
        chosen = {left.style: there[0]} if there else {}
        return chosen | {
            left.temporal: recipe.temporal, left.strength: recipe.strength,
            left.keep_colors: recipe.keep_colors, left.size: sizes.get(recipe.size, sizes[None]),
            left.brush: brushes.get(recipe.brush, brushes[None]),
            left.second: there[1] if len(there) == 2 else None,
            left.mix: 0.5 if recipe.mix is None else recipe.mix,
        }  # fmt: skip

    left.video.upload(
        restore, [left.video, guests],
        [left.style, left.temporal, left.strength, left.keep_colors, left.size, left.brush,
         left.second, left.mix], concurrency_limit=4, **QUIET,
    )  # fmt: skip
