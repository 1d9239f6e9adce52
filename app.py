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
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from huggingface_hub.utils import logging as hub_logging

from stylevid import hub
from stylevid.comparison import compare_video
from stylevid.errors import Cancelled, StylevidError
from stylevid.example import render_example
from stylevid.frames import Frame
from stylevid.painter import Painter
from stylevid.pipeline import Options, Progress, Result, stylize_video
from stylevid.styles import Style, find_style, list_styles, name_styles
from stylevid.video import probe, read_frames
from webui.gallery import choices, pictures
from webui.hub_box import add_hub_box
from webui.report import APOLOGY, facts_html, lines_html, progress_html, status_html
from webui.theme import CSS, theme

log = logging.getLogger("stylevid.page")

SIZES = {"the video's own": None, "360 px": 360, "640 px": 640, "960 px": 960, "1280 px": 1280}
BRUSHES = {"grows with the picture": None, "fine": 1.0, "medium": 1.5, "large": 2.0, "broad": 3.0}
# The button is at the foot of the page, what it does at the head.
SHOW_OUTCOME = "() => document.querySelector('#outcome').scrollIntoView({behavior: 'smooth'})"
Outcome = Result | Path  # of stylize_video, of compare_video
GPU_SECONDS = 120  # asked of ZeroGPU for one video
STILLS, MOTION = ["Video | painted", "Without | with temporal consistency"]
TWICE = (
    "<p>The same two seconds in a loop, without temporal consistency on the left and with it on "
    "the right. Watch what hardly moves.</p>"
)
HELLO = "<p>The painted video will appear here. No video at hand? Press <b>Try the example</b>.</p>"


@dataclass(frozen=True)
class Settings:
    """What the operator decides, once, on the command line."""

    weights: Path | None = None
    device: str | None = None
    max_seconds: float = 120.0
    max_side: int = 1920
    hub_box: bool = True
    flow_weights: Path | None = None


@dataclass(frozen=True)
class Painted:
    """What the result on the page was made from, for a second look at it."""

    video: Path
    style: Style
    options: Options


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
        shown = gr.State(None)  # the Painted on the page
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
                    pictures(styles), label="Styles", show_label=False, columns=3,
                    height="auto", object_fit="cover", allow_preview=False, buttons=[],
                    interactive=False, selected_index=0 if styles else None, elem_id="styles",
                )  # fmt: skip
                style = gr.Dropdown(
                    choices(styles), value=first, label="Chosen style", elem_id="style"
                )
                if settings.hub_box:
                    add_hub_box(styles, guests, gallery, style)
                gr.Markdown("### 3 Keep it steady", elem_classes="step")
                temporal = gr.Checkbox(
                    True, label="Temporal consistency", elem_id="temporal",
                    info="Paint sticks to things as they move; no flicker.",
                )  # fmt: skip
                with gr.Accordion("Advanced", open=False):
                    strength = gr.Slider(0, 1, 1, step=0.05, label="Style strength")
                    keep_colors = gr.Checkbox(False, label="Keep original colors")
                    size = gr.Dropdown(list(SIZES), value="640 px", label="Longest side")
                    brush = gr.Dropdown(
                        list(BRUSHES), value=next(iter(BRUSHES)), label="Brush", elem_id="brush"
                    )
                paint = gr.Button("Paint it", variant="primary", elem_id="paint")
                stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
            with gr.Column(scale=7, min_width=320, elem_id="outcome"):
                status = gr.HTML(HELLO, elem_id="status")
                newest = gr.Image(label="Newest frame", visible=False, elem_id="newest", buttons=[])
                result = gr.Video(label="Painted", interactive=False, visible=False,
                                  elem_id="result", buttons=[])  # fmt: skip
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
                with gr.Group(visible=False) as compare:
                    view = gr.Radio([STILLS, MOTION], value=STILLS, label="Compare", elem_id="view")
                    before_after = gr.ImageSlider(
                        label="Before and after", elem_id="compare", max_height=420, buttons=[]
                    )
                    both = gr.Video(
                        label="Without (left) and with temporal consistency (right)",
                        show_label=False, interactive=False, visible=False,
                        autoplay=True, loop=True, elem_id="both", buttons=[],
                    )  # fmt: skip
                    both_note = gr.HTML(visible=False, elem_id="both-note")
                    moment = gr.Slider(0, 100, 50, step=1, label="At which moment, % of the clip")

        def ready_again() -> dict:
            return {stop: gr.Button(visible=False), paint: gr.Button(visible=True)}

        def run(
            video: str | None, name: str | None, temporal: bool, strength: float,
            keep_colors: bool, size: str, brush: str, job: Job, guests: list[Style],
        ) -> Iterator[dict]:  # fmt: skip
            """The page's handler: every yield is what the page shows next."""
            job.start()
            if not video:
                raise gr.Error("No video yet. Drop one on the left, or press “Try the example”.")
            if name is None:
                raise gr.Error("No style is chosen. Choose one in the gallery.")
            yield {
                status: status_html("Starting…", 0), stop: gr.Button(visible=True),
                paint: gr.Button(visible=False), newest: gr.Image(None, visible=False),
                result: gr.Video(None, visible=False), compare: gr.Group(visible=False),
                download: gr.DownloadButton(visible=False), shown: None,
            } | show_view(STILLS)  # fmt: skip
            ready = ready_again() | {newest: gr.Image(None, visible=False)}
            options = _options(
                settings, temporal, strength, keep_colors, SIZES[size], BRUSHES[brush]
            )
            try:
                chosen = find_style(name, [*styles, *guests])
                with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
                    target = Path(folder) / f"{Path(video).stem[:60]}-{chosen.slug}.mp4"
                    steps = work_lent_gpu(
                        Path(video), target, chosen, options, settings.device, job=job
                    )
                    for step in steps:
                        if isinstance(step, Progress):
                            yield {status: progress_html(step),
                                   newest: gr.Image(step.latest, visible=True)}  # fmt: skip
                        else:
                            yield ready | {
                                status: facts_html(step),
                                result: gr.Video(str(step.path), visible=True),
                                download: gr.DownloadButton(value=str(step.path), visible=True),
                                before_after: _frames_at(Path(video), step.path, 0.5),
                                compare: gr.Group(visible=True), moment: 50,
                                shown: Painted(Path(video), chosen, options),
                            }  # fmt: skip
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
            brush: str,
        ) -> Iterator[str]:
            """Paint a video with a style, by its name; the result is an MP4 with its sound."""
            if not video:
                raise gr.Error("No video was given.")
            options = _options(
                settings, temporal, strength, keep_colors, SIZES[size], BRUSHES[brush]
            )
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

        def show_view(chosen: str) -> dict:
            """The pair of stills, or the place for the two paintings in motion."""
            still = chosen == STILLS
            return {
                view: chosen, before_after: gr.ImageSlider(visible=still),
                both: gr.Video(None, visible=not still), both_note: gr.HTML("", visible=not still),
            }  # fmt: skip

        def play_both(
            chosen: str, percent: float, painted: Painted | None, job: Job
        ) -> Iterator[dict]:
            """Two seconds around the chosen moment, painted without and with the switch."""
            if chosen == STILLS or painted is None:
                yield {both_note: ""}
                return
            job.start()
            yield {stop: gr.Button(visible=True), paint: gr.Button(visible=False)}
            try:
                with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
                    steps = work_lent_gpu(
                        painted.video, Path(folder) / "off-on.mp4", painted.style,
                        painted.options, settings.device, job=job,
                        paint=partial(compare_video, share=percent / 100),
                    )  # fmt: skip
                    for step in steps:
                        if isinstance(step, Progress):
                            doing = "Painting two seconds both ways…"
                            yield {both_note: status_html(doing, step.fraction)}
                        else:
                            yield ready_again() | {both: gr.Video(str(step)), both_note: TWICE}
            except StylevidError as error:
                yield ready_again() | {both_note: lines_html([str(error)])}
            except Exception:
                log.exception("painting both ways failed")
                yield ready_again() | {both_note: lines_html([APOLOGY])}

        private = {"api_visibility": "private"}
        paint.click(None, None, None, js=SHOW_OUTCOME, **private)
        paint.click(
            lambda: status_html("Waiting for your turn…", 0), None, status, queue=False, **private,
        ).then(
            run, [video, style, temporal, strength, keep_colors, size, brush, job, guests],
            [status, newest, result, download, before_after, compare, paint, stop, shown, view,
             both, both_note, moment],
            concurrency_limit=1, concurrency_id="paint", show_progress="hidden",
            **private,
        )  # fmt: skip
        view.input(show_view, view, [view, before_after, both, both_note], queue=False,
                   show_progress="hidden", **private)  # fmt: skip
        gr.on(
            [view.input, moment.release], play_both, [view, moment, shown, job],
            [both, both_note, paint, stop], trigger_mode="always_last",
            concurrency_limit=1, concurrency_id="paint", show_progress="hidden", **private,
        )  # fmt: skip
        stop.click(lambda job: job.stop(), job, None, queue=False, **private)
        example_button.click(lambda: str(example), None, video, **private)
        gallery.select(choose, guests, style, show_progress="hidden", **private)
        style.change(mark, [style, guests], gallery, show_progress="hidden", **private)
        moment.release(compare_at, [video, result, moment], before_after, **private)
        page.load(from_link, None, style, show_progress="hidden", **private)
        # For programs: the same work without the page around it.
        gr.Button(visible=False).click(
            stylize, [video, style, temporal, strength, keep_colors, size, brush],
            gr.Video(visible=False), api_name="stylize",
            concurrency_limit=1, concurrency_id="paint",
        )  # fmt: skip
        gr.api(list_names, api_name="list_styles")
    page.queue(max_size=20)
    return page


def work(
    video: Path,
    target: Path,
    style: Style,
    options: Options,
    device: str | None,
    job: Job,
    paint: Callable[..., Outcome] = stylize_video,
) -> Iterator[Progress | Outcome]:
    """The progress of a painting about twice a second, then its result.

    Args:
        paint: stylize_video, or another that is called like it; it can be pickled.
    Raises:
        StylevidError: whatever `paint` raises; Cancelled when `job` was stopped.
    """
    news: queue.Queue[Progress | Outcome | BaseException] = queue.Queue()
    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            news.put(progress)

    def run() -> None:
        try:
            painter = Painter(style, device)
            news.put(paint(video, target, painter, options, tell, job.is_stopped))
        except BaseException as error:  # handed to the page's own thread
            news.put(error)

    thread = threading.Thread(target=run, name="painter")
    thread.start()
    try:
        while True:
            item = news.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if not isinstance(item, Progress):
                return
    finally:  # also when the visitor has gone
        job.stop()
        thread.join()
        job.start()  # which leaves no file behind


def lend_gpu() -> Callable[..., Iterator[Any]]:
    """`work`; on Hugging Face's ZeroGPU in a process that has a GPU for so long.

    ZeroGPU wants to know before the page is launched what will need a GPU.
    """
    steps: Callable[..., Iterator[Any]] = work
    if zero_gpu := sys.modules.get("spaces"):  # imported by the Space's entry, before torch
        steps = zero_gpu.GPU(duration=GPU_SECONDS)(work)

    def run(
        *arguments: object, job: Job, paint: Callable[..., object] = stylize_video
    ) -> Iterator[Any]:
        try:
            yield from steps(*arguments, job, paint)
        except GeneratorExit:
            job.stop()  # another process does not notice that the visitor has gone
            raise

    return run


def _options(
    settings: Settings, temporal: bool, strength: float, keep_colors: bool, size: int | None,
    brush: float | None = None,
) -> Options:  # fmt: skip
    limit = settings.max_side
    return Options(
        temporal=temporal,
        strength=float(strength),
        keep_colors=keep_colors,
        brush=brush,
        flow_weights=settings.flow_weights,
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
    parser.add_argument("--flow-weights", type=Path, metavar="FILE",
                        help="RAFT's as safetensors, for a GPU (default: DIS)")  # fmt: skip
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
        hub_box=not options.no_hub_box, flow_weights=options.flow_weights,
    )  # fmt: skip
    styles = hub.collect_styles(options.weights, hub.repo_names(options.hub_repo))
    with tempfile.TemporaryDirectory(prefix="stylevid-example-") as folder:
        example = render_example(Path(folder) / "example.mp4")
        page = build_app(settings, example, styles)
        _, _, share_url = page.launch(
            server_name=options.host, server_port=options.port, share=options.share,
            max_file_size=options.max_upload, ssr_mode=False, theme=theme(), css=CSS,
            footer_links=["api", "settings"], allowed_paths=[folder], prevent_thread_lock=True,
        )  # fmt: skip
        if options.share and not share_url:
            log.warning("No public link: gradio's share server cannot be reached from here. "
                        "The page is served on this machine only.")  # fmt: skip
        page.block_thread()


if __name__ == "__main__":
    main()
