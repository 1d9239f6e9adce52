# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""What is on the page, and where."""

from dataclasses import dataclass

import gradio as gr
import pandas as pd

from stylevid.export import export_loop, export_vertical
from stylevid.styles import Style

from .gallery import choices, pictures
from .hub_box import add_hub_box
from .report import OWN
from .stage import OPENING_STYLE, card_html, opening_html

SIZES = {"the video's own": None, "360 px": 360, "640 px": 640, "960 px": 960, "1280 px": 1280}
BRUSHES = {"grows with the picture": None, "fine": 1.0, "medium": 1.5, "large": 2.0, "broad": 3.0}
WHOLE = "the whole video"
EXPORTS = {
    "a loop (GIF)": (export_loop, "loop.gif"),
    "upright for a phone": (export_vertical, "upright.mp4"),
}
STILLS, MOTION = ["Video | painted", "Without | with temporal consistency"]
QUICK, FINE = "Quick", "Fine: learns your video first"
COLORS = {"off": "#ea580c", "on": "#6366f1", OWN: "#8b95a5"}  # on white and in the dark
HELLO = "<p>Drop a video, or press <b>Try the example</b>, and see it in every style.</p>"


@dataclass(frozen=True)
class Choices:
    """The left side: what the visitor brings and chooses."""

    video: gr.Video
    example: gr.Button
    gallery: gr.Gallery
    style: gr.Dropdown
    temporal: gr.Checkbox
    strength: gr.Slider
    keep_colors: gr.Checkbox
    size: gr.Dropdown
    brush: gr.Dropdown
    start: gr.Number
    end: gr.Number
    second: gr.Dropdown
    mix: gr.Slider
    way: gr.Radio
    learn_s: gr.Slider
    picture: gr.Image
    paint: gr.Button
    stop: gr.Button


@dataclass(frozen=True)
class Outcomes:
    """The right side: what comes of it."""

    stage: gr.HTML
    scrub: gr.Slider
    card: gr.HTML
    status: gr.HTML
    flicker: gr.LinePlot
    newest: gr.Image
    result: gr.Video
    download: gr.DownloadButton
    keep: gr.DownloadButton
    form: gr.Radio
    compare: gr.Group
    view: gr.Radio
    before_after: gr.ImageSlider
    both: gr.Video
    both_note: gr.HTML
    moment: gr.Slider


def place_choices(
    styles: list[Style], guests: gr.State, *, has_example: bool, bring: bool, learn_s: float
) -> Choices:
    """The parts of the left side, one below the other.

    Args:
        guests: the styles that the visitor brought.
        bring: whether there is a way to bring some.
        learn_s: the most seconds that a visitor may have it learn; 0 for none.
    """
    with gr.Row(elem_classes="step"):
        gr.Markdown("## 1 Your video")
        example = gr.Button("Try the example", size="sm", visible=has_example, scale=0,
                            min_width=150)  # fmt: skip
    video = gr.Video(label="Your video", show_label=False, elem_id="video",
                     sources=["upload", "webcam"], height=140)  # fmt: skip
    gr.Markdown("## 2 A style", elem_classes="step")
    first = first_style(styles)
    gallery = gr.Gallery(
        pictures(styles), label="Styles", show_label=False, columns=6, format="jpeg",
        height="auto", object_fit="cover", allow_preview=False, buttons=[],
        interactive=False, selected_index=styles.index(first) if first else None,
        elem_id="styles",
    )  # fmt: skip
    style = gr.Dropdown(choices(styles), value=first and first.slug, label="Chosen style",
                        show_label=False, elem_id="style")  # fmt: skip
    with gr.Row(elem_id="go"):
        temporal = gr.Checkbox(
            True, label="Temporal consistency", elem_id="temporal",
            info="Paint sticks to things; no flicker.",
        )  # fmt: skip
        paint = gr.Button("Paint it", variant="primary", elem_id="paint")
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
    with gr.Accordion("Learn it first: finer, or your own painting", open=False,
                      visible=learn_s > 0, elem_id="own"):  # fmt: skip
        way = gr.Radio([QUICK, FINE], value=QUICK, label="How", elem_id="way",
                       info="Fine paints richer and steadier.")  # fmt: skip
        picture = gr.Image(
            label="Any picture: it is learned while you watch", type="filepath", height=200,
            sources=["upload", "clipboard"], elem_id="picture",
        )  # fmt: skip
        seconds = gr.Slider(5, max(learn_s, 5), min(120, max(learn_s, 5)), step=5, visible=False,
                            label="Seconds to learn", elem_id="learn-seconds")  # fmt: skip
    if bring:
        add_hub_box(styles, guests, gallery, style)
    gr.on(
        [way.change, picture.change],
        lambda way, picture: gr.Slider(visible=way == FINE or picture is not None),
        [way, picture], seconds, queue=False, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    with gr.Accordion("Advanced", open=False):
        strength = gr.Slider(0, 1, 1, step=0.05, label="Style strength")
        keep_colors = gr.Checkbox(False, label="Keep original colors")
        size = gr.Dropdown(list(SIZES), value="640 px", label="Longest side")
        brush = gr.Dropdown(
            list(BRUSHES), value=next(iter(BRUSHES)), label="Brush", elem_id="brush"
        )
        with gr.Row():
            start = gr.Number(0, label="From, seconds", minimum=0, elem_id="from")
            end = gr.Number(None, label="To, seconds", minimum=0, elem_id="to",
                            placeholder="the end")  # fmt: skip
        second = gr.Dropdown([("none", None), *choices(styles)], value=None,
                             label="Mix with a second style", elem_id="second")  # fmt: skip
        mix = gr.Slider(0, 1, 0.5, step=0.05, label="Share of the second style", elem_id="mix")
        guests.change(
            lambda guests: gr.Dropdown([("none", None), *choices([*styles, *guests])]), guests,
            second, queue=False, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
    return Choices(video, example, gallery, style, temporal, strength, keep_colors, size, brush,
                   start, end, second, mix, way, seconds, picture, paint, stop)  # fmt: skip


def place_outcomes(styles: list[Style]) -> Outcomes:
    """The parts of the right side, most of them out of sight until there is something to show."""
    stage = gr.HTML(opening_html(), elem_id="stage")
    newest = gr.Image(label="Newest frame", visible=False, elem_id="newest", buttons=[])
    result = gr.Video(label="Painted", interactive=False, visible=False,
                      elem_id="result", buttons=[])  # fmt: skip
    status = gr.HTML(HELLO, elem_id="status")
    download = gr.DownloadButton("Download", visible=False, elem_id="download")
    keep = gr.DownloadButton("Keep the style", visible=False, elem_id="keep")
    scrub = gr.Slider(0, 100, 30, step=1, label="Moment to try styles on, % of the clip",
                      visible=False, elem_id="scrub")  # fmt: skip
    card = gr.HTML(card_html(first_style(styles)), elem_id="card")
    form = gr.Radio([WHOLE, *EXPORTS], value=WHOLE, label="Download as", visible=False,
                    elem_id="form")  # fmt: skip
    flicker = gr.LinePlot(
        visible=False, x="seconds", y="flicker", color="of", color_title="Temporal consistency",
        color_map=COLORS, height=220, show_label=False, buttons=[], elem_id="flicker-plot",
    )  # fmt: skip
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
    return Outcomes(stage, scrub, card, status, flicker, newest, result, download, keep, form,
                    compare, view, before_after, both, both_note, moment)  # fmt: skip


def first_style(styles: list[Style]) -> Style | None:
    """The style that is chosen when the page opens: that of the clip it opens with, unless the
    operator's own come first."""
    first = styles[0] if styles else None
    if first is None or first.origin != "bundled":
        return first
    return next((style for style in styles if style.slug == OPENING_STYLE), first)


def plot(table: pd.DataFrame | None) -> gr.LinePlot:
    """The plot of a table of `report.flicker_table`; out of sight when there is none."""
    if table is None:
        return gr.LinePlot(visible=False)
    return gr.LinePlot(table, y_lim=[0, 1.1 * table["flicker"].max() or 1], visible=True)
