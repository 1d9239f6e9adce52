"""The Style record and its reader. A folder of records is the registry: adding a style adds files
and touches no Python.

A record may come from anybody: its size, texts and preview are checked here, and its texts are
plain text, which whoever shows them has to escape.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from .errors import StyleError

_INSTALLED = Path(__file__).resolve().parent / "bundled"
BUNDLED = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parent.parent / "weights"
MAX_RECORD_BYTES = 64 << 10  # ours have 3 KB
MAX_PREVIEW_BYTES = 4 << 20
MAX_PREVIEW_PIXELS = 16 << 20
THUMBNAIL = 512  # pixels on the longest side

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_SLUG, _MAX_TEXT = 64, 500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT = ("title", "artist", "year", "medium", "licence", "source", "sha256")
# Control characters, halves of characters, and marks that turn the writing direction of all that
# follows them.
_UNPRINTABLE = {"Cc", "Cs"}
_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Style:
    """One painting that the network has learned: what `<slug>.json` says.

    Attributes:
        slug: its short name, lower-case words joined by dashes.
        title, artist, year, medium: of the painting.
        licence: why the painting may be used, and under what terms the weights may.
        source: where the picture of the painting is from.
        sha256: of the weights file, in hexadecimal.
        training: the command, data, seed, device and time that made the weights.
        metrics: measured numbers by name.
        folder: where the record was found.
        origin: where the style comes from, in a word: "bundled", a folder's name, or a repo.
        file: the weights, where they are not `<slug>.safetensors` in that folder.
    """

    slug: str
    title: str
    artist: str
    year: str
    medium: str
    licence: str
    source: str
    sha256: str
    network: dict[str, Any] = field(hash=False)
    training: dict[str, Any] = field(default_factory=dict, hash=False)
    metrics: dict[str, Any] = field(default_factory=dict, hash=False)
    folder: Path = BUNDLED
    origin: str = "bundled"
    file: Path | None = None

    @property
    def full_name(self) -> str:
        """`origin/slug`, which names this style even where another one has the same slug."""
        return f"{self.origin}/{self.slug}"

    @property
    def weights(self) -> Path:
        return self.file or self.folder / f"{self.slug}.safetensors"

    @property
    def preview(self) -> Path:
        return self.folder / f"{self.slug}.jpg"

    @property
    def painting(self) -> Path:
        """A small picture of the painting itself, which a style may do without."""
        return self.folder / f"{self.slug}.painting.jpg"


@dataclass(frozen=True)
class Mix:
    """Two styles in one.

    Attributes:
        one, other: styles, or weights files, whose networks come from one start.
        share: of the other, 0 to 1.
    """

    one: Style | Path
    other: Style | Path
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"a mix is a number from 0 to 1; got {self.share}")

    @property
    def slug(self) -> str:
        return f"{slug_of(self.one)}-{slug_of(self.other)}"

    @property
    def title(self) -> str:
        both = (self.one, self.other)
        return " and ".join(s.title if isinstance(s, Style) else s.stem for s in both)


def slug_of(style: Style | Path | str) -> str:
    """The slug of a style, or of a lone weights file."""
    return style.slug if isinstance(style, Style) else Path(style).stem


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
    if is_slug(slug) and (folder / f"{slug}.json").is_file():
        return read_style(folder / f"{slug}.json")
    raise _unknown(slug, (path.stem for path in sorted(folder.glob("*.json"))))


def find_style(name: str, styles: Sequence[Style]) -> Style:
    """The first of `styles` that has this slug, or this full name.

    Raises:
        StyleError: there is none; the sentence names those that there are.
    """
    for style in styles:
        if name in (style.slug, style.full_name):
            return style
    raise _unknown(name, name_styles(styles))


def name_styles(styles: Iterable[Style]) -> dict[str, Style]:
    """The styles by the name that `find_style` knows each by: its slug, or its full name where a
    style before it has the same slug."""
    names: dict[str, Style] = {}
    for style in styles:
        names[style.full_name if style.slug in names else style.slug] = style
    return names


def is_slug(text: str) -> bool:
    """Whether this can be a style's slug, and so the stem of its files' names."""
    return len(text) <= _MAX_SLUG and _SLUG.fullmatch(text) is not None


def read_style(path: Path, origin: str | None = None) -> Style:
    """The record at `path`; `origin` is by default "bundled" or the folder's name.

    Raises:
        StyleError: it is too large, no JSON, or lacks something.
    """
    record = _read_record(path)
    for key in _TEXT:
        value = record.get(key)
        if not isinstance(value, str) or not value.strip():
            raise StyleError(f"{path.name} lacks {key!r}; every style record states it.")
        if len(value) > _MAX_TEXT:
            raise StyleError(f"{path.name}: {key!r} has {len(value)} letters; {_MAX_TEXT} are "
                             "allowed.")  # fmt: skip
        if any(unicodedata.category(a) in _UNPRINTABLE or a in _TURNS for a in value):
            raise StyleError(f"{path.name}: {key!r} holds characters that cannot be shown.")
    for key in ("network", "training", "metrics"):
        if not isinstance(record.get(key, {}), dict):
            raise StyleError(f"{path.name}: {key!r} is not an object.")
    if record.get("slug", path.stem) != path.stem or not is_slug(path.stem):
        raise StyleError(f"{path.name}: the slug must be the file's own lower-case name.")
    if not _SHA256.fullmatch(record["sha256"]):
        raise StyleError(f"{path.name}: 'sha256' is 64 hexadecimal digits, in lower case.")
    return Style(
        slug=path.stem,
        network=record.get("network", {}),
        training=record.get("training", {}),
        metrics=record.get("metrics", {}),
        folder=path.parent,
        origin=origin or ("bundled" if path.parent.resolve() == BUNDLED else path.parent.name),
        **{key: record[key] for key in _TEXT},
    )


def read_preview(path: Path) -> Image.Image:
    """A preview as an RGB picture of at most 512 pixels a side, decoded to its last row.

    Raises:
        StyleError: it is no JPEG, damaged, or too large.
    """
    try:
        if path.stat().st_size > MAX_PREVIEW_BYTES:
            raise StyleError(f"{path.name} is larger than {MAX_PREVIEW_BYTES >> 20} MB; a preview "
                             "is a small picture.")  # fmt: skip
        with Image.open(path, formats=["JPEG"]) as picture:
            width, height = picture.size
            if width * height > MAX_PREVIEW_PIXELS:
                raise StyleError(f"{path.name} claims {width}x{height} pixels; a preview is a "
                                 "small picture.")  # fmt: skip
            picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as cause:
        raise StyleError(f"{path.name} is no readable JPEG.") from cause
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small


def _read_record(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise StyleError(f"{path.name} is larger than {MAX_RECORD_BYTES >> 10} KB and so no "
                             "style record.")  # fmt: skip
        record = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as cause:
        raise StyleError(f"{path.name} is not a readable style record: {cause}.") from cause
    if not isinstance(record, dict):
        raise StyleError(f"{path.name} is not a style record: it holds no JSON object.")
    return record


def parse_json(text: str) -> Any:
    """The value of a JSON text that a stranger wrote, in which nothing can be read in two ways.

    Raises:
        ValueError: it is no JSON, repeats a key, is nested deep, or holds a number that is none.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse, parse_int=_whole
        )
    except RecursionError as cause:
        raise ValueError("it is nested too deep") from cause


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice in it")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _unknown(name: str, known: Iterable[str]) -> StyleError:
    return StyleError(f"There is no style {name!r}. Known styles: {', '.join(known) or 'none'}.")
