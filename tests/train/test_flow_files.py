"""Known answers for the flow files, byte by byte."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from stylevid.errors import DataError
from tests.train.flow_truth import write_flow
from train.data.flow_files import read_flow, read_pfm

HEIGHT, WIDTH = 3, 5


def numbers(channels: int) -> np.ndarray:
    """H,W,C, every sample its own: 100 * row + 10 * column + channel."""
    row, column, channel = np.indices((HEIGHT, WIDTH, channels))
    return (100 * row + 10 * column + channel).astype(np.float32)


@pytest.mark.parametrize(
    ("header", "channels", "order"),
    [
        (b"PF\n5 3\n-1.0\n", 3, "<"),
        (b"PF\n5 3\n1.0\n", 3, ">"),
        (b"Pf\r\n5 3\r\n+2\r\n", 1, ">"),
        (b"Pf \n5\n3 \n-1e0 ", 1, "<"),
    ],
)
def test_pfm_is_bottom_up_in_either_byte_order(
    tmp_path: Path, header: bytes, channels: int, order: str
) -> None:
    rows = numbers(channels)[::-1].astype(f"{order}f4")
    (tmp_path / "a.pfm").write_bytes(header + rows.tobytes())
    assert np.array_equal(read_pfm(tmp_path / "a.pfm"), numbers(channels))


@pytest.mark.parametrize("name", ["a.pfm", "a.PFM", "a.flo"])
def test_flow_has_dx_then_dy_whatever_the_file_and_keeps_what_is_not_finite(
    tmp_path: Path, name: str
) -> None:
    wanted = numbers(2)
    wanted[0, 0] = np.nan, np.inf
    write_flow(tmp_path / name, wanted)
    flow = read_flow(tmp_path / name)
    assert flow.shape == (1, 2, HEIGHT, WIDTH) and flow.dtype == torch.float32
    assert flow[0, :, 2, 4].tolist() == [240, 241]
    assert np.array_equal(flow[0].permute(1, 2, 0).numpy(), wanted, equal_nan=True)


def flo(width: int, height: int, size: int, magic: float = 202021.25) -> bytes:
    return struct.pack("<fii", magic, width, height) + bytes(size)


PFM = b"PF\n5 3\n-1.0\n"
TROUBLES = {
    "empty.pfm": (b"", "empty file"),
    "short.pfm": (PFM + bytes(4 * 44), "damaged file"),
    "long.flo": (flo(5, 3, 4 * 31), "damaged file"),
    "magic.pfm": (b"P6\n5 3\n255\n" + bytes(45), "damaged file"),
    "magic.flo": (flo(5, 3, 120, 202021.0), "damaged file"),
    "half-header.flo": (flo(5, 3, 0)[:10], "damaged file"),
    "negative.pfm": (b"PF\n-5 3\n-1.0\n" + bytes(180), "damaged file"),
    "nothing.pfm": (b"PF\n0 3\n-1.0\n", "damaged file"),
    "negative.flo": (flo(-5, -3, 120), "damaged file"),
    "huge.flo": (flo(2**31 - 1, 2**31 - 1, 120), "damaged file"),
    "endless.pfm": (b"PF\n" + b"9" * 500 + b" 3\n-1.0\n", "damaged file"),
    "one.pfm": (b"Pf\n5 3\n-1.0\n" + bytes(60), "damaged file"),
    "other.tif": (b"II*\0", "unusable data"),
    "missing.pfm": (None, "unreadable file"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    content, kind = TROUBLES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_flow(tmp_path / name)
    message = str(caught.value)
    assert caught.value.kind == kind
    assert name in message and message.endswith(".") and "\n" not in message
