"""Files spoiled by chance, for readers that must read them or refuse them in one sentence."""

import random


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


def assert_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert text.isprintable() and len(text) < 400 and text.endswith("."), ascii(text)
