"""A clip to be painted in a style, and what became of it: a line of `manifest.jsonl`."""

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from .. import __version__
from ..errors import StylevidError
from ..pipeline import Options, Piece
from .clips import Wish
from .places import deliver, hide_queries, is_local, open_place, scratch_of, telling_trouble

log = logging.getLogger(__name__)

NAME = "manifest.jsonl"
PIECES = ".pieces"  # the folder of those that wait to be joined
_MAX_NAME_BYTES = 255  # of a file or folder
_UPLOAD_EVERY_S = 5.0  # objects cannot be appended to


@dataclass(frozen=True)
class Record:
    """One line.

    Attributes:
        target: the result's name below the output folder; of a bad line in a list, that line's.
        fingerprint: of all that the result depends on.
        status: "refused" is the clip's or the options' fault, "failed" the world's.
        size_bytes: of the result.
        frames, seconds: painted, and what that took.
        flicker: E_warp of the clip ("floor"), and of its painting without ("off") and with ("on")
            temporal consistency; None when not measured.
        error: why there is no result, in one sentence.
        tries: how often it was begun.
    """

    target: str
    source: str
    style: str
    fingerprint: str
    status: Literal["painted", "refused", "failed"]
    size_bytes: int = 0
    frames: int = 0
    seconds: float = 0.0
    flicker: dict[str, float] | None = None
    error: str | None = None
    tries: int = 1


@dataclass(frozen=True, eq=False)
class Join:
    """What is left to do when all pieces of a film are painted: their records in order."""

    pieces: list[Piece]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Job:
    """What a worker is given.

    Attributes:
        weights: the sha256 of the style's.
        learn_s: seconds to learn the clip for; 0 paints with the style as it is.
        piece_s: of a long clip; 0 paints it in one.
        clip: of a piece, the target that it is for.
        learned: of a piece, where the weights are that the clip was learned with.
        part: the piece, or that all are to be joined.
    """

    source: str
    target: str
    style: str
    weights: str
    options: Options
    size_bytes: int
    fingerprint: str
    learn_s: float = 0.0
    piece_s: float = 0.0
    clip: str | None = None
    learned: str | None = None
    part: Piece | Join | None = None

    @classmethod
    def of(
        cls, wish: Wish, style: str, weights: str, learn_s: float = 0.0, piece_s: float = 0.0
    ) -> "Job":
        """`style` is a name for the result's.

        Raises:
            StylevidError: no disk takes the result's name.
        """
        parts = [wish.size_bytes, wish.state, weights, asdict(wish.options), __version__]
        parts += [learn_s] if learn_s else []
        fingerprint = sha256(json.dumps(parts).encode()).hexdigest()
        target = f"{wish.output or f'{wish.name}-{style}'}.mp4"
        if (longest := max(len(os.fsencode(part)) for part in target.split("/"))) > _MAX_NAME_BYTES:
            raise StylevidError(f"its result's name has {longest} bytes; the limit is "
                                f"{_MAX_NAME_BYTES}. Name another output in a list.")  # fmt: skip
        return cls(wish.source, target, style, weights, wish.options, wish.size_bytes, fingerprint,
                   learn_s, piece_s)  # fmt: skip

    @property
    def pieces(self) -> str:
        """How the names of its pieces begin, below the output folder."""
        return f"{PIECES}/{self.target}/{self.fingerprint[:16]}"

    def record(self, status: Literal["painted", "refused", "failed"], **what: Any) -> Record:
        """What became of it."""
        source = hide_queries(self.source)
        return Record(self.target, source, self.style, self.fingerprint, status, **what)


class InPieces:
    """A long clip's job, taken apart: the `jobs` for its pieces."""

    def __init__(self, whole: Job, pieces: list[Piece], learned: str | None) -> None:
        self._whole, self._pieces = whole, pieces
        self._done: dict[str, Record] = {}
        self.jobs = [
            replace(whole, target=f"{whole.pieces}-{whole.piece_s:g}-{number:04}.mp4",
                    clip=whole.target, learned=learned, part=piece)
            for number, piece in enumerate(pieces)
        ]  # fmt: skip

    def add(self, record: Record) -> Job | None:
        """What follows when this piece is done: to join all, or, where it is not painted, the clip
        in one after all; None while others are at work."""
        if record.status != "painted":
            return replace(self._whole, piece_s=0)
        self._done[record.target] = record
        if len(self._done) < len(self.jobs):
            return None
        records = tuple(self._done[job.target] for job in self.jobs)
        return replace(self._whole, part=Join(self._pieces, records))


class Ledger:
    """The records beside the results in `out`: what earlier batches left, and what is added."""

    def __init__(self, out: str) -> None:
        """Read them; lines that are torn or not ours count as never written."""
        self._out, self._place = out, f"{out}/{NAME}"
        self._saved_s = 0.0
        files, path = open_place(out)
        with telling_trouble(out):
            found = files.find(path, detail=True) if files.exists(path) else {}
            self._sizes = {name[len(path) + 1 :]: info["size"] for name, info in found.items()}
            text = files.cat_file(f"{path}/{NAME}") if NAME in self._sizes else b""
        self._records = {record.target: record for record in _read(text)}
        self.save()

    def known(self, job: Job) -> Record | None:
        """What became of it, if nothing that it depends on has changed and its result is there."""
        record = self._records.get(job.target)
        if record is None or record.fingerprint != job.fingerprint:
            return None
        there = record.status != "painted" or self._sizes.get(job.target) == record.size_bytes
        return record if there else None

    def add(self, record: Record) -> None:
        """Write a line; where files cannot be appended to, within seconds or with `save`."""
        self._records[record.target] = record
        if is_local(self._place):
            with Path(self._place).open("a", encoding="utf-8") as file:
                file.write(_line(record))
        elif time.monotonic() - self._saved_s > _UPLOAD_EVERY_S:
            try:
                self.save()
            except StylevidError as error:  # it may come back
                log.warning("%s", error)

    def save(self) -> None:
        """Write them all, one line a result.

        Raises:
            StylevidError: the folder cannot be written to.
        """
        scratch = scratch_of(self._out)
        scratch.mkdir(parents=True, exist_ok=True)
        self._saved_s = time.monotonic()
        with telling_trouble(self._place), TemporaryDirectory(dir=scratch) as folder:
            whole = Path(folder) / NAME
            whole.write_text("".join(map(_line, self._records.values())), "utf-8")
            deliver(whole, self._place)


def _line(record: Record) -> str:
    return json.dumps(asdict(record)) + "\n"


def _read(content: bytes) -> Iterator[Record]:
    for line in content.decode("utf-8", "replace").splitlines():
        try:
            record = Record(**json.loads(line))
            if record.fingerprint:  # a list's bad line is read anew
                hash(record.target)
                yield record
        except (ValueError, TypeError, RecursionError):
            log.warning("%s: a line that cannot be read is left out", NAME)
