"""A visitor's own video before it is painted: a frame in every style, three seconds in one."""

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app import Settings, build_app
from stylevid import Options
from stylevid.errors import StylevidError
from stylevid.example import EXAMPLE
from stylevid.styles import list_styles
from stylevid.video import probe
from tests.clips import encode, textured_frames
from webui import looking
from webui.gallery import picture_of
from webui.looking import SIZE, Easel, Turns, tile
from webui.stage import card_html, opening_html

STYLES = list_styles()[:2]


@pytest.fixture(scope="module")
def easel() -> Easel:
    return Easel("cpu")


@pytest.mark.parametrize("size", [(360, 640), (96, 40), (33, 47)])
def test_a_tile_is_the_middle_of_the_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    frame = np.zeros((*size, 3), np.uint8)
    frame[size[0] // 2 - 5 : size[0] // 2 + 5, size[1] // 2 - 5 : size[1] // 2 + 5] = 255
    pads = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    info = probe(encode(tmp_path / "x.mp4", [frame] * 3, "-vf", pads))
    for share in (0, 1):
        shown = tile(info, share)
        assert shown.shape == (*SIZE, 3)
        assert shown[SIZE[0] // 2, SIZE[1] // 2].min() > 200 and shown[0, 0].max() < 60


def test_a_tile_of_a_strip_is_not_read_as_wide_as_the_strip_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip = np.full((16, 4096, 3), 200, np.uint8)
    info, sizes = probe(encode(tmp_path / "x.mp4", [strip] * 2)), []
    read = looking.read_picture
    monkeypatch.setattr(looking, "read_picture", lambda *a: sizes.append(a[2]) or read(*a))
    assert tile(info, 0).shape == (*SIZE, 3)
    assert sizes == [(SIZE[0], 4 * SIZE[1])]


def test_a_frame_is_shown_in_every_style_and_one_that_is_broken_by_its_preview(
    easel: Easel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unusable = replace(STYLES[0], file=tmp_path / "none.safetensors")
    frame = tile(probe(EXAMPLE), 0.5)
    *painted, preview = easel.paint_all(frame, [*STYLES, unusable])
    assert [picture.size for picture in painted] == [SIZE[::-1]] * 2
    values = [np.asarray(picture).astype(int) for picture in painted]
    assert abs(values[0] - values[1]).mean() > 10 < abs(values[0] - frame).mean()
    assert preview == picture_of(unusable)
    painters = easel._painters
    assert painters.of(STYLES[0]) is painters.of(STYLES[0])
    monkeypatch.setattr(looking, "_KEPT", 2)
    few = Easel("cpu")._painters
    first = few.of(STYLES[0])
    assert len({few.of(style) for style in list_styles()[1:3]}) == 2
    assert few.of(STYLES[0]) is not first, "the oldest of more than two has gone"


@pytest.mark.parametrize(
    ("frames", "rate", "share", "wanted"),
    [(100, "25", 0.5, 36), (5, "10", 0.9, 6), (4, "1", 0, 36)],
)  # fmt: skip
def test_three_seconds_move_whatever_the_clip(
    easel: Easel, tmp_path: Path, frames: int, rate: str, share: float, wanted: int
) -> None:
    info = probe(encode(tmp_path / "x.mp4", textured_frames(frames), rate=rate))
    still, mp4 = easel.paint_motion(info, share, STYLES[0], Options(), lambda: False)
    assert isinstance(still, np.ndarray) and still.shape == (428, 640, 3)
    assert isinstance(mp4, bytes)
    with av.open(io.BytesIO(mp4)) as shown:
        video = shown.streams.video[0]
        assert (video.average_rate, video.width, video.height) == (looking.MOTION_FPS, 640, 428)
        assert len([*shown.decode(video)]) == wanted and not shown.streams.audio


def test_what_is_asked_for_next_ends_what_is_in_motion(easel: Easel) -> None:
    turns = Turns()
    first, second = turns.begin(), turns.begin()
    assert first() and not second()
    assert [*easel.paint_motion(probe(EXAMPLE), 0, STYLES[0], Options(), first)] == []


@pytest.fixture(scope="module")
def handlers() -> dict[str, object]:
    page = build_app(Settings(max_seconds=3), EXAMPLE)
    return {function.name: function.fn for function in page.fns.values()}


def test_what_is_said_of_a_video_before_it_is_painted(handlers, tmp_path: Path) -> None:
    def said(video: Path | None) -> tuple[str, bool]:
        scrub, status = handlers["take"](str(video) if video else None, None).values()
        return status, scrub.visible

    (tmp_path / "x.mp4").write_text("Dear reader")
    assert "cannot be read as a video" in said(tmp_path / "x.mp4")[0]
    assert said(None)[1] is said(tmp_path / "x.mp4")[1] is False
    assert "is 5 s long; the limit is 3 s" in said(EXAMPLE)[0] and said(EXAMPLE)[1] is True
    broken = handlers["try_one"](
        str(tmp_path / "x.mp4"), 0, STYLES[0].slug, True, 1, False, None, 0.5, [], Turns()
    )
    assert [*broken] == [opening_html()]
    asked = (None, None, True, 1, False, "360 px", "fine", None, None, None, 0.5, "Quick",
             60, None)  # fmt: skip
    ((sentence,),) = (step.values() for step in handlers["run"](*asked, [], Turns()))
    assert "No video yet" in sentence
    previews = handlers["try_all"](str(tmp_path / "x.mp4"), 0, [])
    assert len(previews) == len(list_styles()), "a video that cannot be read shows the previews"


def test_the_example_moves_until_there_is_a_video(handlers) -> None:
    still, motion = handlers["try_one"](
        None, 30, STYLES[1].slug, True, 1, False, None, 0.5, [], Turns()
    )
    assert "data:image/jpeg" in still and "data:video/mp4" in motion
    assert f"The example as {STYLES[1].title}" in motion and " muted " in motion


def test_a_painting_stands_beside_its_style_where_there_is_a_picture_of_it(tmp_path: Path) -> None:
    style = replace(STYLES[0], title="<b>", folder=tmp_path)
    assert "<img" not in card_html(style) and "&lt;b&gt;" in card_html(style)
    Image.new("RGB", (90, 60), "teal").save(style.painting)
    assert "<img src='data:image/jpeg;base64," in card_html(style)
    assert card_html(None) == ""
    assert card_html(replace(style, artist="", year="")).endswith("<br></p>"), "of a lone file"
    style.painting.write_text("no picture")
    assert "<img" not in card_html(style)


def test_frames_that_take_too_long_to_be_read_are_left(easel: Easel, monkeypatch) -> None:
    monkeypatch.setattr(looking, "LOOK_S", 0)
    with pytest.raises(StylevidError, match="longer than 0 s"):
        list(easel.paint_motion(probe(EXAMPLE), 0, STYLES[0], Options(), lambda: False))
