# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""The tab that paints the camera: frames go to a route of the page's own, which answers with their
paintings."""

import asyncio
import logging
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from weakref import WeakValueDictionary

import gradio as gr
from gradio.route_utils import API_PREFIX
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from stylevid.errors import StylevidError
from stylevid.live import LivePainter
from stylevid.painter import Painter
from stylevid.styles import Style

from . import QUIET
from .gallery import pictures
from .layout import first_style
from .report import APOLOGY

log = logging.getLogger("stylevid.page")

MAX_BYTES = 1 << 20  # of a picture; 640x360 pixels have some 40 KB
IN_FLIGHT = 2  # pictures of one visitor
IDLE_S = 15.0  # without a picture, and a visitor's place is free
KEPT_STYLES = 4  # ready to paint, for all visitors together

CAMERA = """
<div class="stage"><canvas width="640" height="360" role="img" aria-label="The painted camera">
</canvas><video muted playsinline hidden aria-label="The camera"></video></div>
<div class="row"><button class="start">Start camera</button>
<button class="snapshot" disabled>Snapshot</button>
<button class="record" disabled aria-pressed="false">Record</button>
<output aria-live="off"></output></div>
<p role="status">The camera's pictures are painted and forgotten; none is kept.</p>
"""
CAMERA_CSS = """
.stage { position: relative; line-height: 0; }
canvas { width: 100%; border-radius: 8px; background: var(--background-fill-secondary); }
video { position: absolute; right: 2%; bottom: 3%; width: 22%; border-radius: 6px; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .6rem 0 .2rem; }
button { padding: .45rem .6rem; border-radius: 8px; font-weight: 600; cursor: pointer;
  color: var(--button-secondary-text-color); background: var(--button-secondary-background-fill); }
button.start { color: white; background: var(--button-primary-background-fill); }
button:disabled { opacity: .5; cursor: default; }
button[aria-pressed=true] { color: white; background: #b91c1c; }
"""


class Seat:
    """One visitor's place: the key that their pictures come with, how to paint them, their past.

    Only an event of the page gives the key away, so that its login holds for the route as well.
    """

    def __init__(self, live: "Live") -> None:
        self.key = secrets.token_urlsafe(24)
        self.style: Style | None = None
        self.temporal = True
        self.waiting = 0
        self.live = live
        live.seats[self.key] = self

    # gradio copies a State's first value for each visitor.
    def __deepcopy__(self, _: dict[int, object]) -> "Seat":
        return Seat(self.live)

    def paint(self, past: LivePainter, body: bytes) -> bytes:
        """A picture, both ways a JPEG."""
        assert self.style is not None
        return past.paint_jpeg(body, self.live.painter(self.style), self.temporal)


class Live:
    """All whose camera is painted, so many at a time, and the route that their pictures take."""

    def __init__(self, device: str | None, visitors: int) -> None:
        if "spaces" in sys.modules:  # ZeroGPU lends a GPU for a call, not for a camera
            device = "cpu"
        self.visitors = visitors
        self.seats: WeakValueDictionary[str, Seat] = WeakValueDictionary()
        self.painter = lru_cache(KEPT_STYLES)(lambda style: Painter(style, device))
        self._taken: dict[str, tuple[float, LivePainter]] = {}  # when last, by key
        self._worker = ThreadPoolExecutor(1, "live")  # the network has all cores, anyway
        self.route = Route(f"{API_PREFIX}/live", self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        """The painting of the posted picture.

        Raises:
            HTTPException: with the sentence that the visitor is to see.
        """
        seat = self.seats.get(request.headers.get("x-seat", ""))
        if seat is None or seat.style is None:
            raise HTTPException(403, "This page is too old. Reload it.")
        if seat.waiting >= IN_FLIGHT:
            raise HTTPException(429, "Too many pictures at a time.")
        seat.waiting += 1
        try:
            past = self._past(seat.key)
            body = await _read(request)
            work = self._worker.submit(seat.paint, past, body)
            painted = await asyncio.wrap_future(work)
        except StylevidError as error:
            raise HTTPException(422, str(error)) from error
        except HTTPException:
            raise
        except ClientDisconnect as gone:
            raise HTTPException(400, "The visitor has gone.") from gone  # whom nobody tells
        except Exception as error:
            log.exception("live painting failed")
            raise HTTPException(500, APOLOGY) from error
        finally:
            seat.waiting -= 1
        return Response(painted, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def _past(self, key: str) -> LivePainter:
        """What is remembered for a visitor, if they have a place or there is one."""
        now = time.monotonic()
        self._taken = {k: v for k, v in self._taken.items() if now - v[0] < IDLE_S}
        if key not in self._taken and len(self._taken) >= self.visitors:
            raise HTTPException(503, "All places are taken. Try again in a minute.")
        past = self._taken[key][1] if key in self._taken else LivePainter()
        self._taken[key] = now, past
        return past


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"A picture has at most {MAX_BYTES >> 20} MB.")
    return bytes(body)


def add_live(blocks: gr.Blocks, styles: list[Style], guests: gr.State, live: Live) -> None:
    """What is on the tab; its styles are those of the page, and those that the visitor brought."""
    seat, first = gr.State(Seat(live)), first_style(styles)
    with gr.Row():
        with gr.Column(scale=7, min_width=320):
            camera = gr.HTML(
                "", html_template=CAMERA, css_template=CAMERA_CSS, elem_id="camera",
                js_on_load=Path(__file__).with_suffix(".js").read_text("utf-8"),
            )  # fmt: skip
        with gr.Column(scale=5, min_width=320):
            temporal = gr.Checkbox(
                True, label="Temporal consistency", info="Off and on again shows what it does.",
                elem_id="live-temporal",
            )  # fmt: skip
            gallery = gr.Gallery(
                pictures(styles), label="Styles", show_label=False, columns=4, height="auto",
                object_fit="cover", allow_preview=False, buttons=[], interactive=False,
                selected_index=styles.index(first) if first else None, elem_id="live-styles",
            )  # fmt: skip

    def start(seat: Seat) -> str:
        seat.style = first
        return seat.key

    def choose(seat: Seat, guests: list[Style], event: gr.SelectData) -> None:
        seat.style = [*styles, *guests][event.index]

    def switch(seat: Seat, temporal: bool) -> None:
        seat.temporal = temporal

    quiet = {"queue": False} | QUIET
    blocks.load(start, seat, camera, **quiet)
    gallery.select(choose, [seat, guests], None, **quiet)
    temporal.input(switch, [seat, temporal], None, **quiet)
    guests.change(lambda guests: gr.Gallery(pictures([*styles, *guests])), guests, gallery, **quiet)
