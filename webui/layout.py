# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""What is on the page, and where."""

import gradio as gr
import pandas as pd

from stylevid.export import export_loop, export_vertical
from stylevid.styles import Style

from . import QUIET
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


class Choices:
    """The left side, one below the other: what the visitor brings and chooses."""

    def __init__(
        self, styles: list[Style], guests: gr.State, *, has_example: bool, bring: bool,
        learn_s: float,
    ) -> None:  # fmt: skip
        """
        Args:
            guests: the styles that the visitor brought.
            bring: whether there is a way to bring some.
            learn_s: the most seconds that a visitor may have it learn; 0 for none.
        """
        with gr.Row(elem_classes="step"):
            gr.Markdown("## 1 Your video")
            self.example = gr.Button("Try the example", size="sm", visible=has_example, scale=0,
                                     min_width=150)  # fmt: skip
        self.video = gr.Video(label="Your video", show_label=False, elem_id="video",
                              sources=["upload", "webcam"], height=140)  # fmt: skip
        gr.Markdown("## 2 A style", elem_classes="step")
        first = first_style(styles)
        self.gallery = gr.Gallery(
            pictures(styles), label="Styles", show_label=False, columns=6, format="jpeg",
            height="auto", object_fit="cover", allow_preview=False, buttons=[],
            interactive=False, selected_index=styles.index(first) if first else None,
            elem_id="styles",
        )  # fmt: skip
        self.style = gr.Dropdown(choices(styles), value=first and first.slug, label="Chosen style",
                                 show_label=False, elem_id="style")  # fmt: skip
        with gr.Row(elem_id="go"):
            self.temporal = gr.Checkbox(True, label="Temporal consistency", elem_id="temporal",
                                        info="Paint sticks to things; no flicker.")  # fmt: skip
            self.paint = gr.Button("Paint it", variant="primary", elem_id="paint")
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
        with gr.Accordion("Learn it first: finer, or your own painting", open=False,
                          visible=learn_s > 0, elem_id="own"):  # fmt: skip
            self.way = gr.Radio([QUICK, FINE], value=QUICK, label="How", elem_id="way",
                                info="Fine paints richer and steadier.")  # fmt: skip
            self.picture = gr.Image(
                label="Any picture: it is learned while you watch", type="filepath", height=200,
                image_mode=None,  # the file as it is: what is transparent, and its size, are ours
                sources=["upload", "clipboard"], elem_id="picture",
            )  # fmt: skip
            most_s = max(learn_s, 5)
            self.learn_s = gr.Slider(5, most_s, min(120, most_s), step=5, visible=False,
                                     label="Seconds to learn", elem_id="learn-seconds")  # fmt: skip
        if bring:
            add_hub_box(styles, guests, self.gallery, self.style)
        gr.on(
            [self.way.change, self.picture.change],
            lambda way, picture: gr.Slider(visible=way == FINE or picture is not None),
            [self.way, self.picture], self.learn_s, queue=False, **QUIET,
        )  # fmt: skip
        with gr.Accordion("Advanced", open=False):
            self.strength = gr.Slider(0, 1, 1, step=0.05, label="Style strength")
            self.keep_colors = gr.Checkbox(False, label="Keep original colors")
            self.size = gr.Dropdown(list(SIZES), value="640 px", label="Longest side")
            brushes = list(BRUSHES)
            self.brush = gr.Dropdown(brushes, value=brushes[0], label="Brush", elem_id="brush")
            with gr.Row():
                self.start = gr.Number(0, label="From, seconds", minimum=0, elem_id="from")
                self.end = gr.Number(None, label="To, seconds", minimum=0, elem_id="to",
                                     placeholder="the end")  # fmt: skip
            self.second = gr.Dropdown(
                [("none", None), *choices(styles)], value=None, label="Mix with a second style",
                elem_id="second",
            )  # fmt: skip
            self.mix = gr.Slider(0, 1, 0.5, step=0.05, label="Share of the second style",
                                 elem_id="mix")  # fmt: skip
            guests.change(
                lambda guests: gr.Dropdown([("none", None), *choices([*styles, *guests])]),
                guests, self.second, queue=False, **QUIET,
            )  # fmt: skip


class Outcomes:
    """The right side: what comes of it, most of it out of sight until there is something."""

    def __init__(self, styles: list[Style]) -> None:
        self.stage = gr.HTML(opening_html(), elem_id="stage")
        self.newest = gr.HTML(visible=False, elem_id="newest")
        self.result = gr.Video(label="Painted", interactive=False, visible=False,
                               elem_id="result", buttons=[])  # fmt: skip
        self.status = gr.HTML(HELLO, elem_id="status")
        self.download = gr.DownloadButton("Download", visible=False, elem_id="download")
        self.keep = gr.DownloadButton("Keep the style", visible=False, elem_id="keep")
        self.scrub = gr.Slider(0, 100, 30, step=1, label="Moment to try styles on, % of the clip",
                               visible=False, elem_id="scrub")  # fmt: skip
        self.card = gr.HTML(card_html(first_style(styles)), elem_id="card")
        self.form = gr.Radio([WHOLE, *EXPORTS], value=WHOLE, label="Download as", visible=False,
                             elem_id="form")  # fmt: skip
        self.flicker = gr.LinePlot(
            visible=False, x="seconds", y="flicker", color="of", show_label=False, buttons=[],
            color_title="Temporal consistency", color_map=COLORS, height=220,
            elem_id="flicker-plot",
        )  # fmt: skip
        with gr.Group(visible=False) as self.compare:
            self.view = gr.Radio([STILLS, MOTION], value=STILLS, label="Compare", elem_id="view")
            self.before_after = gr.ImageSlider(label="Before and after", elem_id="compare",
                                               max_height=420, buttons=[])  # fmt: skip
            self.both = gr.Video(
                label="Without (left) and with temporal consistency (right)",
                show_label=False, interactive=False, visible=False,
                autoplay=True, loop=True, elem_id="both", buttons=[],
            )  # fmt: skip
            self.both_note = gr.HTML(visible=False, elem_id="both-note")
            self.moment = gr.Slider(0, 100, 50, step=1, label="At which moment, % of the clip")


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
