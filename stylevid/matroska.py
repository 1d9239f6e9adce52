"""Raw frames with their timestamps as a Matroska stream, the form in which ffmpeg takes them on a
pipe when the frame rate varies.

Only what a live stream of one uncompressed YUV 4:2:0 track needs (RFC 9559, sections 5 and 20).
"""

from fractions import Fraction

_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_NANOSECOND = 1  # TimestampScale: ticks of one nanosecond


def stream_header(height: int, width: int) -> bytes:
    """The bytes before the first frame of a `height` x `width` YUV stream (I420)."""
    ebml = _element(
        0x1A45DFA3, _string(0x4282, "matroska") + _number(0x4287, 4) + _number(0x4285, 2)
    )
    info = _element(0x1549A966, _number(0x2AD7B1, _NANOSECOND) + _string(0x4D80, "stylevid")
                    + _string(0x5741, "stylevid"))  # fmt: skip
    video = _number(0xB0, width) + _number(0xBA, height) + _element(0x2EB524, b"I420")
    track = (
        _number(0xD7, 1)  # track number
        + _number(0x73C5, 1)  # track id
        + _number(0x83, 1)  # video
        + _string(0x86, "V_UNCOMPRESSED")
        + _element(0xE0, video)
    )
    tracks = _element(0x1654AE6B, _element(0xAE, track))
    return ebml + bytes.fromhex("18538067") + _UNKNOWN_SIZE + info + tracks


def frame_header(time_s: Fraction, duration_s: Fraction, size_bytes: int) -> bytes:
    """The bytes before one frame: a cluster with one block, which `size_bytes` of pixels follow."""
    block = bytes.fromhex("81000000")  # track 1, no offset to the cluster, no flags
    block_start = b"\xa1" + _size(len(block) + size_bytes) + block
    duration = _number(0x9B, max(1, round(duration_s * 10**9)))
    group_start = b"\xa0" + _size(len(duration) + len(block_start) + size_bytes) + duration
    time = _number(0xE7, round(time_s * 10**9))
    body = time + group_start + block_start
    return bytes.fromhex("1f43b675") + _size(len(body) + size_bytes) + body


def _element(identifier: int, payload: bytes) -> bytes:
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + _size(len(payload)) + payload


def _size(count: int) -> bytes:
    return (count | 1 << 56).to_bytes(8, "big")


def _number(identifier: int, value: int) -> bytes:
    return _element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _string(identifier: int, text: str) -> bytes:
    return _element(identifier, text.encode("ascii"))
