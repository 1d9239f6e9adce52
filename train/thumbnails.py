"""`python -m train.thumbnails`: a small picture of each style's painting, which the page shows
beside the style. The paintings are in the public domain; each record says where its is from."""

import argparse
import sys
from pathlib import Path

from stylevid.errors import exit_status
from stylevid.styles import list_styles

from .catalog import CATALOG, read_catalog
from .export import save_thumbnail


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m train.thumbnails", description=__doc__)
    parser.add_argument("--paintings", type=Path, required=True, help="a folder of their pictures")
    parser.add_argument("--catalog", type=Path, default=CATALOG)
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="where styles are")
    options = parser.parse_args(arguments)
    return exit_status(lambda: make(options.catalog, options.paintings, options.weights))


def make(catalog: Path, paintings: Path, weights: Path) -> None:
    """Write `<slug>.painting.jpg` beside each style of the folder that the catalog lists.

    Raises:
        StyleError: a painting of theirs is not there, or is no picture.
    """
    pictures = {entry.slug: paintings / entry.painting for entry in read_catalog(catalog)[1]}
    for style in list_styles(weights):
        if style.slug in pictures:
            save_thumbnail(pictures[style.slug], style.painting)


if __name__ == "__main__":
    sys.exit(main())
