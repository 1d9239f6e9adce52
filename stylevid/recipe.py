"""How a video was painted, as its own metadata says it: compact JSON in the MP4's comment.

A file may come from anybody; what is read here is checked, or is nothing.
"""

import json
import math
import re
import subprocess
from dataclasses import asdict, dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from threading import Timer
from typing import Any, cast

from .styles import is_slug, parse_json
from .version import __version__
from .video import PATIENCE_S, metadata_command, run_ffmpeg

MAX_BYTES = 64 << 10  # of a file's metadata; ours has 200
MAX_STYLES = 32
_COMMENT = re.compile(r"^comment=((?:[^\\\n]|\\.)*)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """What a painting was made with.

    Attributes:
        styles: their slugs; two were mixed if there is a `mix`, several else took turns.
        mix: share of the second style, 0 to 1.
        temporal, strength, keep_colors, size, brush: as in `pipeline.Options`.
    """

    styles: tuple[str, ...]
    mix: float | None
    temporal: bool
    strength: float
    keep_colors: bool
    size: int | None
    brush: float | None

    def __post_init__(self) -> None:
        said = cast(Any, self)  # by a file, perhaps
        numbers = ((said.mix, 0, 1), (said.size, 16, 8192), (said.brush, 1, 8))
        if not (
            len(said.styles) <= MAX_STYLES
            and all(isinstance(name, str) and is_slug(name) for name in said.styles)
            and isinstance(said.temporal, bool)
            and isinstance(said.keep_colors, bool)
            and isinstance(said.size, int | None)
            and _within(said.strength, 0, 1)
            and all(value is None or _within(value, *limits) for value, *limits in numbers)
        ):
            raise ValueError("this is no recipe of ours")

    def as_json(self) -> str:
        return json.dumps({"stylevid": __version__, **asdict(self)}, separators=(",", ":"))


def _within(value: Any, least: float, most: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and least <= value <= most


def read_recipe(video: Path) -> Recipe | None:
    """What the video says that it was made with; None if it is none of ours, or damaged."""
    with run_ffmpeg(metadata_command(video), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        impatience = Timer(PATIENCE_S, process.kill)
        impatience.start()
        pipe = BufferedReader(cast(RawIOBase, process.stdout))
        text = pipe.read(MAX_BYTES + 1).decode("utf-8", "replace")
        impatience.cancel()
        process.kill()
    comment = _COMMENT.search(text) if len(text) <= MAX_BYTES else None
    try:
        said = re.sub(r"\\(.)", r"\1", comment[1], flags=re.DOTALL) if comment else "{}"
        values: dict[str, Any] = parse_json(said)
        del values["stylevid"]  # the version; what is not ours has none
        return Recipe(tuple(values.pop("styles")), **values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
