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

SIZES = {"the video's own": None, "360 px": 360, "640 px": 640, "960 px": 960, "1280 px": 1280}
BRUSHES = {"grows with the picture": None, "fine": 1.0, "medium": 1.5, "large": 2.0, "broad": 3.0}
WHOLE = "the whole video"
EXPORTS = {
    "a loop (GIF)": (export_loop, "loop.gif"),
    "upright for a phone": (export_vertical, "upright.mp4"),
}
STILLS, MOTION = ["Video | painted", "Without | with temporal consistency"]
COLORS = {"off": "#ea580c", "on": "#6366f1", OWN: "#8b95a5"}  # on white and in the dark
HELLO = "<p>The painted video will appear here. No video at hand? Press <b>Try the example</b>.</p>"


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
    paint: gr.Button
    stop: gr.Button


@dataclass(frozen=True)
class Outcomes:
    """The right side: what comes of it."""

    status: gr.HTML
    flicker: gr.LinePlot
    newest: gr.Image
    result: gr.Video
    download: gr.DownloadButton
    form: gr.Radio
    compare: gr.Group
    view: gr.Radio
    before_after: gr.ImageSlider
    both: gr.Video
    both_note: gr.HTML
    moment: gr.Slider


def place_choices(
    styles: list[Style], guests: gr.State, *, has_example: bool, bring: bool
) -> Choices:
    """The parts of the left side, one below the other.

    Args:
        guests: the styles that the visitor brought.
        bring: whether there is a way to bring some.
    """
    gr.Markdown("### 1 Your video", elem_classes="step")
    video = gr.Video(label="Drop, browse or record a video", elem_id="video",
                     sources=["upload", "webcam"], height=290)  # fmt: skip
    example = gr.Button("Try the example", size="sm", visible=has_example)
    gr.Markdown("### 2 A style", elem_classes="step")
    gallery = gr.Gallery(
        pictures(styles), label="Styles", show_label=False, columns=3,
        height="auto", object_fit="cover", allow_preview=False, buttons=[],
        interactive=False, selected_index=0 if styles else None, elem_id="styles",
    )  # fmt: skip
    first = styles[0].slug if styles else None
    style = gr.Dropdown(choices(styles), value=first, label="Chosen style", elem_id="style")
    if bring:
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
        with gr.Row():
            start = gr.Number(0, label="From, seconds", minimum=0, elem_id="from")
            end = gr.Number(None, label="To, seconds", minimum=0, elem_id="to",
                            placeholder="the end")  # fmt: skip
    paint = gr.Button("Paint it", variant="primary", elem_id="paint")
    stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
    return Choices(
        video,
        example,
        gallery,
        style,
        temporal,
        strength,
        keep_colors,
        size,
        brush,
        start,
        end,
        paint,
        stop,
    )


def place_outcomes() -> Outcomes:
    """The parts of the right side, most of them out of sight until there is something to show."""
    status = gr.HTML(HELLO, elem_id="status")
    flicker = gr.LinePlot(
        visible=False, x="seconds", y="flicker", color="of", color_title="Temporal consistency",
        color_map=COLORS, height=220, show_label=False, buttons=[], elem_id="flicker-plot",
    )  # fmt: skip
    newest = gr.Image(label="Newest frame", visible=False, elem_id="newest", buttons=[])
    result = gr.Video(label="Painted", interactive=False, visible=False,
                      elem_id="result", buttons=[])  # fmt: skip
    download = gr.DownloadButton("Download", visible=False, elem_id="download")
    form = gr.Radio([WHOLE, *EXPORTS], value=WHOLE, label="Download as", visible=False,
                    elem_id="form")  # fmt: skip
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
    return Outcomes(
        status,
        flicker,
        newest,
        result,
        download,
        form,
        compare,
        view,
        before_after,
        both,
        both_note,
        moment,
    )


def plot(table: pd.DataFrame | None) -> gr.LinePlot:
    """The plot of a table of `report.flicker_table`; out of sight when there is none."""
    if table is None:
        return gr.LinePlot(visible=False)
    return gr.LinePlot(table, y_lim=[0, 1.1 * table["flicker"].max() or 1], visible=True)
