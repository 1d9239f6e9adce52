"""What moves on the page before anything is asked for, and the painting beside its style: HTML."""

from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from stylevid.styles import Style, read_preview

OPENING = Path(__file__).with_name("opening.mp4")  # made by benchmarks.opening
OPENING_STYLE = "starry-night"
