"""The page in a real browser: a real clip, real weights, no internet, a Hub on loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stylevid.network import StyleNetConfig
from stylevid.video import even, probe, read_picture
from stylevid.weights import load_network, load_painting
from tests.clips import decode
from tests.hub_server import HubServer
from tests.serving import ROOT, serve

sync_api = pytest.importorskip("playwright.sync_api")

BUNDLED = len(list((ROOT / "weights").glob("*.safetensors")))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
REQUIRED = os.environ.get("STYLEVID_REQUIRE_BROWSER") == "1"
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
MOVES = "text => { const s = document.querySelector('#stage'), v = s?.querySelector('video');\
 return v?.currentTime > 0.1 && s.innerText.includes(text); }"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pages keep what they have from the Hub."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory, hub: HubServer, home: Path) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("page") / "app.log", hub.environment(home)) as (url, _):
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if CHROMIUM is None:
        assert not REQUIRED, "chromium is not installed, and here it must be"
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, page_url: str) -> Iterator[object]:
    context = browser.new_context(viewport=LAPTOP, accept_downloads=True)
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


@pytest.fixture
def real_clip(shared_data: Path) -> Path:
    """A short real clip with sound: 3 s of figure skating."""
    return shared_data / "videos" / "propainter_sample0.mp4"


def upload(page, clip: Path) -> None:
    page.locator("#video input[type=file]").first.set_input_files(str(clip))
    page.locator("#video video").wait_for(timeout=60_000)


def wait_for_motion(page, caption: str) -> None:
    page.wait_for_function(MOVES, arg=caption, timeout=120_000)


def said(page, text: str | re.Pattern[str]):
    """A part of the status; it is said aloud elsewhere, too."""
    return page.locator("#status").get_by_text(text)


def paint(page) -> None:
    page.get_by_role("button", name="Paint it").click()
    page.locator("#facts").wait_for(state="detached", timeout=30_000)
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
            "size": (video.width, video.height),
            "codec": video.codec_context.name,
            "pixels": video.codec_context.pix_fmt,
            "audio": [s.codec_context.name for s in clip.streams.audio],
        }


def assert_painted(result: Path, source: Path) -> None:
    """H.264 yuv420p with the source's frames, times, shape and sound, 640 pixels wide, and not the
    source itself."""
    got, wanted = describe(result), describe(source)
    assert (got["codec"], got["pixels"]) == ("h264", "yuv420p")
    width, height = wanted["size"]
    assert got["size"] == (640, even(round(640 * height / width)))
    assert got["audio"] == wanted["audio"]
    shown, before = decode(result), decode(source)
    times, times_before = ([float(time_s) for time_s, _ in frames] for frames in (shown, before))
    assert times == pytest.approx(times_before, abs=1e-3)
    first = shown[0][1]
    assert first.std() > 5
    assert abs(first.astype(int) - read_picture(probe(source), 0, first.shape[:2])).mean() > 10


def test_a_real_clip_is_painted_with_the_switch_on_and_off(
    page, real_clip: Path, tmp_path: Path
) -> None:
    upload(page, real_clip)
    page.locator("#styles button").nth(1).click()
    paint(page)
    facts = page.locator("#facts").inner_text()
    assert "640x360" in facts and "92 frames" in facts and "with its sound" in facts
    flicker = page.locator("#flicker").inner_text()
    numbers = re.search(r"Flicker: ([\d.]+) → ([\d.]+); the video's own is ([\d.]+)", flicker)
    assert numbers and float(numbers[2]) < float(numbers[1])
    page.wait_for_function("() => document.querySelector('#result video')?.readyState >= 2")
    played = page.evaluate(
        "async () => { const v = document.querySelector('#result video'); v.muted = true;"
        " await v.play(); await new Promise(r => setTimeout(r, 1200)); return v.currentTime; }"
    )
    assert played > 0.3
    assert_plotted(page, lines=3)
    assert page.locator("#compare img").count() >= 2
    assert_painted(download(page, tmp_path / "on.mp4"), real_clip)
    page.get_by_label("Without | with temporal consistency").check()
    page.locator("#both-note").get_by_text("The same two seconds").wait_for(timeout=120_000)
    assert_loops(page, seconds=2, ratio=2 * 640 / 360)
    page.get_by_label("Video | painted").check()
    page.locator("#both").wait_for(state="hidden")
    assert page.locator("#compare img").first.is_visible()

    page.locator("#temporal input").uncheck()
    paint(page)
    assert "→" not in page.locator("#flicker").inner_text()
    assert_plotted(page, lines=2)
    assert_painted(download(page, tmp_path / "off.mp4"), real_clip)
    assert not page.foreign, "the page fetched from elsewhere"


def assert_plotted(page, lines: int) -> None:
    """The plot is there in the page's width, with so many lines."""
    drawn = page.locator("#flicker-plot svg .mark-line path")
    drawn.nth(lines - 1).wait_for(timeout=30_000)
    assert drawn.count() == lines
    assert all(line.bounding_box()["width"] > 200 for line in drawn.all())


def assert_loops(page, seconds: float, ratio: float) -> None:
    """The clip of both ways plays by itself, over and over."""
    page.wait_for_function("() => document.querySelector('#both video')?.currentTime > 0.2")
    shown = page.evaluate(
        "() => { const v = document.querySelector('#both video');"
        " return [v.loop, v.duration, v.videoWidth / v.videoHeight]; }"
    )
    assert shown == [True, pytest.approx(seconds, abs=0.1), pytest.approx(ratio, rel=0.02)]


def test_a_part_is_painted_and_exported(page, real_clip: Path, tmp_path: Path) -> None:
    upload(page, real_clip)
    page.get_by_role("button", name="Advanced").click()
    page.locator("#from input").fill("1")
    page.locator("#to input").fill("2")
    paint(page)
    assert "30 frames" in page.locator("#facts").inner_text()
    for form, ending in (("a loop (GIF)", "-loop.gif"), ("upright for a phone", "-upright.mp4")):
        page.get_by_label(form).check()
        for state in ("[disabled]", ":not([disabled])"):
            page.locator(f"#download{state}").wait_for(timeout=120_000)
        size = describe(download(page, tmp_path / f"x{ending}"))["size"]
        assert size == ((480, 270) if ending.endswith("gif") else (202, 360))
    page.locator("#to input").fill("0.5")
    page.get_by_role("button", name="Paint it").click()
    page.locator("#status").get_by_text("the end comes after the start, 1 s; got 0.5").wait_for(
        timeout=60_000
    )


def test_a_painting_of_ones_own_is_learned_kept_and_painted_with(page, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    chance = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(chance).resize((320, 240)).save(own)
    page.get_by_role("button", name="Try the example").click()
    page.locator("#video video").wait_for(timeout=60_000)
    page.get_by_role("button", name="your own painting").click()
    page.locator("#picture input[type=file]").first.set_input_files(str(own))
    page.locator("#picture img").wait_for(timeout=60_000)
    page.locator("#learn-seconds").wait_for(timeout=30_000)
    page.get_by_role("button", name="Paint it").click()
    said(page, re.compile(r"Learning, about \d+ s left")).wait_for(timeout=240_000)
    page.locator("#newest img").wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()  # which paints with what it knows
    page.locator("#facts").wait_for(timeout=240_000)
    with page.expect_download() as waiting:
        page.locator("#keep").click()
    assert waiting.value.suggested_filename == "example-own.safetensors"
    kept = tmp_path / "own.safetensors"
    waiting.value.save_as(kept)
    assert load_painting(kept).keys() and load_network(kept).config == StyleNetConfig()


def test_stop_stops_and_the_page_is_ready_again(page) -> None:
    page.get_by_role("button", name="Try the example").click()
    page.locator("#video video").wait_for(timeout=60_000)
    page.get_by_role("button", name="Paint it").click()
    page.locator("#status progress").wait_for(timeout=60_000)
    said(page, re.compile(r"\d+ frames done")).wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    said(page, re.compile(r"Stopped after \d+ frames")).wait_for(timeout=60_000)
    assert page.get_by_role("button", name="Paint it").is_visible()
    assert page.locator("#result video").count() == 0


def test_a_file_that_is_no_video_gets_one_sentence(page, tmp_path: Path) -> None:
    broken = tmp_path / "letter.mp4"
    broken.write_text("Dear reader, this is no video.\n" * 40)
    page.locator("#video input[type=file]").first.set_input_files(str(broken))
    sentence = said(page, "letter.mp4 cannot be read as a video")
    sentence.wait_for(timeout=60_000)  # before it is asked for
    with page.expect_response(lambda response: "/queue/join" in response.url):
        page.get_by_role("button", name="Paint it").click()
    sentence.wait_for(timeout=60_000)
    page.get_by_role("button", name="Paint it").wait_for(timeout=60_000)


def test_a_link_chooses_the_style(browser, page_url: str) -> None:
    page = browser.new_page()
    page.goto(f"{page_url}/?style=roman-mosaic")
    page.wait_for_function(
        "() => document.querySelector('#style input')?.value?.includes('Mosaic')", timeout=60_000
    )
    page.close()


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_first_screen_has_everything_and_moves(browser, page_url: str, size) -> None:
    page = browser.new_page(viewport=size)
    page.goto(page_url)
    wait_for_motion(page, "The example, and its painting")
    for part in ("#stage video", "#card img", "#video", "#styles", "#temporal", "#paint"):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], part
        assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"], part
    assert "Vincent van Gogh, 1889" in page.locator("#card").inner_text()
    bring(page, "no name")
    page.locator("#hub-note").get_by_text("is no name of a repo").wait_for(timeout=30_000)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    foot = page.locator("#paint").bounding_box()
    assert foot["y"] + foot["height"] <= size["height"] or size is LAPTOP
    assert page.get_by_role("button", name="Run").count() == 0, "a part that has no place is shown"
    page.close()


def test_ones_own_video_is_shown_in_every_style_then_in_motion_and_found_again(
    browser, page, page_url: str, real_clip: Path
) -> None:
    def tiles() -> list[str]:
        return [tile.get_attribute("src") for tile in page.locator("#styles img").all()]

    def wait_for_pressed(name: str) -> None:
        page.locator(f"#styles [aria-pressed=true][aria-label='{name}']").wait_for(timeout=60_000)
        assert page.locator("#styles [aria-pressed=true]").count() == 1

    def wait_for_new(old: list[str]) -> list[str]:
        new = "t => !old.includes(t.getAttribute('src'))"
        changed = f"old => [...document.querySelectorAll('#styles img')].every({new})"
        page.wait_for_function(changed, arg=old, timeout=120_000)
        assert len(tiles()) == BUNDLED
        return tiles()

    shown = tiles()
    wait_for_pressed("The Starry Night")
    upload(page, real_clip)
    shown = wait_for_new(shown)
    wait_for_motion(page, "Your video as The Starry Night")
    page.locator("#scrub input[type=number]").fill("80")
    page.keyboard.press("Tab")
    page.locator("#styles").get_by_label("The Great Wave").press("Enter")
    wait_for_new(shown)
    wait_for_motion(page, "Your video as The Great Wave")
    assert "Hokusai" in page.locator("#card").inner_text()
    wait_for_pressed("The Great Wave off Kanagawa")
    length = page.evaluate("() => document.querySelector('#stage video').duration")
    assert length == pytest.approx(3, abs=0.1)

    page.get_by_role("button", name="Paint it").click()
    page.locator("#newest img").wait_for(timeout=60_000)
    page.reload()
    page.locator("#newest img").wait_for(timeout=60_000)
    assert page.locator("#video video").count() == 1 and "Great Wave" in chosen(page)
    other = browser.new_page()
    other.goto(page_url)
    wait_for_motion(other, "The example")
    assert other.locator("video").count() == 1 and other.locator("#newest img").count() == 0
    other.close()
    page.locator("#facts").wait_for(timeout=240_000)
    page.reload()
    page.locator("#result video").wait_for(timeout=60_000)
    assert "92 frames" in page.locator("#said").inner_text()
    assert not page.foreign, "the page fetched from elsewhere"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anybody_out(browser, page_url: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport=LAPTOP, color_scheme=scheme)

    def assert_open_to_all(state: str) -> None:
        found = axe.run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, [(state, v["id"], v["nodes"][0]["failureSummary"]) for v in serious]

    page.goto(page_url)
    wait_for_motion(page, "The example")
    assert_open_to_all("empty")
    page.get_by_role("button", name="Try the example").click()
    wait_for_motion(page, "Your video")
    assert_open_to_all("video")
    page.get_by_role("button", name="Advanced").click()
    page.locator("#to input").fill("0.5")
    paint(page)
    page.locator("#compare img").first.wait_for()
    assert_open_to_all("done")
    page.close()


def style_files(slug: str, title: str, base: str = "great-wave") -> dict[str, bytes]:
    """A bundled style under another name."""
    kinds = ("json", "safetensors", "jpg")
    files = {f"{slug}.{kind}": (ROOT / "weights" / f"{base}.{kind}").read_bytes() for kind in kinds}
    record = {**json.loads(files[f"{slug}.json"]), "slug": slug, "title": title}
    return files | {f"{slug}.json": json.dumps(record).encode()}


def bring(page, repo: str) -> None:
    """Load a repo through the box, which is opened first if need be."""
    if not page.locator("#repo").is_visible():
        page.get_by_role("button", name="Styles from the Hub").click()
    page.locator("#repo").locator("input, textarea").first.fill(repo)
    page.get_by_role("button", name="Load styles").click()


def chosen(page) -> str:
    return page.locator("#style input").input_value()


def test_html_from_a_hub_or_a_file_is_shown_as_text(page, hub: HubServer, tmp_path: Path) -> None:
    title = "<img src=x onerror=\"document.title='run'\"><b>Wave</b>"
    broken = {"x<b>.safetensors": b"", "bad.safetensors": b"", "bad.json": b"{}"}
    hub.put("mallory/styles", style_files("evil", title) | broken)
    bring(page, "mallory/styles")
    note = page.locator("#hub-note")
    note.get_by_text("Now in the gallery: 1 style of mallory/styles").wait_for(timeout=30_000)
    assert "bad.json lacks 'title'" in note.inner_text() and "'x<b>'" in note.inner_text()
    assert title in chosen(page) and "mallory/styles" in chosen(page)
    name = "<img src=x onerror=document.title=1>.safetensors"
    (tmp_path / name).write_bytes((ROOT / "weights" / "starry-night.safetensors").read_bytes())
    page.locator("#style-file input[type=file]").set_input_files(str(tmp_path / name))
    page.locator("#styles img").nth(BUNDLED + 1).wait_for()
    note.get_by_text("Now in the gallery: ").wait_for(timeout=30_000)
    page.locator("#style input").click()  # unfolds the list
    assert page.title() == "stylevid"
    assert page.locator("#styles b, #hub-note b, #style b, img[src=x]").count() == 0
    (tmp_path / "letter.safetensors").write_text("Dear reader, these are no weights.")
    page.locator("#style-file input[type=file]").set_input_files(
        str(tmp_path / "letter.safetensors")
    )
    note.get_by_text("letter.safetensors is damaged or no safetensors file").wait_for()
    assert page.locator("#styles img").count() == BUNDLED + 2


def test_a_published_style_is_brought_painted_with_and_kept(
    browser, page, hub: HubServer, home: Path, clip: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for path, body in style_files("night-wave", "Night Wave", "starry-night").items():
        (weights / path).write_bytes(body)
    subprocess.run(
        [sys.executable, "-m", "train.push_to_hub", "--repo", "alice/styles", "--weights",
         str(weights), "--yes"],
        cwd=ROOT, env=os.environ | hub.environment(tmp_path / "pusher", "hf_write"), check=True,
        timeout=120,
    )  # fmt: skip
    assert page.get_by_text("Night Wave").count() == 0
    bring(page, "alice/styles")
    page.locator("#hub-note").get_by_text("1 style of alice/styles").wait_for(timeout=30_000)
    assert "Night Wave" in chosen(page)
    assert "alice/styles" in page.locator("#styles .caption-label").last.inner_text()
    upload(page, clip)
    paint(page)
    assert_painted(download(page, tmp_path / "online.mp4"), clip)
    assert not page.foreign, "the page fetched from elsewhere"
    page.reload()  # another visit: what the first one brought is gone
    page.get_by_role("button", name="Paint it").wait_for(timeout=60_000)
    assert page.locator("#styles img").count() == BUNDLED

    hub.close()
    environment = hub.environment(home)
    with serve(tmp_path / "app.log", environment, "--hub-repo", "alice/styles") as (url, _):
        page = browser.new_page(accept_downloads=True)
        page.goto(url)
        page.get_by_role("button", name="Paint it").wait_for(timeout=60_000)
        page.locator("#styles img").nth(BUNDLED).wait_for()
        assert "Night Wave" in chosen(page) and "alice/styles" in chosen(page)
        upload(page, clip)
        paint(page)
        assert_painted(download(page, tmp_path / "offline.mp4"), clip)
        bring(page, "alice/styles")
        page.locator("#hub-note").get_by_text("are in the gallery already").wait_for()
        bring(page, "alice/others")
        page.locator("#hub-note").get_by_text("cannot be reached").wait_for(timeout=30_000)
        page.close()
    assert "These are the copies of alice/styles from before" in (tmp_path / "app.log").read_text()
