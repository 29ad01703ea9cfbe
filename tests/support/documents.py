"""The project's Markdown, taken apart: its fenced blocks, tables, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; its kind is all that stands behind the opening fence."""

    path: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    """The blocks of some kinds, document by document and in their order; without kinds, of all."""
    return [block for path in DOCUMENTS for block in _blocks(path) if not kinds or block.kind in kinds]


def links(path: Path) -> list[str]:
    return _LINK.findall(_prose(path))


def anchors(path: Path) -> set[str]:
    """What a link may name in a document, made of its headings as GitHub does."""
    headings = (heading for _, heading in _HEADING.findall(_prose(path)))
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def table(path: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, code marks removed."""
    _, _, section = path.read_text().partition(f"# {heading}\n")
    assert section, f"{path} has no heading {heading!r}"
    rows = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert rows, f"there is no table under {heading!r} in {path}"
    lines = rows[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        yield Block(path, line, fence[1], fence[2])


def _prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text())
