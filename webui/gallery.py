"""What the gallery and the list of styles show."""

from collections.abc import Iterable

from PIL import Image

from stylevid.example import example_picture
from stylevid.hub_errors import one_line
from stylevid.painter import Painter
from stylevid.pipeline import stylize_image
from stylevid.styles import Style, name_styles, read_preview


def choices(styles: list[Style]) -> list[tuple[str, str]]:
    """What the dropdown shows, and the name that it stands for."""
    origins = _origins(styles)
    return [
        (", ".join(filter(None, [style.title, style.artist, origin])), name)
        for (name, style), origin in zip(name_styles(styles).items(), origins, strict=True)
    ]


def pictures(
    styles: list[Style], shown: Iterable[Image.Image] | None = None
) -> list[tuple[Image.Image, str]]:
    """What the gallery shows: a picture, by default the preview, and the title with the origin
    below it."""
    shown = map(picture_of, styles) if shown is None else shown
    return [
        (picture, f"{one_line(style.title, 40)}\n{origin}".rstrip())
        for picture, style, origin in zip(shown, styles, _origins(styles), strict=True)
    ]


def _origins(styles: list[Style]) -> list[str]:
    """Where each style is from, in words; nothing while all are bundled."""
    if all(style.origin == "bundled" for style in styles):
        return [""] * len(styles)
    return ["your file" if style.origin == "file" else style.origin for style in styles]


def picture_of(style: Style) -> Image.Image:
    """The style's preview, decoded here so that nobody else's file reaches a visitor; if there is
    none, the style's painting of the example."""
    if style.preview.is_file():
        return read_preview(style.preview)
    return Image.fromarray(stylize_image(example_picture(), Painter(style, "cpu")))
