"""The files that hold optical flow: PFM and .flo, to and from float32 arrays, top row first.

A file is mapped into memory, so that reading a part of it reads only those rows. Whatever a header
claims is held against the file's size before anything else is done with it.
"""

import re
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylevid.errors import DataError

FloatArray = npt.NDArray[np.float32]

_PFM_HEADER = re.compile(
    rb"(?P<kind>PF|Pf)\s+(?P<width>\d{1,9})\s+(?P<height>\d{1,9})\s+"
    rb"(?P<scale>[+-]?\d+(\.\d*)?([eE][+-]?\d+)?)([ \t]*\r?\n|\s)"
)
_PFM_HEADER_BYTES = 80  # far more than any real header
_FLO_MAGIC = struct.pack("<f", 202021.25)  # the bytes "PIEH"


def map_pfm(path: Path) -> FloatArray:
    """The samples of a PFM file, H,W,C (C = 3 for PF, 1 for Pf), as a read-only view of the file.

    The top row comes first, although the file begins with the bottom row. The sign of the
    header's scale is the byte order, negative for little endian; its size is not applied, as in
    the readers that come with SceneFlow.

    Raises:
        DataError: the file is missing, empty, no PFM, or of another size than its header says.
    Source: Debevec's PFM; Mayer et al. 2016 (SceneFlow) keep flow in it as (dx, dy, unused).
    """
    header = _PFM_HEADER.match(_first_bytes(path, _PFM_HEADER_BYTES))
    if header is None:
        raise DataError(f"{path} does not begin with the header of a PFM file.", "wrong magic")
    channels = 3 if header["kind"] == b"PF" else 1
    order = "<" if header["scale"].startswith(b"-") else ">"
    shape = int(header["height"]), int(header["width"]), channels
    return _map(path, order, header.end(), shape)[::-1]


def map_flo(path: Path) -> FloatArray:
    """The flow of a .flo file, H,W,2, (dx, dy) in pixels, as a read-only view of the file.

    Raises:
        DataError: the file is missing, empty, no .flo, or of another size than its header says.
    Source: Baker et al. 2011 (Middlebury): float 202021.25, int32 width and height, then dx, dy of
        every pixel, all little endian.
    """
    header = _first_bytes(path, 12)
    if len(header) < 12 or header[:4] != _FLO_MAGIC:
        raise DataError(
            f"{path} does not begin with the header of a .flo file (202021.25).", "wrong magic"
        )
    width, height = struct.unpack("<ii", header[4:])
    return _map(path, "<", 12, (height, width, 2))


def map_flow(path: Path) -> FloatArray:
    """The flow of a .pfm or .flo file, H,W,2, (dx, dy) in pixels, as a read-only view of the file.

    Raises:
        DataError: the file cannot be used, holds one channel or has another suffix.
    """
    suffix = path.suffix.lower()
    if suffix == ".flo":
        return map_flo(path)
    if suffix != ".pfm":
        raise DataError(f"{path} is neither a .pfm nor a .flo file.", "unknown suffix")
    samples = map_pfm(path)
    if samples.shape[2] != 3:
        raise DataError(
            f"{path} holds one channel; flow has three (dx, dy, unused).", "wrong channels"
        )
    return samples[:, :, :2]


def read_pfm(path: Path) -> FloatArray:
    """The samples of a PFM file, float32 H,W,C, as `map_pfm` has them but in memory."""
    return np.array(map_pfm(path), dtype=np.float32, order="C")


def read_flo(path: Path) -> FloatArray:
    """The flow of a .flo file, float32 H,W,2, as `map_flo` has it but in memory."""
    return np.array(map_flo(path), dtype=np.float32, order="C")


def read_flow(path: Path) -> Tensor:
    """The flow of a .pfm or .flo file, 1,2,H,W float32, (dx, dy) in pixels, as the file has it:
    unknown pixels may be huge or not finite.

    Raises:
        DataError: the file cannot be used, holds one channel or has another suffix.
    """
    return to_flow(map_flow(path))


def to_flow(samples: FloatArray) -> Tensor:
    """A tensor 1,2,H,W of its own from flow samples H,W,2, mapped or not."""
    # Native byte order first: torch takes no other.
    planes = np.array(samples.transpose(2, 0, 1), dtype=np.float32, order="C")
    return torch.from_numpy(planes).unsqueeze(0)  # 1,2,H,W


def write_pfm(path: Path, samples: FloatArray) -> None:
    """Write H,W or H,W,1 (Pf), or H,W,3 (PF), as little-endian PFM; flow H,W,2 gets the third,
    zero channel that SceneFlow's files have.

    Raises:
        ValueError: the array has another shape.
    """
    if samples.ndim == 2:
        samples = samples[:, :, np.newaxis]
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3):
        raise ValueError(f"PFM holds H,W,1 or H,W,3; got {samples.shape}")
    height, width, channels = samples.shape
    if channels == 2:
        samples = np.concatenate((samples, np.zeros_like(samples[:, :, :1])), axis=2)
    kind = "Pf" if channels == 1 else "PF"
    header = f"{kind}\n{width} {height}\n-1.0\n".encode("ascii")
    path.write_bytes(header + samples[::-1].astype("<f4").tobytes())


def write_flo(path: Path, flow: FloatArray) -> None:
    """Write flow H,W,2, (dx, dy) in pixels, as .flo.

    Raises:
        ValueError: the array has another shape.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"flow is H,W,2; got {flow.shape}")
    height, width, _ = flow.shape
    header = _FLO_MAGIC + struct.pack("<ii", width, height)
    path.write_bytes(header + flow.astype("<f4").tobytes())


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except OSError as cause:
        raise DataError(f"{path} cannot be read: {cause.strerror}.", "unreadable file") from cause
    if not start:
        raise DataError(f"{path} is empty.", "empty file")
    return start


def _map(path: Path, order: str, offset: int, shape: tuple[int, int, int]) -> FloatArray:
    """The float32 samples that follow a header of `offset` bytes, once the file has their size."""
    height, width, channels = shape
    if height < 1 or width < 1:
        raise DataError(f"{path} claims a size of {width}x{height} pixels.", "wrong header")
    wanted, found = offset + 4 * height * width * channels, path.stat().st_size
    if found != wanted:
        kind = "truncated file" if found < wanted else "oversized file"
        raise DataError(
            f"{path} is no whole file: {width}x{height} pixels take {wanted} bytes and it has "
            f"{found}.",
            kind,
        )
    return np.memmap(path, dtype=f"{order}f4", mode="r", offset=offset, shape=shape)
