"""The errors that stylevid raises for trouble outside the program.

Each message is one sentence for the person at the screen: what happened, the value, the limit
and what to do. Wrong arguments are `ValueError`, as everywhere in Python.
"""

import sys
from collections.abc import Callable


class StylevidError(Exception):
    """Base of all errors below; catch this one to catch them all."""


class VideoError(StylevidError):
    """A video cannot be read or written."""


class StyleError(StylevidError):
    """A style is unknown, or its record is not one of ours."""


class WeightsError(StylevidError):
    """A weights file is missing, damaged, tampered with or of another kind."""


class HubError(StylevidError):
    """A repo of the Hub cannot be reached, or holds no style that can be used."""


class DataError(StylevidError):
    """Training data that cannot be used; `kind` is the trouble in two words, for counting."""

    def __init__(self, message: str, kind: str = "unusable data") -> None:
        super().__init__(message)
        self.kind = kind


class Cancelled(StylevidError):
    """The caller asked to stop; nothing was written."""


def exit_status(work: Callable[[], object]) -> int:
    """Do a command's work: 0, or 1 after trouble or a wrong argument, said on stderr in a line."""
    try:
        work()
    except (StylevidError, OSError, ValueError) as error:
        print(" ".join(str(error).split()) or repr(error), file=sys.stderr)  # noqa: T201
        return 1
    return 0
