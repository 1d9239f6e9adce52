"""Known answers for the flow files, byte by byte."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from stylevid.errors import DataError, StylevidError
from train.data.flow_files import (
    map_flow,
    map_pfm,
    read_flo,
    read_flow,
    read_pfm,
    write_flo,
    write_pfm,
)

HEIGHT, WIDTH = 3, 5


def numbers(channels: int) -> np.ndarray:
    """H,W,C, every sample its own: 100 * row + 10 * column + channel."""
    row, column, channel = np.indices((HEIGHT, WIDTH, channels))
    return (100 * row + 10 * column + channel).astype(np.float32)


def write_bytes(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def flo_header(width: int, height: int, magic: float = 202021.25) -> bytes:
    return struct.pack("<fii", magic, width, height)


@pytest.mark.parametrize(("kind", "channels"), [(b"PF", 3), (b"Pf", 1)])
@pytest.mark.parametrize(("scale", "order"), [(b"-1.0", "<"), (b"1.0", ">"), (b"+2", ">")])
def test_pfm_is_bottom_up_in_either_byte_order(
    tmp_path: Path, kind: bytes, channels: int, scale: bytes, order: str
) -> None:
    rows = numbers(channels)[::-1].astype(f"{order}f4")
    header = kind + b"\n5 3\n" + scale + b"\n"
    samples = read_pfm(write_bytes(tmp_path / "a.pfm", header, rows.tobytes()))
    assert samples.dtype == np.float32 and samples.dtype.isnative
    assert samples.flags.c_contiguous and samples.flags.writeable
    assert np.array_equal(samples, numbers(channels))


@pytest.mark.parametrize(
    "header", [b"Pf 5 3 -1\n", b"Pf\r\n5 3\r\n-1.0\r\n", b"Pf \n5 3 \n-1.0\n", b"Pf\n5\n3\n-1e0 "]
)
def test_pfm_headers_as_others_write_them(tmp_path: Path, header: bytes) -> None:
    rows = numbers(1)[::-1].astype("<f4").tobytes()
    samples = read_pfm(write_bytes(tmp_path / "a.pfm", header, rows))
    assert np.array_equal(samples, numbers(1))


def test_flo_is_top_down_with_width_first(tmp_path: Path) -> None:
    rows = numbers(2).astype("<f4").tobytes()
    flow = read_flo(write_bytes(tmp_path / "a.flo", b"PIEH", flo_header(5, 3)[4:], rows))
    assert flow.dtype == np.float32
    assert np.array_equal(flow, numbers(2))


@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_round_trip(tmp_path: Path, channels: int) -> None:
    write_pfm(tmp_path / "a.pfm", numbers(channels))
    assert np.array_equal(read_pfm(tmp_path / "a.pfm"), numbers(channels))


def test_pfm_of_a_plane_has_one_channel(tmp_path: Path) -> None:
    write_pfm(tmp_path / "a.pfm", numbers(1)[:, :, 0])
    assert np.array_equal(read_pfm(tmp_path / "a.pfm"), numbers(1))


def test_pfm_of_flow_has_a_third_channel_of_zeros(tmp_path: Path) -> None:
    write_pfm(tmp_path / "a.pfm", numbers(2))
    samples = read_pfm(tmp_path / "a.pfm")
    assert np.array_equal(samples[:, :, :2], numbers(2))
    assert (samples[:, :, 2] == 0).all()


def test_flo_round_trip_keeps_what_is_not_finite(tmp_path: Path) -> None:
    flow = numbers(2)
    flow[0, 0] = np.nan, np.inf
    write_flo(tmp_path / "a.flo", flow)
    assert np.array_equal(read_flo(tmp_path / "a.flo"), flow, equal_nan=True)


def test_other_precisions_and_byte_orders_can_be_written(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", numbers(2).astype(np.float64))
    write_pfm(tmp_path / "a.pfm", numbers(3).astype(">f4"))
    assert np.array_equal(read_flo(tmp_path / "a.flo"), numbers(2))
    assert np.array_equal(read_pfm(tmp_path / "a.pfm"), numbers(3))


@pytest.mark.parametrize("shape", [(3,), (3, 5, 4), (1, 3, 5, 2)])
def test_other_shapes_are_not_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    for write in (write_pfm, write_flo):
        with pytest.raises(ValueError, match="got"):
            write(tmp_path / "a", np.zeros(shape, np.float32))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("suffix", [".pfm", ".flo", ".PFM"])
def test_read_flow_has_dx_then_dy_whatever_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    (write_flo if suffix == ".flo" else write_pfm)(path, numbers(2))
    flow = read_flow(path)
    assert flow.shape == (1, 2, HEIGHT, WIDTH)
    assert flow.dtype == torch.float32
    assert flow[0, :, 2, 4].tolist() == [240, 241]
    assert np.array_equal(flow[0].permute(1, 2, 0).numpy(), numbers(2))


def test_read_flow_is_of_its_own_memory(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", numbers(2))
    read_flow(tmp_path / "a.flo").zero_()
    assert np.array_equal(read_flo(tmp_path / "a.flo"), numbers(2))


def test_mapped_files_are_views_that_cannot_be_written(tmp_path: Path) -> None:
    write_pfm(tmp_path / "a.pfm", numbers(3))
    samples = map_pfm(tmp_path / "a.pfm")
    assert isinstance(samples, np.memmap)
    assert not samples.flags.writeable
    assert np.array_equal(samples[1:3, 2:4], numbers(3)[1:3, 2:4])


def test_a_part_of_a_mapped_file_takes_only_its_own_memory(tmp_path: Path) -> None:
    write_pfm(tmp_path / "a.pfm", np.zeros((512, 512, 3), np.float32))
    tracemalloc.start()
    assert np.array(map_flow(tmp_path / "a.pfm")[10:20, 30:40]).shape == (10, 10, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


PFM = b"PF\n5 3\n-1.0\n"
TROUBLES = {
    "empty.pfm": (b"", "empty file"),
    "empty.flo": (b"", "empty file"),
    "short.pfm": (PFM + bytes(4 * 44), "truncated file"),
    "short.flo": (flo_header(5, 3) + bytes(4 * 29), "truncated file"),
    "header-only.pfm": (PFM, "truncated file"),
    "header-only.flo": (flo_header(5, 3), "truncated file"),
    "long.pfm": (PFM + bytes(4 * 46), "oversized file"),
    "long.flo": (flo_header(5, 3) + bytes(4 * 31), "oversized file"),
    "magic.pfm": (b"P6\n5 3\n255\n" + bytes(45), "wrong magic"),
    "magic.flo": (flo_header(5, 3, 202021.0) + bytes(120), "wrong magic"),
    "half-header.flo": (flo_header(5, 3)[:10], "wrong magic"),
    "half-header.pfm": (b"PF\n5 3", "wrong magic"),
    "swapped.flo": (struct.pack(">fii", 202021.25, 5, 3) + bytes(120), "wrong magic"),
    "negative.pfm": (b"PF\n-5 3\n-1.0\n" + bytes(180), "wrong magic"),
    "scale.pfm": (b"PF\n5 3\nnan\n" + bytes(180), "wrong magic"),
    "nothing.pfm": (b"PF\n0 3\n-1.0\n", "wrong header"),
    "nothing.flo": (flo_header(0, 3), "wrong header"),
    "negative.flo": (flo_header(-5, -3) + bytes(120), "wrong header"),
    "huge.pfm": (b"PF\n999999999 999999999\n-1.0\n" + bytes(180), "truncated file"),
    "huge.flo": (flo_header(2**31 - 1, 2**31 - 1) + bytes(120), "truncated file"),
    "endless.pfm": (b"PF\n" + b"9" * 500 + b" 3\n-1.0\n", "wrong magic"),
    "one.pfm": (b"Pf\n5 3\n-1.0\n" + bytes(60), "wrong channels"),
    "other.tif": (b"II*\0", "unknown suffix"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    content, kind = TROUBLES[name]
    path = write_bytes(tmp_path / name, content)
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        read_flow(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.kind == kind
    message = str(caught.value)
    assert name in message and message.endswith(".") and "\n" not in message
    assert peak < 1_000_000


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.flo").mkdir()
    for name in ("missing.pfm", "folder.flo"):
        with pytest.raises(StylevidError, match=name) as caught:
            read_flow(tmp_path / name)
        assert isinstance(caught.value, DataError)
        assert caught.value.kind == "unreadable file"
