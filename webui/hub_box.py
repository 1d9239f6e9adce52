# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""The folded box through which a visitor brings more styles: of a Hub repo, or of one file."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import gradio as gr

from stylevid import hub
from stylevid.errors import HubError, StylevidError, WeightsError
from stylevid.styles import Style, name_styles

from . import QUIET
from .gallery import choices, pictures
from .report import APOLOGY, error_html, lines_html, status_html

log = logging.getLogger("stylevid.page")

FIRST_NOTE = "<p>They come into the gallery above, for you alone, until you close this page.</p>"
# What one visitor may bring to the page. The weights' size bounds the work for each frame, too.
GUEST_LIMITS = hub.Limits(styles=24, size_bytes=64 << 20, weights_bytes=8 << 20)
GUEST_REPOS, GUEST_FILES = 4, 4
GUESTS_BYTES = 4 << 30  # all visitors together, from the Hub, while the page runs


def add_hub_box(
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
            guests: brought, note: lines_html(told),
            gallery: gr.Gallery(pictures(everything), selected_index=index),
            style: gr.Dropdown(choices(everything), value=list(name_styles(everything))[index]),
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
                    yield {note: status_html(escape(f"{step.doing}…"), step.fraction)}
                else:
                    new = [replace(style, training={}, metrics={}) for style in step.styles]
                    count = "1 style" if len(new) == 1 else f"{len(new)} styles"
                    told = [f"Now in the gallery: {count} of {name}.", *step.warnings[:3]]
                    if len(step.warnings) > 3:
                        told.append(f"{len(step.warnings) - 3} more cannot be used.")
                    yield show([*others, *new], told, new[0])
        except StylevidError as error:
            yield {note: error_html(error)}
        except Exception:
            log.exception("loading %r failed", text)
            yield {note: error_html(APOLOGY)}
        finally:
            received.append(last.received_bytes)

    def add_file(path: str, brought: list[Style]) -> dict:
        """The style of an uploaded file, into this visitor's gallery."""
        upload = Path(path)
        if sum(style.origin == "file" for style in brought) >= GUEST_FILES:
            full = f"You have brought {GUEST_FILES} files, and no more are taken. Reload the page."
            return {note: lines_html([full]), file: None}
        try:
            if upload.stat().st_size > GUEST_LIMITS.weights_bytes:
                limit = GUEST_LIMITS.weights_bytes >> 20
                raise WeightsError(f"{upload.name} is larger than {limit} MB, the limit here.")
            new = hub.open_file(upload)
            others = [style for style in brought if style.full_name != new.full_name]
            return show([*others, new], [f"Now in the gallery: {new.title}."], new) | {file: None}
        except StylevidError as error:
            upload.unlink(missing_ok=True)
            return {note: error_html(error), file: None}

    changed = [guests, note, gallery, style]
    how = {"concurrency_id": "hub", "concurrency_limit": 2} | QUIET
    gr.on([load.click, repo.submit], load_repo, [repo, guests], changed, **how)
    file.upload(add_file, [file, guests], [*changed, file], **how)
