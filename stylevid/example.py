"""The example clip: five seconds of a village by a lake, 640x360, with sound."""

from pathlib import Path

from .frames import Frame
from .video import probe, read_picture

EXAMPLE = Path(__file__).with_name("example.mp4")


def example_picture(side: int = 256) -> Frame:
    """A square out of the middle of the clip, uint8 side,side,3 RGB, to paint a preview of."""
    info = probe(EXAMPLE)
    width = side * info.width // info.height
    left = (width - side) // 2
    return read_picture(info, 2.0, (side, width))[:, left : left + side]
