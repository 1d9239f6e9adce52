"""The Style record and its reader. A folder of records is the registry: adding a style adds files
and touches no Python."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import StyleError

BUNDLED = Path(__file__).resolve().parent.parent / "weights"

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_RECORD_BYTES = 1 << 20
_TEXT = ("title", "artist", "year", "medium", "licence", "source", "sha256")


@dataclass(frozen=True)
class Style:
    """One painting that the network has learned: what `<slug>.json` says.

    Attributes:
        slug: its short name, lower-case words joined by dashes.
        title, artist, year, medium: of the painting.
        licence: why the painting may be used, and under what terms the weights may.
        source: where the picture of the painting is from.
        sha256: of the weights file, in hexadecimal.
        network: the network's configuration.
        training: the command, data, seed, device and time that made the weights.
        metrics: measured numbers by name.
        folder: where the record was found.
    """

    slug: str
    title: str
    artist: str
    year: str
    medium: str
    licence: str
    source: str
    sha256: str
    network: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    folder: Path = BUNDLED

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.slug}.safetensors"

    @property
    def preview(self) -> Path:
        return self.folder / f"{self.slug}.jpg"


def list_styles(folder: Path | None = None) -> list[Style]:
    """All styles of a folder, by slug; the bundled ones when `folder` is None.

    Raises:
        StyleError: a record in it is damaged.
    """
    return [read_style(path) for path in sorted((folder or BUNDLED).glob("*.json"))]


def get_style(slug: str, folder: Path | None = None) -> Style:
    """The style of that slug.

    Raises:
        StyleError: there is none; the sentence names those that there are.
    """
    folder = folder or BUNDLED
    if _SLUG.fullmatch(slug) and (folder / f"{slug}.json").is_file():
        return read_style(folder / f"{slug}.json")
    known = ", ".join(path.stem for path in sorted(folder.glob("*.json"))) or "none"
    raise StyleError(f"There is no style {slug!r}. Known styles: {known}.")


def read_style(path: Path) -> Style:
    """The record at `path`.

    Raises:
        StyleError: it is too large, no JSON, or lacks something.
    """
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise StyleError(f"{path.name} is larger than 1 MB and so no style record.")
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        raise StyleError(f"{path.name} is not a readable style record: {cause}.") from cause
    if not isinstance(record, dict):
        raise StyleError(f"{path.name} is not a style record: it holds no JSON object.")
    for key in _TEXT:
        if not isinstance(record.get(key), str) or not record[key].strip():
            raise StyleError(f"{path.name} lacks {key!r}; every style record states it.")
    for key in ("network", "training", "metrics"):
        if not isinstance(record.get(key, {}), dict):
            raise StyleError(f"{path.name}: {key!r} is not an object.")
    if record.get("slug", path.stem) != path.stem or not _SLUG.fullmatch(path.stem):
        raise StyleError(f"{path.name}: the slug must be the file's own lower-case name.")
    return Style(
        slug=path.stem,
        network=record.get("network", {}),
        training=record.get("training", {}),
        metrics=record.get("metrics", {}),
        folder=path.parent,
        **{key: record[key] for key in _TEXT},
    )
