# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""The page: upload or record a video, choose a painting, get the video painted, sound and all."""

import argparse
import logging
import math
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from itertools import chain
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from huggingface_hub.utils import logging as hub_logging

from stylevid import hub
from stylevid.__main__ import add_style_options
from stylevid.comparison import compare_video
from stylevid.errors import Cancelled, StylevidError
from stylevid.example import EXAMPLE
from stylevid.frames import Frame
from stylevid.pipeline import Options, Progress, Result, stylize_video
from stylevid.styles import Mix, Style, find_style, list_styles, name_styles
from stylevid.video import probe, read_picture
from webui import QUIET, layout, report
from webui.gallery import pictures
from webui.layout import STILLS, Choices, Outcomes
from webui.learning import Course, Sketch
from webui.live import Live, add_live
from webui.looking import Easel, Turns, tile
from webui.operator import Limits, Operator, Use, add_options, fetch_nothing
from webui.painting import Job, in_time, lend_gpu
from webui.restoring import connect_restoring
from webui.runs import Run, Runs, Waiting
from webui.scratch import scratch
from webui.stage import OPENING, card_html, motion_html, newest_html, opening_html, still_html
from webui.theme import CSS, head, theme

log = logging.getLogger("stylevid.page")

# The button is at the foot of the page, what it does at the head.
SHOW_OUTCOME = "() => document.querySelector('#outcome').scrollIntoView({behavior: 'smooth'})"
TWICE = (
    "<p>The same two seconds in a loop, without temporal consistency on the left and with it on "
    "the right. Watch what hardly moves.</p>"
)
PRIVATE = {"api_visibility": "private"}
Stills = tuple[Frame, Frame] | None
# Visitors that gradio remembers, with what their pages show: some 2 MB each, most of it three
# seconds in motion; 10,000 if it is not told.
SESSIONS = 200
# Events of all visitors that wait together, and threads that follow runs; of those, two lines of
# runs.MOST may wait for their turn.
WAITING, THREADS = 200, 100
# What is not a run of its own; those have their own lines.
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "paint"}


@dataclass(frozen=True)
class Settings:
    """What the operator decides, once, on the command line."""

    weights: Path | None = None
    device: str | None = None
    max_seconds: float = 120.0
    max_side: int = 1920
    max_pixels: int | None = None  # of a video's frames together
    max_job_s: float = math.inf
    hub_box: bool = True
    max_learn_seconds: float = 300.0  # 0 lets nobody learn


@dataclass(frozen=True)
class Painted:
    """What the result on the page was made from, for a second look at it."""

    video: Path
    style: Style | Mix
    options: Options
    result: Path | None = None  # None until it is there
    start_s: float = 0.0  # what came before it in the video
    length_s: float = 0.0


def build_app(
    settings: Settings, example: Path | None = None, styles: list[Style] | None = None,
    easel: Easel | None = None, live: Live | None = None, operator: Operator | None = None,
) -> gr.Blocks:  # fmt: skip
    """The page as a gr.Blocks, ready to launch; works offline and without a GPU.

    Args:
        styles: those that every visitor sees; by default those of the settings' folder.
        easel: what visitors choose by; by default one that is not warm yet.
        live: adds its tab; the page has to be launched with its route.
    """
    styles = list_styles(settings.weights) if styles is None else styles
    fetch_nothing()
    with gr.Blocks(title="stylevid", analytics_enabled=False, delete_cache=(600, 7200)) as blocks:
        guests = gr.State([])  # the styles that this visitor brought
        gr.Markdown("# stylevid\nYour video as a moving painting, with its sound.",
                    elem_id="title")  # fmt: skip
        with gr.Tabs():
            with gr.Tab("Video"), gr.Row():
                with gr.Column(scale=5, min_width=320, elem_id="left"):
                    left = Choices(styles, guests, has_example=example is not None,
                                   bring=settings.hub_box,
                                   learn_s=settings.max_learn_seconds)  # fmt: skip
                with gr.Column(scale=7, min_width=320, elem_id="outcome"):
                    right = Outcomes(styles)
            if live is not None:
                with gr.Tab("Live"):
                    add_live(blocks, styles, guests, live)
        page = Page(settings, styles, left, right, example, easel or Easel(settings.device),
                    operator or Operator())  # fmt: skip
        page.connect_painting(blocks, guests)
        page.connect_looking()
        page.connect_choosing(blocks, guests)
        page.connect_trying(guests)
        connect_restoring(left, styles, guests)
        page.connect_programs()
    blocks.queue(max_size=WAITING)
    return blocks


class Page:
    """What happens when a visitor does something; a handler yields what the page shows next."""

    def __init__(
        self, settings: Settings, styles: list[Style], left: Choices, right: Outcomes,
        example: Path | None, easel: Easel, operator: Operator,
    ) -> None:  # fmt: skip
        self.settings, self.styles, self.left, self.right = settings, styles, left, right
        self.example, self.easel = example, easel
        self.job, self.turns = gr.State(Job()), gr.State(Turns())
        self.shown = gr.State(None)  # the Painted on the page
        # The name of the last run, in the browser's keeping.
        self.ticket = gr.BrowserState(None, storage_key="stylevid-run")
        self.runs = Runs()
        self.operator, self._work = operator, operator.watch(lend_gpu(settings.max_job_s))

    def connect_painting(self, blocks: gr.Blocks, guests: gr.State) -> None:
        """The buttons that start and stop; and what was started before the page was reloaded."""
        left, right = self.left, self.right
        painted = [
            right.status, right.stage, right.flicker, right.newest, right.result, right.download,
            right.keep, right.form, right.before_after, right.compare, left.paint, left.stop,
            self.shown, right.view, right.both, right.both_note, right.moment, self.ticket,
            self.job,
        ]  # fmt: skip
        left.paint.click(None, None, None, js=SHOW_OUTCOME, **PRIVATE)
        left.paint.click(
            self.run,
            [*self._asked(), left.way, left.learn_s, left.picture, guests, self.turns],
            painted, concurrency_limit=None, **QUIET,
        )  # fmt: skip
        left.stop.click(lambda job: job.stop(), self.job, None, queue=False, **PRIVATE)
        blocks.load(
            self.resume, self.ticket, [*painted, left.video, left.style],
            concurrency_limit=None, **QUIET,
        )  # fmt: skip

    def connect_looking(self) -> None:
        """The two views of a result."""
        right = self.right
        right.view.input(
            self.show_view, right.view,
            [right.view, right.before_after, right.both, right.both_note], queue=False, **QUIET,
        )  # fmt: skip
        gr.on(
            [right.view.input, right.moment.release], self.play_both,
            [right.view, right.moment, self.shown, self.job],
            [right.both, right.both_note, self.left.paint, self.left.stop],
            trigger_mode="always_last", **ONE_AT_A_TIME, **QUIET,
        )  # fmt: skip
        right.moment.release(stills, [self.shown, right.moment], right.before_after, **PRIVATE)
        right.form.input(
            self.export, [right.form, self.shown], right.download,
            trigger_mode="always_last", **ONE_AT_A_TIME, **QUIET,
        )  # fmt: skip

    def connect_trying(self, guests: gr.State) -> None:
        """The visitor's own frame in every style, and some of it in motion in the chosen one."""
        left, right = self.left, self.right
        aside = {"concurrency_id": "try", "concurrency_limit": 2} | QUIET
        frame = (self.try_all, [left.video, right.scrub, guests], left.gallery)
        motion = (
            self.try_one,
            [left.video, right.scrub, left.style, left.temporal, left.strength, left.keep_colors,
             left.second, left.mix, guests, self.turns], right.stage,
        )  # fmt: skip
        left.video.change(
            self.take, [left.video, self.ticket], [right.scrub, right.status], queue=False, **QUIET
        ).then(*frame, **aside).then(*motion, **aside)
        right.scrub.input(*frame, trigger_mode="always_last", **aside).then(*motion, **aside)
        gr.on([left.style.change, left.temporal.input, left.strength.release,
               left.keep_colors.input, left.second.input, left.mix.release],
              *motion, trigger_mode="multiple", **aside)  # fmt: skip

    def connect_choosing(self, blocks: gr.Blocks, guests: gr.State) -> None:
        """Gallery and list say the same; a link may choose a style."""
        left = self.left
        left.example.click(lambda: str(self.example), None, left.video, **PRIVATE)
        left.gallery.select(self.choose, guests, left.style, **QUIET)
        left.style.change(self.mark, [left.style, guests], [left.gallery, self.right.card], **QUIET)
        blocks.load(self.from_link, self.ticket, left.style, **QUIET)

    def connect_programs(self) -> None:
        """The same work without the page around it."""
        gr.Button(visible=False).click(
            self.stylize, self._asked(), gr.Video(visible=False), api_name="stylize",
            concurrency_limit=None,
        )  # fmt: skip
        gr.api(self.list_styles, api_name="list_styles")

    def _asked(self) -> list[gr.components.Component]:
        left = self.left
        return [left.video, left.style, left.temporal, left.strength, left.keep_colors, left.size,
                left.brush, left.start, left.end, left.second, left.mix]  # fmt: skip

    def run(
        self, video: str | None, name: str | None, temporal: bool, strength: float,
        keep_colors: bool, size: str, brush: str, start_s: float | None, end_s: float | None,
        second: str | None, share: float, way: str, learn_s: float, picture: str | None,
        guests: list[Style], turns: Turns,
    ) -> Iterator[dict]:  # fmt: skip
        """Paint the visitor's video, when it is its turn; what was tried before is over."""
        right, job = self.right, Job()  # another tab may show another run
        turns.begin()
        try:
            if not video:
                raise ValueError("No video yet. Drop one here, or press “Try the example”.")
            if name is None:
                raise ValueError("No style is chosen. Choose one in the gallery.")
            options = _options(
                self.settings, temporal, strength, keep_colors, size, brush, start_s, end_s
            )
            chosen = _chosen(name, second, share, [*self.styles, *guests])
            course = self._course(way, learn_s, picture, chosen, job)
            use = self.operator.admit()
        except (StylevidError, ValueError) as error:
            yield {right.status: report.error_html(error)}
            return
        steps = self._paint(use, Path(video), chosen, options, job, course)
        asked = Painted(Path(video), chosen, options)
        run = Run(steps, asked, job, course.seconds if course else math.nan)
        line = self.runs.learning if course else self.runs.painting
        yield self._busy() | {self.ticket: self.runs.start(run, line), self.job: job}
        yield from self._follow(run)

    def resume(self, ticket: object) -> Iterator[dict]:
        """What was started before the page was reloaded, or came of it."""
        run = self.runs.find(ticket)
        if run is None:
            yield {self.right.status: gr.skip()}
            return
        names = [n for n, style in name_styles(self.styles).items() if style == run.asked.style]
        chosen = {self.left.style: names[0]} if names else {}
        back = {self.left.video: str(run.asked.video), self.job: run.job}
        yield self._busy() | chosen | back
        yield from self._follow(run)

    def _follow(self, run: Run) -> Iterator[dict]:
        """The page while it is painted, and then."""
        right = self.right
        ready = self._ready() | {right.newest: gr.HTML("", visible=False)}
        try:
            for step in run.follow():
                if isinstance(step, Sketch):
                    newest = gr.HTML(newest_html(step.picture), visible=True)
                    yield {right.status: report.sketch_html(step), right.newest: newest}
                elif isinstance(step, Progress):
                    newest = gr.HTML(newest_html(step.latest), visible=True)
                    yield {right.status: report.progress_html(step), right.newest: newest}
                elif isinstance(step, Waiting):
                    yield {right.status: report.waiting_html(step)}
                else:
                    # The run's own goes long before the page; this is the copy that is shown.
                    shown = save_file_to_cache(step.path, right.result.GRADIO_CACHE)
                    painted = replace(run.asked, result=Path(shown), start_s=step.start_s,
                                      length_s=step.length_s)  # fmt: skip
                    yield ready | {
                        right.status: report.facts_html(step),
                        right.flicker: layout.plot(report.flicker_table(step.flicker)),
                        right.result: gr.Video(shown, visible=True),
                        right.download: gr.DownloadButton(value=shown, visible=True),
                        right.keep: _kept(step.path.with_suffix(".safetensors")),
                        right.form: gr.Radio(value=layout.WHOLE, visible=True),
                        right.before_after: stills(painted, 50),
                        right.compare: gr.Group(visible=True), right.moment: 50,
                        self.shown: painted,
                    }  # fmt: skip
        except Cancelled as error:
            yield ready | {right.status: f"<p>{escape(str(error))}</p>"}
        except (StylevidError, ValueError) as error:
            yield ready | {right.status: report.error_html(error)}
        except Exception:
            log.exception("painting failed")
            yield ready | {right.status: report.error_html(report.APOLOGY)}

    def stylize(
        self, video: str | None, slug: str, temporal: bool, strength: float, keep_colors: bool,
        size: str, brush: str, start_s: float | None = None, end_s: float | None = None,
        second: str | None = None, share: float = 0.5,
    ) -> Iterator[str | dict]:  # fmt: skip
        """Paint a video with a style, by its name; the result is an MP4 with its sound."""
        if not video:
            raise gr.Error("No video was given.", print_exception=False)
        try:
            options = _options(
                self.settings, temporal, strength, keep_colors, size, brush, start_s, end_s
            )
            chosen = _chosen(slug, second, share, self.styles)
            job, line = Job(), self.runs.painting
            painting = self._paint(self.operator.admit(), Path(video), chosen, options, job)
            with line.place(job):
                for step in chain(line.wait(job), painting):
                    # Whoever is told something can be noticed to have gone.
                    yield str(step.path) if isinstance(step, Result) else gr.skip()
        except (StylevidError, ValueError) as error:
            raise gr.Error(escape(str(error), quote=False), print_exception=False) from error

    def list_styles(self) -> list[dict[str, str]]:
        """The styles there are: the name that stylize takes, slug, title, artist, year and
        origin of each."""
        return [{"name": name, "slug": s.slug, "title": s.title, "artist": s.artist,
                 "year": s.year, "origin": s.origin}
                for name, s in name_styles(self.styles).items()]  # fmt: skip

    def play_both(
        self, chosen: str, percent: float, painted: Painted | None, job: Job
    ) -> Iterator[dict]:
        """Two seconds around the chosen moment, painted without and with the switch."""
        both, note = self.right.both, self.right.both_note
        if chosen == STILLS or painted is None:
            yield {note: ""}
            return
        job.start()
        yield {self.left.stop: gr.Button(visible=True), self.left.paint: gr.Button(visible=False)}
        start_s = painted.options.start_s
        options = replace(painted.options, end_s=start_s + painted.length_s)
        try:
            with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
                steps = self._work(
                    self.operator.admit(), painted.video, Path(folder) / "off-on.mp4",
                    painted.style, options, self.settings.device, job=job,
                    paint=partial(compare_video, share=percent / 100),
                )  # fmt: skip
                for step in steps:
                    if isinstance(step, Progress):
                        doing = "Painting two seconds both ways…"
                        yield {note: report.status_html(doing, step.fraction)}
                    else:
                        yield self._ready() | {both: gr.Video(str(step)), note: TWICE}
        except StylevidError as error:
            yield self._ready() | {note: report.error_html(error)}
        except Exception:
            log.exception("painting both ways failed")
            yield self._ready() | {note: report.error_html(report.APOLOGY)}

    def export(self, form: str, painted: Painted | None) -> Iterator[gr.DownloadButton]:
        """The result in another form, to download."""
        if painted is None or painted.result is None:
            return
        yield gr.DownloadButton(interactive=False)
        with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
            path = painted.result
            try:
                if form != layout.WHOLE:
                    export, ending = layout.EXPORTS[form]
                    target = Path(folder) / f"{path.stem}-{ending}"
                    path = export(path, target, in_time(self.settings.max_job_s))
            except StylevidError as error:
                gr.Warning(escape(str(error)))
            yield gr.DownloadButton(value=str(path), interactive=True)

    def show_view(self, chosen: str) -> dict:
        """The pair of stills, or the place for the two paintings in motion."""
        right, still = self.right, chosen == STILLS
        return {
            right.view: chosen, right.before_after: gr.ImageSlider(visible=still),
            right.both: gr.Video(None, visible=not still),
            right.both_note: gr.HTML("", visible=not still),
        }  # fmt: skip

    def choose(self, guests: list[Style], event: gr.SelectData) -> str:
        """The style that was clicked in the gallery."""
        return list(name_styles([*self.styles, *guests]))[event.index]

    def mark(self, name: str | None, guests: list[Style]) -> tuple[gr.Gallery, str]:
        """The gallery with the style that was chosen in the list, and its painting."""
        styles = name_styles([*self.styles, *guests])
        index = list(styles).index(name) if name in styles else None
        return gr.Gallery(selected_index=index), card_html(styles.get(name or ""))

    def take(self, video: str | None, ticket: object) -> dict:
        """What there is to say of a video at once; whether there are moments to choose from."""
        right, limit_s = self.right, self.settings.max_seconds
        if not video:
            return {right.scrub: gr.Slider(visible=False), right.status: layout.HELLO}
        try:
            info = probe(video)
        except StylevidError as error:
            said = report.error_html(error)
            return {right.scrub: gr.Slider(visible=False), right.status: said}
        run = self.runs.find(ticket)
        if run and run.asked.video == Path(video):  # it is back, with a status of its own
            return {right.scrub: gr.Slider(visible=True)}
        said = "Your video in every style. Choose one, then press <b>Paint it</b>."
        if info.duration_s > limit_s:
            said = (f"<b>{escape(info.path.name)} is {info.duration_s:.0f} s long; the limit is "
                    f"{limit_s:.0f} s. Say under Advanced which part to paint.</b>")  # fmt: skip
        return {right.scrub: gr.Slider(visible=True), right.status: f"<p>{said}</p>"}

    def try_all(self, video: str | None, percent: float, guests: list[Style]) -> list:
        """What the gallery shows: a frame of the visitor's video in every style; the previews if
        there is none. Which is chosen stays as it is: it may change while they are painted."""
        styles, shown = [*self.styles, *guests], None
        try:
            if video:
                shown = self.easel.paint_all(tile(probe(video), percent / 100), styles)
        except StylevidError as error:
            log.info("no frame to show: %s", error)
        return pictures(styles, shown)

    def try_one(
        self, video: str | None, percent: float, name: str | None, temporal: bool,
        strength: float, keep_colors: bool, second: str | None, share: float,
        guests: list[Style], turns: Turns,
    ) -> Iterator[str | dict]:  # fmt: skip
        """A few seconds in the chosen style, of the example if there is no video yet. What the
        visitor asks for next ends it."""
        is_over, source = turns.begin(), video or self.example
        try:
            if source is None or name is None:
                yield opening_html()
                return
            style = _chosen(name, second, share, [*self.styles, *guests])
            caption = f"{'Your video' if video else 'The example'} as {style.title}"
            options = Options(temporal, strength=float(strength), keep_colors=keep_colors)
            info = probe(source)
            for shown in self.easel.paint_motion(info, percent / 100, style, options, is_over):
                if isinstance(shown, bytes):
                    yield motion_html(shown, caption)
                else:
                    yield still_html(shown, caption)
        except StylevidError as error:
            log.info("nothing to show in motion: %s", error)
            yield opening_html()

    def from_link(self, ticket: object, request: gr.Request) -> str | dict | None:
        """The style that the page's address asks for with ?style=SLUG, or that of the opening; of
        a run that is found again, its own is shown."""
        if self.runs.find(ticket):
            return gr.skip()
        wanted = request.query_params.get("style")
        if wanted in name_styles(self.styles):
            return wanted
        first = layout.first_style(self.styles)
        return first and first.slug

    def _course(
        self, way: str, learn_s: float, picture: str | None, style: Style | Mix, job: Job
    ) -> Course | None:
        """What is to be learned before painting; None paints at once."""
        most = self.settings.max_learn_seconds
        if not most or (way != layout.FINE and not picture):
            return None
        if isinstance(style, Mix):
            raise ValueError("One style is learned from. Choose none as the second, or Quick.")
        own = Path(picture) if picture else None
        return Course(min(float(learn_s), most), style, own, self.styles, job)

    def _paint(
        self, use: Use, video: Path, style: Style | Mix, options: Options, job: Job,
        course: Course | None = None,
    ) -> Iterator:  # fmt: skip
        """Progress, then the Result; its file goes when the iterator ends."""
        with tempfile.TemporaryDirectory(prefix="stylevid-") as folder:
            manner = course.picture.stem if course and course.picture else style.slug
            target = Path(folder) / f"{_short(video.stem)}-{_short(manner)}.mp4"
            work = self._work(
                use, video, target, style, options, self.settings.device, job=job,
                paint=course or stylize_video,
            )  # fmt: skip
            result = None
            with closing(work) as steps:  # before the folder goes
                for step in steps:
                    if isinstance(step, Result):
                        result = step
                    else:
                        yield step
            yield result  # when nothing works any more; only its file is held

    def _busy(self) -> dict:
        left, right = self.left, self.right
        return {
            right.status: report.status_html("Starting…", 0), right.stage: "",
            left.stop: gr.Button(visible=True), left.paint: gr.Button(visible=False),
            right.newest: gr.HTML("", visible=False), self.shown: None,
            right.result: gr.Video(None, visible=False), right.compare: gr.Group(visible=False),
            right.download: gr.DownloadButton(visible=False),
            right.keep: gr.DownloadButton(visible=False),
            right.form: gr.Radio(visible=False), right.flicker: gr.LinePlot(visible=False),
        } | self.show_view(STILLS)  # fmt: skip

    def _ready(self) -> dict:
        return {self.left.stop: gr.Button(visible=False),
                self.left.paint: gr.Button(visible=True)}  # fmt: skip


def stills(painted: Painted | None, percent: float) -> Stills:
    """The same moment of video and result, `percent` of the way; None when they are gone."""
    if painted is None or painted.result is None:
        return None
    try:
        after = probe(painted.result)
        time_s = max(0.0, percent / 100 * (painted.length_s - 0.1))
        size = after.height, after.width
        before = read_picture(probe(painted.video), painted.start_s + time_s, size)
        return before, read_picture(after, time_s, size)
    except StylevidError as error:
        log.warning("no pair of stills: %s", error)
        return None


def _chosen(name: str, second: str | None, share: float, styles: list[Style]) -> Style | Mix:
    """The style of that name, mixed with a second if there is one."""
    style = find_style(name, styles)
    return Mix(style, find_style(second, styles), float(share)) if second else style


def _short(name: str) -> str:
    """As much of a name as two of have room for in a file's, which has 255 bytes."""
    return name.encode()[:90].decode(errors="ignore")


def _kept(path: Path) -> gr.DownloadButton:
    """The button that downloads a style, if one was learned."""
    there = path.exists()
    return gr.DownloadButton(value=str(path) if there else None, visible=there)


def _options(
    settings: Settings, temporal: bool, strength: float, keep_colors: bool, size: str, brush: str,
    start_s: float | None = None, end_s: float | None = None,
) -> Options:  # fmt: skip
    wanted, limit = layout.SIZES[size], settings.max_side
    return Options(
        temporal=temporal,
        strength=float(strength),
        keep_colors=keep_colors,
        brush=layout.BRUSHES[brush],
        size=min(wanted or limit, limit),
        enlarge=wanted is not None,
        max_seconds=settings.max_seconds,
        max_pixels=settings.max_pixels,
        start_s=start_s or 0.0,
        end_s=end_s or None,
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser("python app.py", description=__doc__)
    add, unless_told = parser.add_argument, Settings()
    add("--host", default="127.0.0.1", help="0.0.0.0 to be seen on the network")
    add("--port", type=int, help="default: the first free one from 7860")
    add("--share", action="store_true", help="a public link through gradio.live")
    add_style_options(parser)
    add("--no-hub-box", action="store_true", help="visitors bring no styles")
    add("--max-seconds", type=float, default=unless_told.max_seconds, help="longest video accepted")
    add("--max-side", type=int, default=unless_told.max_side, help="largest result, pixels")
    add("--max-learn-seconds", type=float, default=unless_told.max_learn_seconds,
        help="that a visitor may have it learn")  # fmt: skip
    add("--no-learn", action="store_true", help="visitors have nothing learned")
    add("--max-live", type=int, default=4, help="cameras painted at a time")
    add("--max-upload", default="500mb", help="largest upload")
    add_options(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that temporary files go as well
    hub_logging.set_verbosity_error()  # what matters of it we say in one sentence
    with scratch():  # what visitors bring and get goes with it
        serve(options)


def serve(options: argparse.Namespace) -> None:
    """Until it is ended."""
    settings = Settings(
        options.weights, options.device, options.max_seconds, options.max_side,
        round(options.max_gigapixels * 1e9), options.max_job_seconds,
        hub_box=not options.no_hub_box,
        max_learn_seconds=0 if options.no_learn else options.max_learn_seconds,
    )  # fmt: skip
    styles = hub.collect_styles(options.weights, hub.repo_names(options.hub_repo))
    easel = Easel(settings.device)
    live = Live(options.device, options.max_live) if options.max_live else None
    operator = Operator(
        Limits(options.visitor_jobs, options.visitor_seconds, options.visitor_megabytes)
    )
    page = build_app(settings, EXAMPLE, styles, easel, live, operator)
    routes = [*operator.routes, *([live.route] if live else [])]
    _, _, share_url = page.launch(
        server_name=options.host, server_port=options.port, share=options.share,
        max_file_size=options.max_upload, ssr_mode=False, theme=theme(), css=CSS, head=head(),
        footer_links=["api", "settings"], allowed_paths=[str(EXAMPLE), str(OPENING)],
        prevent_thread_lock=True, auth=options.auth, root_path=options.root_path,
        app_kwargs={"routes": routes, "middleware": operator.middleware},
        state_session_capacity=SESSIONS, max_threads=THREADS,
    )  # fmt: skip
    threading.Thread(target=easel.warm_up, args=(styles,), name="warm-up").start()
    if options.share and not share_url:
        log.warning("No public link: gradio's share server cannot be reached from here. "
                    "The page is served on this machine only.")  # fmt: skip
    try:
        page.block_thread()
    finally:
        page.close()


if __name__ == "__main__":
    main()
