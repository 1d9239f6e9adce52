"""What the page says while it works and when it is done, as HTML."""

import math
from html import escape

import pandas as pd

from stylevid.metrics import NOTHING_MEASURED, Flicker
from stylevid.pipeline import Progress, Result

from .learning import Sketch
from .runs import Waiting

OWN = "the video's own"
APOLOGY = "Something went wrong on our side. Please try again, or try another video."


def lines_html(sentences: list[str]) -> str:
    """A paragraph for each."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def error_html(error: object) -> str:
    return f"<p><b>{escape(str(error))}</b></p>"


def status_html(text: str, fraction: float) -> str:
    """A bar, 0 to 1, above a text that is HTML."""
    return f"<progress max='1' value='{fraction:.4f}'></progress><p>{text}</p>"


def waiting_html(waiting: Waiting) -> str:
    """What is ahead, and about how long."""
    about = f", about {waiting.about_s:.0f} s" if math.isfinite(waiting.about_s) else ""
    return status_html(f"Waiting for your turn: {waiting.ahead} ahead of you{about}.", 0)


def progress_html(progress: Progress) -> str:
    """How far the painting is."""
    left = "" if progress.left_s is None else f", about {progress.left_s:.0f} s left"
    count = f"{progress.frames} frame{'' if progress.frames == 1 else 's'}"
    text = f"{count} done, {progress.fps:.1f} frames a second{left}"
    return status_html(text, progress.fraction)


def sketch_html(sketch: Sketch) -> str:
    """How far the learning is."""
    text = f"Learning, about {sketch.left_s:.0f} s left. <b>Stop</b> paints with what it knows."
    return status_html(text, sketch.fraction)


def facts_html(result: Result) -> str:
    """What came out, and how steady it is."""
    facts = (
        f"{result.width}x{result.height}, {result.frames} frames in {result.seconds:.1f} s, "
        f"{result.fps:.1f} frames a second on {escape(result.device)}, "
        f"{'with its sound' if result.has_audio else 'the video has no sound'}."
    )
    return f"<p id='facts'>{facts}</p>{flicker_html(result.flicker)}"


def flicker_html(flicker: Flicker | None) -> str:
    """The flicker in words, and what the numbers are in small print."""
    if flicker is None or not flicker.pairs:
        return f"<p id='flicker'>{NOTHING_MEASURED}</p>"
    pairs = "1 pair" if flicker.pairs == 1 else f"{flicker.pairs} pairs"
    note = f"Flicker is the warping error &times; 1000, the mean of {pairs} of neighboring frames."
    if flicker.cuts:
        note += f" {flicker.cuts} more, across scene cuts, are left out."
    return f"<p id='flicker'>{escape(flicker.in_words())}</p><p class='small'>{note}</p>"


def flicker_table(flicker: Flicker | None) -> pd.DataFrame | None:
    """What is plotted, a row for each number: seconds, flicker, and of what; None when there are
    not two moments to join by a line."""
    rows = [
        (pair.time_s, 1000 * error, name)
        for pair in (flicker.series if flicker else ())
        for name, error in {**pair.errors, OWN: pair.floor}.items()
        if math.isfinite(pair.time_s) and math.isfinite(error)
    ]
    if len({time_s for time_s, *_ in rows}) < 2:
        return None
    return pd.DataFrame(rows, columns=["seconds", "flicker", "of"])
