"""Files spoiled by chance, for readers that must read them or refuse them in one sentence."""

import os
import pickle
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest


def spoiled(body: bytes, chance: random.Random, front: int = 64) -> bytes:
    """The file after one to three accidents, half of them in its first `front` bytes."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(min(len(body), chance.choice([front, len(body)])) or 1)
        some = chance.randint(1, 40)
        body = chance.choice([
            body[:at] + bytes(b ^ 1 << chance.randrange(8) for b in body[at : at + 2])
            + body[at + 2 :],
            body[:at],
            body[:at] + body[at + some :],
            body[:at] + chance.randbytes(some) + body[at:],
        ])  # fmt: skip
    return body


class _Exploit:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("pickle-was-opened",)


PICKLE = pickle.dumps(_Exploit()) * 50  # leaves a folder where it is opened


def assert_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert text.isprintable() and len(text) < 400 and text.endswith("."), ascii(text)


@contextmanager
def refused(
    error: type[BaseException] | tuple[type[BaseException], ...], match: str | None = None
) -> Generator[None]:
    """What is done within ends in this error, which is one sentence."""
    with pytest.raises(error, match=match) as caught:
        yield
    assert_one_sentence(caught.value)
