"""The page in a real browser: a real clip, real weights, no internet."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
REQUIRED = os.environ.get("STYLEVID_REQUIRE_BROWSER") == "1"
CLIPS = ROOT.parent / "shared" / "data" / "videos"
SCREENSHOTS = os.environ.get("STYLEVID_SCREENSHOTS")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, served as a visitor's machine serves it."""
    port = free_port()
    logs = tmp_path_factory.mktemp("page") / "app.log"
    with logs.open("w") as log:
        command = [sys.executable, "app.py", "--port", str(port), "--max-seconds", "30"]
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, logs.read_text()
                time.sleep(0.5)
        else:
            pytest.fail(f"the page did not start: {logs.read_text()}")
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if CHROMIUM is None:
        assert not REQUIRED, "chromium is not installed, and here it must be"
        pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, page_url: str) -> Iterator[object]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.foreign = []
    page.on("request", lambda request: note_foreign(page, request.url, page_url))
    page.goto(page_url)
    page.get_by_role("button", name="Paint it").wait_for(timeout=60_000)
    yield page
    context.close()


def note_foreign(page, url: str, own: str) -> None:
    if url.startswith("http") and not url.startswith(own):
        page.foreign.append(url)


def picture(page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)


def real_clip() -> Path:
    """A short real clip with sound: 3 s of figure skating."""
    clip = CLIPS / "propainter_sample0.mp4"
    if not clip.is_file():
        pytest.skip("the real clips are not here")
    return clip


def upload(page, clip: Path) -> None:
    page.locator("#video input[type=file]").first.set_input_files(str(clip))
    page.locator("#video video").wait_for(timeout=60_000)


def paint(page) -> None:
    page.get_by_role("button", name="Paint it").click()
    page.locator("#facts").wait_for(timeout=240_000)


def download(page, target: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator("#download").click()
    waiting.value.save_as(target)
    return target


def describe(path: Path) -> dict[str, object]:
    with av.open(str(path)) as clip:
        video = clip.streams.video[0]
        return {
            "times": [float(frame.pts * frame.time_base) for frame in clip.decode(video)],
            "size": (video.width, video.height),
            "codec": video.codec_context.name,
            "pixels": video.codec_context.pix_fmt,
            "audio": [s.codec_context.name for s in clip.streams.audio],
        }


def assert_painted(result: Path, source: Path) -> None:
    """H.264 yuv420p with the source's frames, times, size and sound, and not the source itself."""
    got, wanted = describe(result), describe(source)
    assert (got["codec"], got["pixels"]) == ("h264", "yuv420p")
    assert (got["size"], got["audio"]) == (wanted["size"], wanted["audio"])
    assert got["times"] == pytest.approx(wanted["times"], abs=1e-3)
    assert first_frame(result).std() > 5
    assert abs(first_frame(result).astype(int) - first_frame(source)).mean() > 10


def first_frame(path: Path):
    with av.open(str(path)) as clip:
        return next(clip.decode(video=0)).to_ndarray(format="rgb24")


def test_a_real_clip_is_painted_with_the_switch_on_and_off(page, tmp_path: Path) -> None:
    clip = real_clip()
    picture(page, "1-start")
    upload(page, clip)
    page.locator("#styles button").nth(1).click()
    paint(page)
    facts = page.locator("#facts").inner_text()
    assert "640x360" in facts and "92 frames" in facts and "with its sound" in facts
    flicker = page.locator("#flicker").inner_text()
    numbers = re.search(r"Flicker ([\d.]+) → ([\d.]+), the video's own is ([\d.]+)", flicker)
    assert numbers and float(numbers[2]) < float(numbers[1])
    page.wait_for_function("() => document.querySelector('#result video')?.readyState >= 2")
    played = page.evaluate(
        "async () => { const v = document.querySelector('#result video'); v.muted = true;"
        " await v.play(); await new Promise(r => setTimeout(r, 1200)); return v.currentTime; }"
    )
    assert played > 0.3
    assert page.locator("#compare img").count() >= 2
    picture(page, "2-done-on")
    assert_painted(download(page, tmp_path / "on.mp4"), clip)

    page.locator("#temporal input").uncheck()
    paint_again(page)
    assert "→" not in page.locator("#flicker").inner_text()
    assert_painted(download(page, tmp_path / "off.mp4"), clip)
    assert not page.foreign, "the page fetched from elsewhere"


def paint_again(page) -> None:
    page.get_by_role("button", name="Paint it").click()
    page.locator("#facts").wait_for(state="detached", timeout=30_000)
    page.locator("#facts").wait_for(timeout=240_000)


def test_stop_stops_and_the_page_is_ready_again(page) -> None:
    page.get_by_role("button", name="Try the example").click()
    page.locator("#video video").wait_for(timeout=60_000)
    page.get_by_role("button", name="Paint it").click()
    page.locator("#status progress").wait_for(timeout=60_000)
    page.get_by_text(re.compile(r"\d+ frames done")).wait_for(timeout=60_000)
    picture(page, "3-working")
    page.get_by_role("button", name="Stop").click()
    page.get_by_text(re.compile(r"Stopped after \d+ frames")).wait_for(timeout=60_000)
    assert page.get_by_role("button", name="Paint it").is_visible()
    assert page.locator("#result video").count() == 0


def test_a_file_that_is_no_video_gets_one_sentence(page, tmp_path: Path) -> None:
    broken = tmp_path / "letter.mp4"
    broken.write_text("Dear reader, this is no video.\n" * 40)
    page.locator("#video input[type=file]").first.set_input_files(str(broken))
    page.locator("#video").get_by_label("Clear").or_(page.locator("#video video")).first.wait_for()
    page.get_by_role("button", name="Paint it").click()
    page.get_by_text("letter.mp4 cannot be read as a video").wait_for(timeout=60_000)


def test_a_link_chooses_the_style(browser, page_url: str) -> None:
    page = browser.new_page()
    page.goto(f"{page_url}/?style=roman-mosaic")
    page.wait_for_function(
        "() => document.querySelector('#style input')?.value?.includes('Mosaic')", timeout=60_000
    )
    page.close()


def test_a_phone_sees_everything_in_one_column(browser, page_url: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(page_url)
    page.get_by_role("button", name="Paint it").wait_for(timeout=60_000)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    picture(page, "4-phone")
    assert wide <= 400
    page.close()
