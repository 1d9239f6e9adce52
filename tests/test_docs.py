"""The documents say what is so: their links lead somewhere, their numbers are the records'."""

import re
from pathlib import Path

import pytest

from benchmarks.tables import CATALOG, with_styles
from stylevid import list_styles
from stylevid.styles import Style

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "weights" / "README.md",
             *sorted(ROOT.glob("docs/*.md"))]  # fmt: skip


def anchors(text: str) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path: Path) -> list[str]:
    """The relative links of a document that lead to no file, or to no heading of one."""
    dead: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = path.parent / target if target else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            dead.append(link)
    return dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert dead_links(path) == []


def test_the_numbers_of_the_catalog_are_the_records() -> None:
    document = CATALOG.read_text("utf-8")
    assert with_styles(document, list_styles()) == document, "run python -m benchmarks.tables"


def test_a_style_that_was_not_measured_has_a_row_without_numbers() -> None:
    empty = Style("a", "A", "B", "2026", "code", "CC0", "here", "0" * 64, {})
    clip = {"floor": 0.001, "off": 0.0024, "on": 0.0012, "sharpness": 0.9}
    clip |= {"floor_10": 0.004, "off_10": 0.006, "on_10": 0.005, "style": 0.5, "style_on": 0.6}
    photos = {"style": 0.71, "content": 1.02, "count": 40, "size": 640}
    metrics = {"how": "somehow", "clips": {"c": clip}, "photos": photos}
    full = Style("b", "A", "B", "2026", "code", "CC0", "here", "0" * 64, {}, {}, metrics)
    text = with_styles("x <!-- styles --> y <!-- end of styles --> z", [empty, full])
    assert "| `a` | A, B, 2026 | ? + ? |  |  |  |  |  |  |" in text
    assert "1.0 / 2.4 / 1.2 | 4.0 / 6.0 / 5.0 | 90% | 0.71 | 0.50 / 0.60 | 1.02 |" in text
    assert "- `b`: somehow; 1 clips; photographs 640 px." in text
