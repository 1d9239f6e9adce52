"""In a real browser: the Live tab, whose camera is a real clip, and a result that comes back."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stylevid.example import EXAMPLE
from stylevid.painter import Painter
from stylevid.pipeline import Options, stylize_video
from stylevid.recipe import read_recipe
from stylevid.styles import Mix, get_style
from tests.clips import run_ffmpeg
from tests.serving import serve
from tests.test_browser import CHROMIUM, FLAGS, download, paint, sync_api, upload

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("live") / "app.log", {}, "--max-live", "1") as (url, _):
        yield url


@pytest.fixture
def visit(url: str) -> Iterator[Callable[..., object]]:
    """Opens the page in a browser with these flags; `live` opens the tab and starts."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:

        def visit(*flags: str, browser=None, live: bool = True):
            browser = browser or playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*FLAGS, *flags]
            )
            page = browser.new_page(viewport={"width": 390, "height": 844}, accept_downloads=True)
            page.goto(url)
            if live:
                page.get_by_role("tab", name="Live").click()
                page.get_by_role("button", name="Start camera").click()
            return page

        yield visit


def test_the_camera_is_painted_kept_and_recorded(visit, tmp_path: Path) -> None:
    film = tmp_path / "camera.mjpeg"
    run_ffmpeg("-i", EXAMPLE, "-t", 3, "-vf", "scale=640:-2", "-q:v", 3, film)
    page = visit(*CAMERA, f"--use-file-for-fake-video-capture={film}")
    page.get_by_text(re.compile(r"\d+ frames a second, \d+ ms behind")).wait_for(timeout=60_000)

    def snapshot() -> np.ndarray:
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Snapshot").click()
        waiting.value.save_as(tmp_path / "snapshot.png")
        with Image.open(tmp_path / "snapshot.png") as painted:
            assert painted.size == (640, 360)
            return np.array(painted.convert("RGB")).mean((0, 1))

    first = snapshot()
    page.get_by_role("button", name="Record").click()
    page.locator("#live-styles button").nth(2).click()
    for _ in range(60):
        page.wait_for_timeout(1000)
        if abs(snapshot() - first).max() > 20:
            break
    else:
        pytest.fail("another style has other colors")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Stop recording").click()
    waiting.value.save_as(recording := tmp_path / waiting.value.suggested_filename)
    with av.open(str(recording)) as film:
        means = [f.to_ndarray(format="rgb24").mean((0, 1)) for f in film.decode(video=0)]
    assert abs(means[0] - means[-1]).max() > 20, "the recording shows both styles"

    other = visit(browser=page.context.browser)
    other.get_by_text("All places are taken.").wait_for(timeout=30_000)
    page.get_by_role("tab", name="Video").click()
    page.wait_for_function("() => !document.querySelector('#camera video').srcObject?.active")


def test_without_a_camera_or_permission_there_is_a_sentence(visit) -> None:
    visit().get_by_text("No camera was found. Plug one in").wait_for(timeout=30_000)
    denied = visit(CAMERA[0], "--deny-permission-prompts")
    denied.get_by_text("The camera may not be used. Allow it").wait_for(timeout=30_000)


def test_a_result_dropped_back_restores_its_settings(visit, clip: Path, tmp_path: Path) -> None:
    """Painted anew with them by the page, mix and all, it says the same of itself."""
    painter = Painter(Mix(get_style("udnie"), get_style("the-scream"), 0.25), "cpu")
    options = Options(False, 640, strength=0.5, keep_colors=True, brush=1.5)
    result = stylize_video(clip, tmp_path / "result.mp4", painter, options).path
    page = visit(live=False)
    upload(page, result)
    page.get_by_text("its settings are chosen again").wait_for(timeout=60_000)
    page.get_by_role("button", name="Advanced").click()
    assert "Scream" in page.locator("#second input").input_value()
    assert not page.locator("#temporal input").is_checked()
    paint(page)
    assert read_recipe(download(page, tmp_path / "again.mp4")) == read_recipe(result)
