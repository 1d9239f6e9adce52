"""Files on this machine and at any URL that fsspec opens, by the same few verbs."""

import os
import re
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..errors import StylevidError

# Here an upload shows only when it is whole; elsewhere it is renamed once it is.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf"}


class UnreachableError(StylevidError, OSError):
    """A store does not answer; it may come back."""


def open_place(place: str) -> tuple[Any, str]:
    """The file system of a URL, or of a path on this machine, and the path in it.

    Raises:
        StylevidError: nothing here opens such a URL.
        UnreachableError: its store does not answer.
    """
    if "://" not in place:
        return LocalFileSystem(), os.path.abspath(place)
    try:
        return url_to_fs(place)
    except Exception as cause:  # each kind of store has its own
        kind = UnreachableError if isinstance(cause, OSError) else StylevidError
        raise kind(f"{hide_queries(place)} cannot be opened: {in_a_line(cause)}.") from cause


@contextmanager
def telling_trouble(place: str) -> Generator[None]:
    """Raise one StylevidError for whatever a file system raises within."""
    try:
        yield
    except StylevidError:
        raise
    except FileNotFoundError as cause:
        raise StylevidError(f"{hide_queries(place)} does not exist.") from cause
    except Exception as cause:  # each kind of store has its own
        raise StylevidError(f"{hide_queries(place)} cannot be used: {in_a_line(cause)}.") from cause


def in_a_line(error: Exception) -> str:
    """What went wrong, by kind and in a few words."""
    text = hide_queries(" ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:200]}".rstrip(".: ")


def hide_queries(text: str) -> str:
    """A place or a message, cut where a web address has its query, which may hold a key."""
    return re.sub(r"(https?://[^?#]*)[?#].*", r"\1", text, flags=re.IGNORECASE | re.DOTALL)


def full_name(files: Any, path: str) -> str:
    """The URL of a path in a file system; on this machine, the path."""
    return path if isinstance(files, LocalFileSystem) else str(files.unstrip_protocol(path))


def is_local(place: str) -> bool:
    return isinstance(open_place(place)[0], LocalFileSystem)


def scratch_of(out: str) -> Path:
    """Where what is not whole yet is kept: beside the results, whose names it gets by renaming, or
    on each worker's own disk."""
    files, path = open_place(out)
    if isinstance(files, LocalFileSystem):
        return Path(path) / ".partial"
    return Path(tempfile.gettempdir()) / f"stylevid-{sha256(out.encode()).hexdigest()[:16]}"


def fetch(place: str, folder: Path) -> Path:
    """A file's path on this machine: its own, or that of a copy in `folder`."""
    files, path = open_place(place)
    if isinstance(files, LocalFileSystem):
        return Path(path)
    copy = folder / PurePosixPath(hide_queries(path)).name[-60:]  # a disk takes 255 bytes
    files.get_file(path, str(copy))
    return copy


def exists(place: str) -> bool:
    files, path = open_place(place)
    return bool(files.exists(path))


def remove(place: str) -> None:
    """Make an end of a file or folder, if there is one and its store is not out of reach."""
    with suppress(Exception):
        files, path = open_place(place)
        files.rm(path, recursive=True)


def deliver(whole: Path, place: str) -> None:
    """Move a file to a place, where it appears only when it is whole; on this machine, `whole` is
    of the same disk."""
    files, path = open_place(place)
    folder, _, name = path.rpartition("/")
    if isinstance(files, LocalFileSystem):
        Path(folder).mkdir(parents=True, exist_ok=True)
        whole.replace(path)
    elif _OBJECT_STORES.intersection([files.protocol] if isinstance(files.protocol, str)
                                     else files.protocol):  # fmt: skip
        files.put_file(str(whole), path)
    else:
        partial = f"{folder}/.{uuid.uuid4().hex}.partial"
        files.makedirs(folder, exist_ok=True)
        try:
            files.put_file(str(whole), partial)
            files.mv(partial, f"{folder}/{name}")
        finally:
            if files.exists(partial):
                files.rm_file(partial)
