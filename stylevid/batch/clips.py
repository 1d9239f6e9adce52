"""The clips that are asked for: in files, folders, patterns, URLs and lists.

A list is CSV with a header, or JSON a line, of `source`, and where they differ from the command
line's `style`, `output` and options.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ..errors import StylevidError
from ..pipeline import Options
from ..styles import parse_json
from .places import full_name, hide_queries, open_place, telling_trouble

_VIDEOS = re.compile(
    r".*\.(3g2|3gp|asf|avi|dv|flv|gif|m2?ts|m4v|mkv|mov|mp4|mpe?g|mxf|og[gv]|rm|ts|webm|wmv)", re.I
)
# By one of these a file system tells that a file has changed.
_STATES = ("ETag", "etag", "md5", "blob_id", "mtime", "LastModified", "last_modified", "updated",
           "created")  # fmt: skip
_OPTIONS = {"temporal": bool, "size": int, "strength": float, "keep_colors": bool, "brush": float,
            "start_s": float, "end_s": float}  # fmt: skip
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Wish:
    """A clip, and what is asked of it.

    Attributes:
        source: path or URL.
        name: of the clip below the folder that was searched, without ".mp4".
        size_bytes: 0 where the file system does not say.
        state: a hash or date that changes with the file.
        output: name of the result below the output folder; None names it after clip and style.
        style: None for those of the command line.
    """

    source: str
    name: str
    size_bytes: int
    state: str
    options: Options
    output: str | None = None
    style: str | None = None


def read_wishes(
    place: str, out: str, options: Options
) -> Sequence[tuple[str, Wish | StylevidError]]:
    """What each clip or line of a list is called, and what is asked, or why that cannot be done.

    Hidden files and linked folders are left out of folders and patterns, and so is everything in
    the folder `out`.

    Raises:
        StylevidError: there is nothing at `place`.
    """
    files, path = open_place(place)
    with telling_trouble(place):
        if is_list(place):
            found = list(_read_list(files, path, options))
        else:
            wishes = _find(files, path, options)
            found = [(hide_queries(w.source), w) for w in wishes if not _is_in(out, w.source)]
    if not found:
        raise StylevidError(
            f"{hide_queries(place)} holds no clip. Name a video, a folder or a pattern."
        )
    return found


def is_list(place: str) -> bool:
    return hide_queries(place).lower().endswith((".csv", ".jsonl", ".ndjson"))


def _is_in(folder: str, source: str) -> bool:
    """Whether a file lies in a folder, through whatever links they are reached."""
    parent = source.rpartition("/")[0]
    if "://" not in source:
        folder, parent = os.path.realpath(folder), os.path.realpath(parent)
    return f"{parent}/".startswith(f"{folder}/")


def _find(files: Any, path: str, options: Options) -> Iterator[Wish]:
    magic = re.search(r"[*?[]", hide_queries(path))
    if files.isdir(path):
        root, found = path, files.find(path, detail=True)
        found = {p: i for p, i in found.items() if _VIDEOS.fullmatch(p)}
    elif magic and not files.exists(path):
        root, found = path[: magic.start()].rpartition("/")[0], files.glob(path, detail=True)
    else:
        root, found = hide_queries(path).rpartition("/")[0], {path: files.info(path)}
    for name, info in sorted(found.items()):
        below = hide_queries(name)[len(root) :].strip("/")
        hidden = name != path and any(part.startswith(".") for part in below.split("/"))
        if info["type"] not in ("file", "directory") and files.isfile(name):
            info = files.info(name)  # of what is linked
        if info["type"] == "file" and not hidden:
            yield _wish(files, name, info, below, options)


def _wish(files: Any, path: str, info: Mapping[str, Any], name: str, options: Options) -> Wish:
    state = next((str(info[key]) for key in _STATES if info.get(key)), "")
    name = name.removesuffix(".mp4")
    return Wish(full_name(files, path), name, info.get("size") or 0, state, options)


def _read_list(
    files: Any, path: str, options: Options
) -> Iterator[tuple[str, Wish | StylevidError]]:
    text = files.cat_file(path).decode("utf-8-sig", "replace")
    folder, _, name = hide_queries(path).rpartition("/")
    rows = _csv_rows(text) if name.lower().endswith(".csv") else _json_rows(text)
    for number, row in rows:
        try:
            if isinstance(row, Exception):
                raise row
            wish = _row_wish(row, full_name(files, folder), options)
        except (ValueError, StylevidError) as cause:
            wish = StylevidError(str(cause))
        yield f"{name}, line {number}", wish


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.strip():
                yield number, parse_json(line)
        except ValueError as error:
            yield number, ValueError(f"it is no JSON: {error}.")


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text), restkey="", strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.reader.line_num, ValueError(f"it is no CSV: {error}.")
        else:
            yield reader.line_num, {key: value for key, value in row.items() if value}


def _row_wish(row: Any, folder: str, options: Options) -> Wish:
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object.")
    given = {str(key): value for key, value in row.items() if value is not None}
    source, style, output = (given.pop(key, None) for key in ("source", "style", "output"))
    for text in (source, style, output):
        if text is not None and (not isinstance(text, str) or not text.isprintable()):
            raise ValueError("source, style and output are texts that can be shown.")
    if not source:
        raise ValueError("it names no source.")
    if unknown := [key for key in given if key not in _OPTIONS]:
        known = ", ".join(("source", "style", "output", *_OPTIONS))
        raise ValueError(f"{unknown[0][:40]!r} is none of {known}.")
    if output and any(part[:1] in ("", ".") for part in output.split("/")):
        raise ValueError(f"output {output!r} is no name below the output folder, or a hidden one.")
    values = {key: _value(key, value, _OPTIONS[key]) for key, value in given.items()}
    files, path = open_place(
        source if "://" in source or source[0] == "/" else f"{folder}/{source}"
    )
    with telling_trouble(source):
        info = files.info(path)
    name = PurePosixPath(hide_queries(path)).name
    wish = _wish(files, path, info, name, replace(options, **values))
    return replace(wish, style=style, output=output and output.removesuffix(".mp4"))


def _value(key: str, value: Any, kind: type) -> Any:
    try:
        number = _WORDS[str(value).lower()] if kind is bool else float(value)
        if kind is int and number != int(number):
            raise ValueError
        return kind(number)
    except (KeyError, TypeError, ValueError, OverflowError) as cause:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ValueError(f"{key!r} is {wanted}; got {str(value)[:40]!r}.") from cause
