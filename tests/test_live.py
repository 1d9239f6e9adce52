"""Pictures painted as they come, and the route that a visitor's camera takes."""

import asyncio
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from app import Settings, build_app
from stylevid.errors import VideoError
from stylevid.frames import to_image
from stylevid.live import MAX_SIDE, LivePainter
from stylevid.painter import Painter
from stylevid.pipeline import Options, paint_frames
from stylevid.styles import get_style
from stylevid.video import Timed
from stylevid.yuv import image_to_yuv
from tests.clips import textured_frames
from tests.material import jpeg
from webui.live import IN_FLIGHT, MAX_BYTES, Live, Seat

URL = "/gradio_api/live"


@pytest.mark.parametrize("temporal", [True, False])
def test_a_live_picture_is_painted_as_a_video_s_frame(painter: Painter, temporal: bool) -> None:
    shown = [*textured_frames(4), *textured_frames(3, seed=1)]  # with a cut
    frames = [image_to_yuv(to_image(frame)) for frame in shown]
    timed = [Timed(frame, Fraction(i), Fraction(1)) for i, frame in enumerate(frames)]
    wanted = [p.shown.pixels for p in paint_frames(timed, painter, Options(temporal=temporal))]
    live = LivePainter()
    painted = [live.paint(frame, painter, temporal).pixels for frame in frames]
    assert np.array_equal(painted, wanted)
    alone = [painter.paint_next(frame, None).pixels for frame in frames]
    assert [np.array_equal(a, b) for a, b in zip(painted, alone, strict=True)] == (
        [True, False, False, False, True, False, False] if temporal else [True] * 7
    )


def test_another_style_and_another_size_start_anew(painter: Painter, tiny_weights: Path) -> None:
    frames = [image_to_yuv(to_image(f)) for size in ((32, 48), (48, 32))
              for f in textured_frames(2, *size)]  # fmt: skip
    live, other = LivePainter(), Painter(tiny_weights, "cpu")
    for frame, style, anew in zip(
        [*frames, frames[3]], [painter, other, other, other, other], [1, 1, 1, 0, 0], strict=True
    ):
        same = np.array_equal(live.paint(frame, style).pixels, style.paint_next(frame, None).pixels)
        assert same == bool(anew)


@pytest.mark.parametrize(
    ("body", "match"),
    [(b"", "no whole JPEG"), (b"Dear reader\n" * 99, "no whole JPEG"), (jpeg()[:-99], "no whole"),
     (jpeg(kind="PNG"), "no whole JPEG"), (jpeg(8, 32), "8x32 was sent; each side is from 16"),
     (jpeg(MAX_SIDE + 2, 16), f"{MAX_SIDE + 2}x16 was sent")],
)  # fmt: skip
def test_what_is_no_picture_is_one_sentence(painter: Painter, body: bytes, match: str) -> None:
    with pytest.raises(VideoError, match=match):
        LivePainter().paint_jpeg(body, painter)


def test_the_route_keeps_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live("cpu", visitors=2)
    seats = [Seat(live) for _ in range(3)]
    for seat in seats:
        seat.style = get_style("starry-night")
    client = TestClient(Starlette(routes=[live.route]))

    def post(seat: Seat, body: bytes = jpeg()) -> tuple[int, str]:
        answer = client.post(URL, content=body, headers={"X-Seat": seat.key})
        return answer.status_code, "" if answer.is_success else answer.text

    assert client.post(URL, content=jpeg()).status_code == 403
    assert post(seats[0], b"x") == (422, "What was sent is no whole JPEG picture.")
    assert post(seats[0], bytes(MAX_BYTES + 1)) == (413, "A picture has at most 1 MB.")
    answer = client.post(URL, content=jpeg(49, 33), headers={"X-Seat": seats[0].key})
    with Image.open(BytesIO(answer.content)) as painted:
        assert (painted.format, painted.size) == ("JPEG", (48, 32))
    assert post(seats[1]) == (200, "")
    assert post(seats[2]) == (503, "All places are taken. Try again in a minute.")
    monkeypatch.setattr("webui.live.IDLE_S", 0)
    assert post(seats[2]) == (200, "")
    seats[2].waiting = IN_FLIGHT
    assert post(seats[2])[0] == 429
    seats[2].waiting = 0
    key = seats.pop().key
    del seat  # the page has forgotten this visitor
    assert client.post(URL, content=jpeg(), headers={"X-Seat": key}).status_code == 403


def test_who_goes_amid_a_picture_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    live = Live("cpu", visitors=1)
    seat = Seat(live)
    seat.style = get_style("starry-night")
    news = iter(
        [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict:
        return next(news)

    scope = {"type": "http", "headers": [(b"x-seat", seat.key.encode())]}
    with pytest.raises(HTTPException, match="gone"):
        asyncio.run(live.answer(Request(scope, receive)))  # pyright: ignore
    assert not caplog.records and seat.waiting == 0


def test_only_who_has_logged_in_is_painted() -> None:
    live = Live("cpu", visitors=2)
    page = build_app(Settings(), live=live)
    camera = next(i for i, block in page.blocks.items() if block.elem_id == "camera")
    loads = page.get_config_file()["dependencies"]
    event = {"fn_index": next(d["id"] for d in loads if d["outputs"] == [camera]),
             "session_hash": "somebody", "data": [None]}  # fmt: skip
    _, url, _ = page.launch(auth=("ann", "secret"), prevent_thread_lock=True, quiet=True,
                            app_kwargs={"routes": [live.route]})  # fmt: skip
    try:
        with httpx.Client(base_url=url) as visitor:
            run = "gradio_api/run/predict"
            assert visitor.post(run, json=event).status_code == 401
            assert visitor.post(URL, content=jpeg()).status_code == 403
            visitor.post("login", data={"username": "ann", "password": "secret"})
            key = visitor.post(run, json=event).json()["data"][0]
            answer = visitor.post(URL, content=jpeg(), headers={"X-Seat": key})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    finally:
        page.close()
