# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""The page: upload or record a video, choose a painting, get the video painted, sound and all."""

import argparse
import logging
import queue
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import gradio as gr
from huggingface_hub.utils import logging as hub_logging
from PIL import Image

from stylevid import hub
from stylevid.errors import Cancelled, HubError, StylevidError, WeightsError
from stylevid.example import render_example
from stylevid.frames import Frame
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress, Result, stylize_image, stylize_video
from stylevid.scene import render_frame
from stylevid.styles import Style, find_style, list_styles, name_styles, read_preview
from stylevid.video import probe, read_frames

log = logging.getLogger("stylevid.page")

SIZES = {"the video's own": None, "360 px": 360, "640 px": 640, "960 px": 960, "1280 px": 1280}
CSS = """
.gradio-container { max-width: 1240px !important; margin: auto; }
#status progress { width: 100%; height: 1.1rem; accent-color: #4f46e5; }
#hub-note progress { width: 100%; accent-color: #4f46e5; }
#hub-note p { margin: .2rem 0; }
#status p { margin: .35rem 0; }
.step h3 { margin: .2rem 0 .1rem; }
#styles .grid-wrap { height: auto !important; min-height: 0 !important;
  max-height: 42rem !important; }
#styles .caption-label { white-space: pre-line; overflow-wrap: anywhere; font-size: .8rem;
  line-height: 1.25; max-width: 100%; }
#style input { text-overflow: ellipsis; margin-right: 1.5rem; }
#load { align-self: flex-end; max-height: 2.7rem; margin: 0 .5rem .45rem; }
#style-file .icon-wrap { display: none; }
@media (max-width: 480px) {
  #styles .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
}
footer { opacity: .8; }
"""
# The button is at the foot of the page, what it does at the head.
SHOW_OUTCOME = "() => document.querySelector('#outcome').scrollIntoView({behavior: 'smooth'})"
GPU_SECONDS = 120  # asked of ZeroGPU for one video
APOLOGY = "Something went wrong on our side. Please try again, or try another video."
FIRST_NOTE = "<p>They come into the gallery above, for you alone, until you close this page.</p>"
HELLO = "<p>The painted video will appear here. No video at hand? Press <b>Try the example</b>.</p>"


@dataclass(frozen=True)
class Settings:
    """What the operator decides, once, on the command line."""

    weights: Path | None = None
    device: str | None = None
    max_seconds: float = 120.0
    max_side: int = 1920
    hub_box: bool = True


# What one visitor may bring to the page. The weights' size bounds the work for each frame, too.
GUEST_LIMITS = hub.Limits(styles=24, size_bytes=64 << 20, weights_bytes=8 << 20)
GUEST_REPOS, GUEST_FILES = 4, 4
GUESTS_BYTES = 4 << 30  # all visitors together, from the Hub, while the page runs


class Job:
    """One visitor's switch: set to stop the work that runs for them.

    It is a file, because on ZeroGPU the work has a process of its own.
    """

    def __init__(self) -> None:
        self._flag = Path(tempfile.gettempdir()) / f"stylevid-stop-{secrets.token_hex(8)}"

    def start(self) -> None:
        self._flag.unlink(missing_ok=True)

    def stop(self) -> None:
        self._flag.touch()

    def is_stopped(self) -> bool:
        return self._flag.exists()

    # gradio copies a State's first value for each visitor.
    def __deepcopy__(self, _: dict[int, object]) -> "Job":
        return Job()


def build_app(
    settings: Settings, example: Path | None = None, styles: list[Style] | None = None
) -> gr.Blocks:
    """The page as a gr.Blocks, ready to launch; works offline and without a GPU.

    `styles` are those that every visitor sees; by default those of the settings' folder.
    """
    styles = list_styles(settings.weights) if styles is None else styles
    first = styles[0].slug if styles else None
    work_lent_gpu = lend_gpu()
    with gr.Blocks(title="stylevid", analytics_enabled=False, delete_cache=(600, 7200)) as page:
        job = gr.State(Job())
        guests = gr.State([])  # the styles that this visitor brought
        gr.Markdown("# stylevid\nYour video as a moving painting, with its sound.")
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                gr.Markdown("### 1 Your video", elem_classes="step")
                video = gr.Video(label="Drop, browse or record a video", elem_id="video",
                                 sources=["upload", "webcam"], height=290)  # fmt: skip
                example_button = gr.Button(
                    "Try the example", size="sm", visible=example is not None
                )
                gr.Markdown("### 2 A style", elem_classes="step")
                gallery = gr.Gallery(
                    _pictures(styles), label="Styles", show_label=False, columns=3,
                    height="auto", object_fit="cover", allow_preview=False, buttons=[],
                    interactive=False, selected_index=0 if styles else None, elem_id="styles",
                )  # fmt: skip
                style = gr.Dropdown(
                    _choices(styles), value=first, label="Chosen style", elem_id="style"
                )
                if settings.hub_box:
                    _add_hub_box(styles, guests, gallery, style)
                gr.Markdown("### 3 Keep it steady", elem_classes="step")
                temporal = gr.Checkbox(
                    True, label="Temporal consistency", elem_id="temporal",
                    info="Paint sticks to things as they move; no flicker.",
                )  # fmt: skip
                with gr.Accordion("Advanced", open=False):
                    strength = gr.Slider(0, 1, 1, step=0.05, label="Style strength")
                    keep_colors = gr.Checkbox(False, label="Keep original colors")
                    size = gr.Dropdown(list(SIZES), value="640 px", label="Longest side")
                paint = gr.Button("Paint it", variant="primary", elem_id="paint")
                stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
            with gr.Column(scale=7, min_width=320, elem_id="outcome"):
                status = gr.HTML(HELLO, elem_id="status")
                newest = gr.Image(label="Newest frame", visible=False, elem_id="newest", buttons=[])
                result = gr.Video(label="Painted", interactive=False, visible=False,
                                  elem_id="result", buttons=[])  # fmt: skip
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
                with gr.Group(visible=False) as compare:
                    before_after = gr.ImageSlider(
                        label="Before and after", elem_id="compare", max_height=420, buttons=[]
                    )
                    moment = gr.Slider(0, 100, 50, step=1, label="At which moment, % of the clip")

        def run(
            video: str | None, name: str | None, temporal: bool, strength: float,
            keep_colors: bool, size: str, job: Job, guests: list[Style],
        ) -> Iterator[dict]:  # fmt: skip
            """The page's handler: every yield is what the page shows next."""
            job.start()
            if not video:
                raise gr.Error("No video yet. Drop one on the left, or press “Try the example”.")
            if name is None:
                raise gr.Error("No style is chosen. Choose one in the gallery.")
            yield {
                status: _status("Starting…", 0), stop: gr.Button(visible=True),
                paint: gr.Button(visible=False), newest: gr.Image(None, visible=False),
                result: gr.Video(None, visible=False), compare: gr.Group(visible=False),
                download: gr.DownloadButton(visible=False),
            }  # fmt: skip
            ready = {stop: gr.Button(visible=False), paint: gr.Button(visible=True),
                     newest: gr.Image(None, visible=False)}  # fmt: skip
            options = _options(settings, temporal, strength, keep_colors, SIZES[size])
            try:
                chosen = find_style(name, [*styles, *guests])
                with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
                    target = Path(folder) / f"{Path(video).stem[:60]}-{chosen.slug}.mp4"
                    steps = work_lent_gpu(
                        Path(video), target, chosen, options, settings.device, job=job
                    )
                    for step in steps:
                        if isinstance(step, Progress):
                            yield {status: _progress_html(step),
                                   newest: gr.Image(step.latest, visible=True)}  # fmt: skip
                        else:
                            yield ready | {
                                status: _facts_html(step),
                                result: gr.Video(str(step.path), visible=True),
                                download: gr.DownloadButton(value=str(step.path), visible=True),
                                before_after: _frames_at(Path(video), step.path, 0.5),
                                compare: gr.Group(visible=True),
                            }
            except Cancelled as error:
                yield ready | {status: f"<p>{escape(str(error))}</p>"}
            except StylevidError as error:
                yield ready | {status: f"<p><b>{escape(str(error))}</b></p>"}
            except Exception:
                log.exception("painting failed")
                yield ready | {status: f"<p><b>{APOLOGY}</b></p>"}

        def stylize(
            video: str | None,
            slug: str,
            temporal: bool,
            strength: float,
            keep_colors: bool,
            size: str,
        ) -> Iterator[str]:
            """Paint a video with a style, by its name; the result is an MP4 with its sound."""
            if not video:
                raise gr.Error("No video was given.")
            options = _options(settings, temporal, strength, keep_colors, SIZES[size])
            try:
                chosen = find_style(slug, styles)
                with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
                    target = Path(folder) / f"{Path(video).stem[:60]}-{chosen.slug}.mp4"
                    *_, result = work_lent_gpu(
                        Path(video), target, chosen, options, settings.device, job=Job()
                    )
                    yield str(result.path)
            except (StylevidError, ValueError) as error:
                raise gr.Error(escape(str(error), quote=False)) from error

        def list_names() -> list[dict[str, str]]:
            """The styles there are: the name that stylize takes, slug, title, artist, year and
            origin of each."""
            return [{"name": name, "slug": s.slug, "title": s.title, "artist": s.artist,
                     "year": s.year, "origin": s.origin}
                    for name, s in name_styles(styles).items()]  # fmt: skip

        def choose(guests: list[Style], event: gr.SelectData) -> str:
            return list(name_styles([*styles, *guests]))[event.index]

        def mark(name: str | None, guests: list[Style]) -> gr.Gallery:
            names = list(name_styles([*styles, *guests]))
            return gr.Gallery(selected_index=names.index(name) if name in names else None)

        def from_link(request: gr.Request) -> str | None:
            wanted = request.query_params.get("style")
            return wanted if wanted in name_styles(styles) else first

        def compare_at(video: str | None, painted: str | None, percent: float):
            if not video or not painted:
                return None
            return _frames_at(Path(video), Path(painted), percent / 100)

        private = {"api_visibility": "private"}
        paint.click(None, None, None, js=SHOW_OUTCOME, **private)
        paint.click(
            lambda: _status("Waiting for your turn…", 0), None, status, queue=False, **private,
        ).then(
            run, [video, style, temporal, strength, keep_colors, size, job, guests],
            [status, newest, result, download, before_after, compare, paint, stop],
            concurrency_limit=1, concurrency_id="paint", show_progress="hidden",
            **private,
        )  # fmt: skip
        stop.click(lambda job: job.stop(), job, None, queue=False, **private)
        example_button.click(lambda: str(example), None, video, **private)
        gallery.select(choose, guests, style, show_progress="hidden", **private)
        style.change(mark, [style, guests], gallery, show_progress="hidden", **private)
        moment.release(compare_at, [video, result, moment], before_after, **private)
        page.load(from_link, None, style, show_progress="hidden", **private)
        # For programs: the same work without the page around it.
        gr.Button(visible=False).click(
            stylize, [video, style, temporal, strength, keep_colors, size],
            gr.Video(visible=False), api_name="stylize",
            concurrency_limit=1, concurrency_id="paint",
        )  # fmt: skip
        gr.api(list_names, api_name="list_styles")
    page.queue(max_size=20)
    return page


def _add_hub_box(
    styles: list[Style], guests: gr.State, gallery: gr.Gallery, style: gr.Dropdown
) -> None:
    """The folded box that brings this visitor more styles: of a repo, or of one file."""
    received: list[int] = []  # bytes from the Hub, by load
    offered = {style.origin for style in styles}

    with gr.Accordion("Styles from the Hub", open=False, elem_id="hub"):
        with gr.Row():
            repo = gr.Textbox(
                label="A public repo on Hugging Face", placeholder="USER/NAME[@revision]",
                max_length=200, max_lines=1, scale=3, min_width=200, elem_id="repo",
            )  # fmt: skip
            load = gr.Button("Load styles", scale=1, min_width=130, size="md", elem_id="load")
        note = gr.HTML(FIRST_NOTE, elem_id="hub-note")
        file = gr.File(label="Or one .safetensors file", file_types=[".safetensors"], height=130,
                       elem_id="style-file")  # fmt: skip

    def show(brought: list[Style], told: list[str], chosen: Style) -> dict:
        everything = [*styles, *brought]
        index = everything.index(chosen)
        return {
            guests: brought, note: _lines(told),
            gallery: gr.Gallery(_pictures(everything), selected_index=index),
            style: gr.Dropdown(_choices(everything), value=list(name_styles(everything))[index]),
        }  # fmt: skip

    def load_repo(text: str, brought: list[Style]) -> Iterator[dict]:
        """The styles of a repo, into this visitor's gallery."""
        last = hub.Download("")
        try:
            name = str(hub.HubName.parse(text))
            others = [style for style in brought if style.origin != name]
            if name in offered:
                raise HubError(f"The styles of {name} are in the gallery already.")
            if len({style.origin for style in others} - {"file"}) >= GUEST_REPOS:
                raise HubError(f"You have styles of {GUEST_REPOS} repos, and no more are taken. "
                               "Reload the page to start anew.")  # fmt: skip
            if sum(received) > GUESTS_BYTES:
                raise HubError("This page has loaded as much from the Hub as it may. Ask whoever "
                               "runs it to start it anew.")  # fmt: skip
            for step in hub.follow_load(name, limits=GUEST_LIMITS, public=True):
                if isinstance(step, hub.Download):
                    last = step
                    yield {note: _status(escape(f"{step.doing}…"), step.fraction)}
                else:
                    new = [replace(style, training={}, metrics={}) for style in step.styles]
                    count = "1 style" if len(new) == 1 else f"{len(new)} styles"
                    told = [f"Now in the gallery: {count} of {name}.", *step.warnings[:3]]
                    if len(step.warnings) > 3:
                        told.append(f"{len(step.warnings) - 3} more cannot be used.")
                    yield show([*others, *new], told, new[0])
        except StylevidError as error:
            yield {note: _lines([str(error)])}
        except Exception:
            log.exception("loading %r failed", text)
            yield {note: _lines([APOLOGY])}
        finally:
            received.append(last.received_bytes)

    def add_file(path: str, brought: list[Style]) -> dict:
        """The style of an uploaded file, into this visitor's gallery."""
        upload = Path(path)
        if sum(style.origin == "file" for style in brought) >= GUEST_FILES:
            full = f"You have brought {GUEST_FILES} files, and no more are taken. Reload the page."
            return {note: _lines([full]), file: None}
        try:
            if upload.stat().st_size > GUEST_LIMITS.weights_bytes:
                raise WeightsError(
                    f"{upload.name} is larger than "
                    f"{GUEST_LIMITS.weights_bytes >> 20} MB, the limit here."
                )
            new = hub.open_file(upload)
            others = [style for style in brought if style.full_name != new.full_name]
            return show([*others, new], [f"Now in the gallery: {new.title}."], new) | {file: None}
        except StylevidError as error:
            upload.unlink(missing_ok=True)
            return {note: _lines([str(error)]), file: None}

    changed = [guests, note, gallery, style]
    private = {"api_visibility": "private", "concurrency_id": "hub", "concurrency_limit": 2}
    gr.on([load.click, repo.submit], load_repo, [repo, guests], changed,
          show_progress="hidden", **private)  # fmt: skip
    file.upload(add_file, [file, guests], [*changed, file], show_progress="hidden", **private)


def _choices(styles: list[Style]) -> list[tuple[str, str]]:
    """What the dropdown shows, and the name that it stands for."""
    origins = _origins(styles)
    return [
        (", ".join(filter(None, [style.title, style.artist, origin])), name)
        for (name, style), origin in zip(name_styles(styles).items(), origins, strict=True)
    ]


def _pictures(styles: list[Style]) -> list[tuple[Image.Image, str]]:
    """What the gallery shows: a picture, and the title with the origin below it."""
    return [
        (_picture(style), f"{_short(style.title)}\n{origin}".rstrip())
        for style, origin in zip(styles, _origins(styles), strict=True)
    ]


def _origins(styles: list[Style]) -> list[str]:
    """Where each style is from, in words; nothing while all are bundled."""
    if all(style.origin == "bundled" for style in styles):
        return [""] * len(styles)
    return ["your file" if style.origin == "file" else style.origin for style in styles]


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _picture(style: Style) -> Image.Image:
    """The style's preview, decoded here so that nobody else's file reaches a visitor; if there is
    none, the style's painting of the example."""
    if style.preview.is_file():
        return read_preview(style.preview)
    return Image.fromarray(stylize_image(render_frame(2.0, 256, 256), Painter(style, "cpu")))


def _lines(sentences: list[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def work(
    video: Path, target: Path, style: Style, options: Options, device: str | None, job: Job
) -> Iterator[Progress | Result]:
    """The progress of a painting about twice a second, then its result.

    Raises:
        StylevidError: whatever stylize_video raises; Cancelled when `job` was stopped.
    """
    news: queue.Queue[Progress | Result | BaseException] = queue.Queue()
    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            news.put(progress)

    def paint() -> None:
        try:
            painter = Painter(style, device)
            news.put(stylize_video(video, target, painter, options, tell, job.is_stopped))
        except BaseException as error:  # handed to the page's own thread
            news.put(error)

    thread = threading.Thread(target=paint, name="painter")
    thread.start()
    try:
        while True:
            item = news.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Result):
                return
    finally:  # also when the visitor has gone
        job.stop()
        thread.join()
        job.start()  # which leaves no file behind


def lend_gpu() -> Callable[..., Iterator[Progress | Result]]:
    """`work`; on Hugging Face's ZeroGPU in a process that has a GPU for so long.

    ZeroGPU wants to know before the page is launched what will need a GPU.
    """
    steps = work
    if zero_gpu := sys.modules.get("spaces"):  # imported by the Space's entry, before torch
        steps = zero_gpu.GPU(duration=GPU_SECONDS)(work)

    def run(*arguments: object, job: Job) -> Iterator[Progress | Result]:
        try:
            yield from steps(*arguments, job)
        except GeneratorExit:
            job.stop()  # another process does not notice that the visitor has gone
            raise

    return run


def _options(
    settings: Settings, temporal: bool, strength: float, keep_colors: bool, size: int | None
) -> Options:
    limit = settings.max_side
    return Options(
        temporal=temporal,
        strength=float(strength),
        keep_colors=keep_colors,
        size=min(size, limit) if size else limit,
        enlarge=False,
        max_seconds=settings.max_seconds,
    )


def _frames_at(video: Path, painted: Path, share: float) -> tuple[Frame, Frame]:
    """The same moment of both videos, `share` of the way through."""
    after_info = probe(painted)
    at = max(0.0, share * (after_info.duration_s - 0.1))
    size = after_info.height, after_info.width
    before, after = (
        next(iter(read_frames(info, size, start_s=at))).frame for info in (probe(video), after_info)
    )
    return before, after


def _status(text: str, fraction: float) -> str:
    return f"<progress max='1' value='{fraction:.4f}'></progress><p>{text}</p>"


def _progress_html(progress: Progress) -> str:
    left = "" if progress.left_s is None else f", about {progress.left_s:.0f} s left"
    count = f"{progress.frames} frame{'' if progress.frames == 1 else 's'}"
    text = f"{count} done, {progress.fps:.1f} frames a second{left}"
    return _status(text, progress.fraction)


def _facts_html(result: Result) -> str:
    facts = (
        f"{result.width}x{result.height}, {result.frames} frames in {result.seconds:.1f} s, "
        f"{result.fps:.1f} frames a second on {escape(result.device)}, "
        f"{'with its sound' if result.has_audio else 'the video has no sound'}."
    )
    flicker = ""
    if result.flicker is not None and result.flicker.pairs:
        errors = {name: 1000 * value for name, value in result.flicker.errors.items()}
        own = f"the video's own is {1000 * result.flicker.floor:.1f}"
        if "on" in errors:
            flicker = (
                f"Flicker {errors['off']:.1f} → {errors['on']:.1f}, {own} (warping error x 1000)."
            )
        else:
            flicker = f"Flicker {errors['off']:.1f}, {own} (warping error x 1000)."
    return f"<p id='facts'>{facts}</p><p id='flicker'>{flicker}</p>"


def main(arguments: list[str] | None = None) -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser("python app.py", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be seen on the network")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="a public link through gradio.live")
    parser.add_argument("--weights", type=Path, help="a folder of styles (default: the bundled)")
    parser.add_argument(
        "--hub-repo", action="append", metavar="USER/NAME[@REVISION]",
        help="offer the styles of this repo on the Hub, too (default: $STYLEVID_HUB_REPO)",
    )  # fmt: skip
    parser.add_argument("--no-hub-box", action="store_true", help="visitors bring no styles")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--max-seconds", type=float, default=120, help="longest video accepted")
    parser.add_argument("--max-side", type=int, default=1920, help="largest result, pixels")
    parser.add_argument("--max-upload", default="500mb", help="largest upload")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that temporary files go as well
    hub_logging.set_verbosity_error()  # what matters of it we say in one sentence
    settings = Settings(
        options.weights, options.device, options.max_seconds, options.max_side,
        hub_box=not options.no_hub_box,
    )  # fmt: skip
    styles = hub.collect_styles(options.weights, hub.repo_names(options.hub_repo))
    with tempfile.TemporaryDirectory(prefix="stylevid-example-") as folder:
        example = render_example(Path(folder) / "example.mp4")
        page = build_app(settings, example, styles)
        _, _, share_url = page.launch(
            server_name=options.host, server_port=options.port, share=options.share,
            max_file_size=options.max_upload, ssr_mode=False, theme=_theme(), css=CSS,
            footer_links=["api", "settings"], allowed_paths=[folder], prevent_thread_lock=True,
        )  # fmt: skip
        if options.share and not share_url:
            log.warning("No public link: gradio's share server cannot be reached from here. "
                        "The page is served on this machine only.")  # fmt: skip
        page.block_thread()


def _theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    # Soft's own button and help text are too pale for WCAG AA.
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )


if __name__ == "__main__":
    main()
