"""The files that hold optical flow: PFM and .flo, to and from float32, top row first.

Whatever a header claims is held against the file's size before anything is read. OpenCV's reader of
.flo does not do that: a header with a negative size ends the process (OpenCV 5.0).
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
_HEADER_BYTES = 80  # far more than any real header
_FLO_MAGIC = struct.pack("<f", 202021.25)  # the bytes "PIEH"


def read_flow(path: Path) -> Tensor:
    """The flow of a .pfm or .flo file, 1,2,H,W float32, (dx, dy) in pixels, as the file has it:
    unknown pixels may be huge or not finite.

    Raises:
        DataError: the file cannot be used, holds one channel or has another suffix.
    """
    readers = {".flo": _read_flo, ".pfm": read_pfm}
    if (suffix := path.suffix.lower()) not in readers:
        raise DataError(f"{path} is neither a .pfm nor a .flo file.")
    samples = readers[suffix](path)[:, :, :2]
    if samples.shape[2] != 2:
        message = f"{path} holds one channel; flow has three (dx, dy, unused)."
        raise DataError(message, "damaged file")
    # In native byte order: torch takes no other.
    planes = np.array(samples.transpose(2, 0, 1), dtype=np.float32, order="C")
    return torch.from_numpy(planes).unsqueeze(0)  # 1,2,H,W


def read_pfm(path: Path) -> FloatArray:
    """The samples of a PFM file, H,W,C (C = 3 for PF, 1 for Pf).

    The top row comes first, although the file begins with the bottom row. The sign of the
    header's scale is the byte order, negative for little endian; its size is not applied, as in
    the readers that come with SceneFlow.

    Raises:
        DataError: the file is missing, empty, no PFM, or of another size than its header says.
    Source: Debevec's PFM; Mayer et al. 2016 (SceneFlow) keep flow in it as (dx, dy, unused).
    """
    header = _PFM_HEADER.match(_start_of(path))
    if header is None:
        raise DataError(f"{path} does not begin with the header of a PFM file.", "damaged file")
    channels = 3 if header["kind"] == b"PF" else 1
    order = "<" if header["scale"].startswith(b"-") else ">"
    shape = int(header["height"]), int(header["width"]), channels
    return _read_samples(path, order, header.end(), shape)[::-1]


def _read_flo(path: Path) -> FloatArray:
    """H,W,2. Source: Baker et al. 2011 (Middlebury): float 202021.25, int32 width and height, then
    dx, dy of every pixel, all little endian."""
    start = _start_of(path)
    if len(start) < 12 or start[:4] != _FLO_MAGIC:
        message = f"{path} does not begin with the header of a .flo file (202021.25)."
        raise DataError(message, "damaged file")
    width, height = struct.unpack("<ii", start[4:12])
    return _read_samples(path, "<", 12, (height, width, 2))


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
    except OSError as cause:
        raise DataError(f"{path} cannot be read: {cause.strerror}.", "unreadable file") from cause
    if not start:
        raise DataError(f"{path} is empty.", "empty file")
    return start


def _read_samples(path: Path, order: str, offset: int, shape: tuple[int, int, int]) -> FloatArray:
    """The float32 samples that follow a header of `offset` bytes, once the file has their size."""
    height, width, channels = shape
    wanted, found = offset + 4 * height * width * channels, path.stat().st_size
    if min(height, width) < 1 or found != wanted:
        message = f"{path} is not whole: it claims {width}x{height} pixels and has {found} bytes."
        raise DataError(message, "damaged file")
    return np.fromfile(path, f"{order}f4", offset=offset).reshape(shape)
