"""Files that other programs see whole or not at all."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Generator[Path]:
    """Where to write a file that takes the place of `path` once the block has ended well.

    The file to write has the name of `path`, in a hidden folder beside it, which is gone
    afterwards; after any error, an interrupt too, `path` is as it was. Missing parents are made.

    Raises:
        OSError: as writing to `path` itself would, or the block wrote nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder) / path.name
        yield partial
        partial.replace(path)
