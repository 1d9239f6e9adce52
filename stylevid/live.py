"""Pictures that come one by one, as a camera's: each painted with the last painting as its past.

`pipeline.paint_frames` does the same for a video, whose next frames are there already.
"""

from io import BytesIO
from typing import cast

import cv2
import numpy as np
from PIL import Image

from .errors import VideoError
from .frames import Frame
from .memory import Follower
from .painter import Painter
from .yuv import Bytes, Yuv

MIN_SIDE, MAX_SIDE = 16, 1280  # pixels
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


class LivePainter:
    """Paints pictures in turn; its only state is the last one in gray, small, and its painting."""

    def __init__(self) -> None:
        self._follower = Follower()
        self._last: tuple[Painter, Yuv] | None = None

    def paint(self, frame: Yuv, painter: Painter, temporal: bool = True) -> Yuv:
        """The painting of the next frame. The past starts anew where the scene, the size of the
        frames or the style changes."""
        if self._last and self._last[1].size != frame.size:
            self._follower, self._last = Follower(), None
        motion = self._follower.step(frame)
        if temporal and motion and self._last and self._last[0] is painter:
            painting = painter.paint_after(self._last[1], frame, motion)
        else:
            painting = painter.paint_next(frame, None)
        self._last = painter, painting
        return painting

    def paint_jpeg(self, body: bytes, painter: Painter, temporal: bool = True) -> bytes:
        """The painting of a JPEG as a JPEG; an odd side loses a pixel.

        Raises:
            VideoError: this is no JPEG, or its size is not within the limits.
        """
        painting = self.paint(_decode(body), painter, temporal)
        frame = cast(Frame, cv2.cvtColor(painting.pixels, cv2.COLOR_YUV2BGR_I420))
        return cv2.imencode(".jpg", frame, _QUALITY)[1].tobytes()


def _decode(body: bytes) -> Yuv:
    try:
        with Image.open(BytesIO(body), formats=["JPEG"]) as picture:
            width, height = picture.size
            if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
                raise VideoError(f"A picture of {width}x{height} was sent; each side is from "
                                 f"{MIN_SIDE} to {MAX_SIDE} pixels.")  # fmt: skip
            frame = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as cause:
        raise VideoError("What was sent is no whole JPEG picture.") from cause
    even = np.ascontiguousarray(frame[: height // 2 * 2, : width // 2 * 2])
    return Yuv(cast(Bytes, cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)))
