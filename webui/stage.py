"""What the page shows before it is asked to paint, as HTML: the clip it opens with, a moment of the
visitor's own, and the painting that a style was learned from."""

from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from stylevid.errors import StyleError
from stylevid.frames import Frame
from stylevid.styles import Style, read_preview

OPENING = Path(__file__).with_name("opening.mp4")  # made by benchmarks.opening
NEWEST = 640  # pixels, the longest side
OPENING_STYLE = "starry-night"
_PAUSE = "<button class='pause' aria-label='Pause or play'></button>"


def opening_html() -> str:
    """The clip that plays when the page opens; relative, as the page may have a path before it."""
    address = f"gradio_api/file={quote(str(OPENING))}"
    return _playing(address, "The example, and its painting")


def motion_html(mp4: bytes, caption: str) -> str:
    """A clip that plays over and over; within the page, so that nobody else finds it."""
    return _playing(_inline(mp4, "video/mp4"), caption)


def still_html(frame: Frame, caption: str) -> str:
    """A painted frame, uint8 H,W,3."""
    source, text = _inline(_jpeg(Image.fromarray(frame)), "image/jpeg"), escape(caption)
    return f"<figure><img src='{source}' alt=''><figcaption>{text}</figcaption></figure>"


def newest_html(frame: Frame) -> str:
    """The newest frame, within the page as well: as files, hundreds would be kept for hours."""
    picture = Image.fromarray(frame)
    picture.thumbnail((NEWEST, NEWEST))
    return f"<img src='{_inline(_jpeg(picture), 'image/jpeg')}' alt='Newest frame'>"


def card_html(style: Style | None) -> str:
    """The painting that the style was learned from, if there is a picture of it, with its title,
    artist and year."""
    if style is None:
        return ""
    picture = ""
    try:
        small = _inline(_jpeg(read_preview(style.painting)), "image/jpeg")
        picture = f"<img src='{small}' alt='The painting'>"
    except StyleError:
        pass  # a style may do without
    about = escape(", ".join(filter(None, (style.artist, style.year))))
    return f"{picture}<p><b>{escape(style.title)}</b><br>{about}</p>"


def _playing(address: str, caption: str) -> str:
    text = escape(caption)
    return (f"<figure><video src='{address}' autoplay loop muted playsinline aria-label='{text}'>"
            f"</video>{_PAUSE}<figcaption>{text}</figcaption></figure>")  # fmt: skip


def _jpeg(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _inline(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
