"""The card says what the records say, for the Hub and for a reader, whatever they say."""

import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from stylevid.hub import HubName
from stylevid.styles import Style
from train.model_card import build_card, build_space, contact_sheet

HOSTILE = (
    "<script>alert(1)</script> [click](https://evil.example) ![x](https://evil.example/x.png) "
    "`code` **bold** | cell | --- \n\n# heading\n---\nlicense: other\n---\n</details></pre>"
    "<img src=x onerror=alert(1)> \u202e &lt;b&gt; $$x$$ @everyone"
)


def make_style(slug: str = "wave", **fields: Any) -> Style:
    told: dict[str, Any] = {
        "title": "A Square", "artist": "Nobody", "year": "2026", "medium": "code",
        "licence": "Weights: MIT. Painting: public domain.", "source": "made by the tests",
        "sha256": "0" * 64, "network": {"width": 4, "blocks": 1},
    }  # fmt: skip
    return Style(slug=slug, **{**told, **fields})


def card(*styles: Style) -> str:
    return build_card("alice/styles", styles, {style.slug: 834_104 for style in styles})


class Elements(HTMLParser):
    """The elements of a card, each with its attributes but for texts that nobody acts on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        markdown_it = pytest.importorskip("markdown_it")
        body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
        page = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [attr for attr in attrs if attr[0] != "alt"]))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Weights: MIT. Painting: public domain by age (died 1890).", "mit"),
        ("CC0", "cc0-1.0"),
        ("Weights: CC BY-SA 4.0; painting: CC0", "cc-by-sa-4.0"),
        ("Apache-2.0 (see the file)", "apache-2.0"),
        ("All rights reserved", "other"),
        ("MIT\nlicense: gpl", "other"),
    ],
)
def test_licence_is_named_if_the_hub_knows_it(words: str, name: str) -> None:
    known = ModelCard(card(make_style(licence=words))).data.to_dict()
    assert (known["license"], known["library_name"]) == (name, "stylevid")
    if name == "other":
        assert known["license_link"].startswith("https://huggingface.co/alice/styles#")


def test_styles_of_different_licences_are_licensed_each_for_itself() -> None:
    a, b = make_style("a"), make_style("b", licence="CC0")
    assert card(a, b) == card(b, a)
    known = ModelCard(card(a, b)).data.to_dict()
    assert (known["license"], known["license_name"]) == ("other", "see-each-style")


def test_each_style_has_a_row_with_its_numbers() -> None:
    clips = {
        "x.mp4": {"floor": 0.0004, "off": 0.003, "on": 0.001, "sharpness": 0.9},
        "y.mp4": {"floor": 0.0006, "off": 0.005, "on": 0.002, "sharpness": 1.0},
    }
    measured = make_style("sea", metrics={"how": "by hand", "clips": clips})
    text = card(measured, make_style("wave"))
    rows = {slug: row for slug in ("sea", "wave")
            for row in text.splitlines() if f"`{slug}`<br>" in row}  # fmt: skip
    assert "4.0 → **1.5**<br>clips' own: 0.5" in rows["sea"]
    assert "95&nbsp;%" in rows["sea"] and "0.83&nbsp;MB<br>MIT" in rows["sea"]
    assert "not measured" in rows["wave"] and "A Square" in rows["wave"]
    assert "by hand; 2 clips" in text


@pytest.mark.parametrize("clips", [3, {"x": {"off": "many"}}, {"x": {"off": 1}, "y": {}}])
def test_odd_metrics_count_as_none(clips: object) -> None:
    assert "not measured" in card(make_style(metrics={"clips": clips}))


def test_training_is_told_with_all_its_commands() -> None:
    training = {
        "command": "python -m train --style a.jpg " + "--width 64 " * 20,
        "warm_started_from": ["python -m train --first", " ", None],
        "data": "3 photographs",
        "device": "a lamp",
    }
    text = card(make_style(training=training))
    code = text[text.index("<pre>") : text.index("</pre>")]
    assert code.replace(" \\\n    ", " ").count("--width 64") == 20
    assert "--first" in code and "\n\n" not in code
    assert max(map(len, code.splitlines())) < 100
    assert "data: 3 photographs<br>device: a lamp" in text
    assert "not recorded" in card(make_style())


def test_source_in_a_repository_is_a_link() -> None:
    text = card(make_style(source="github:someone/art@07c4b8299f8f:a b/night.jpg"))
    assert "(https://github.com/someone/art/blob/07c4b8299f8f/a%20b/night.jpg)" in text


def test_text_of_a_record_stays_text() -> None:
    texts = dict.fromkeys(("title", "artist", "year", "medium", "licence", "source"), HOSTILE)
    told = {"command": HOSTILE, "data": HOSTILE, "device": [HOSTILE]}
    told["warm_started_from"] = [HOSTILE, "\n\n# x"]
    clips = {"x": {"off": 1.0}}
    hostile = make_style(**texts, training=told, metrics={"how": HOSTILE, "clips": clips})
    told = dict.fromkeys(("command", "data", "device"), "x")
    plain = make_style(training=told, metrics={"how": "x", "clips": clips})
    assert Elements(card(hostile)).found == Elements(card(plain)).found
    front = ModelCard(card(hostile)).data.to_dict()
    assert front["license"] == "other" and front["license_name"] == "see-each-style"


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (8, 4, 2)])
def test_contact_sheet_tiles_all_previews(count: int, columns: int, rows: int) -> None:
    colors = [(40 + 17 * i, 200 - 13 * i, 90) for i in range(count)]
    previews = [Image.new("RGB", (384, 384), color) for color in colors]
    made = contact_sheet(previews)
    with Image.open(io.BytesIO(made)) as sheet:
        assert sheet.size == (columns * 328 - 8, rows * 328 - 8)
        for i, color in enumerate(colors):
            shown = sheet.getpixel((i % columns * 328 + 160, i // columns * 328 + 160))
            assert isinstance(shown, tuple)
            assert all(abs(a - b) < 6 for a, b in zip(shown, color, strict=True))
    assert made == contact_sheet(previews)


def test_space_card_says_how_to_run_the_page() -> None:
    files = build_space(HubName("alice/styles", "v2"), "alice/123", "6.31.0")
    known = ModelCard(files["README.md"].decode()).data.to_dict()
    assert (known["sdk"], known["sdk_version"]) == ("gradio", "6.31.0")
    assert known["app_file"] == "space.py"
    assert known["models"] == ["alice/styles"] and known["title"] == "123"
    assert len(known["short_description"]) <= 60
