"""All that a page writes down for its visitors is in one folder, which goes when the page ends, or,
when it was killed, as the next one begins."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "stylevid-page-"
_LOCK = "lock"  # held by the page whose folder it is, as long as it lives


@contextmanager
def scratch() -> Generator[Path]:
    """All temporary files go into a new folder, gradio's as well, which is deleted in the end. What
    killed pages left is deleted now.

    It is made where gradio is told to keep files (GRADIO_TEMP_DIR), or else where all others are.
    """
    place = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    for lock in place.glob(f"{PREFIX}*/{_LOCK}"):
        # Another user's, or one whose page is alive.
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=place, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder, _LOCK)),
    ):
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "gradio"))
        yield Path(folder)
