"""A benchmark as a picture: how many times less each figure is than the peer's, on a logarithmic scale."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from script.benchmarks.report import Bar, Result, Row

_LABELS, _BARS, _ROW = 430, 290, 22
_TOP = 40
_COLOURS = {True: "#2e8b57", False: "#c0392b", None: "#4a78a8"}


def drawn(title: str, result: Result) -> str:
    """The rows that have a peer, and below them the bars with their limits, as an SVG."""
    ratios = [(row, row.ratio) for row in result.rows if row.ratio]
    times = [max(1 / ratio, 0.01) for _, ratio in ratios]
    widest = max((abs(math.log(value)) for value in times), default=1) or 1
    lines = [
        _bar(place, row, value, widest)
        for place, ((row, _), value) in enumerate(zip(ratios, times, strict=True))
    ]
    below = _TOP + _ROW * len(ratios) + 10
    most = max((bar.value for bar in result.bars), default=0)
    lines += [_limited(below + _TOP + _ROW * place, bar, most) for place, bar in enumerate(result.bars)]
    if result.bars:
        lines.append(_heading(below + 24, "the same task, and the least that it could take (dark)"))
    height = below + (_TOP + _ROW * len(result.bars) + 10 if result.bars else 0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{height}">',
            '<g font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
            _heading(24, f"{title}: times less than the peer"),
            *lines,
            "</g></svg>\n",
        ]
    )


def _heading(top: int, words: str) -> str:
    return f'<text x="10" y="{top}" font-size="16">{escape(words)}</text>'


def _limited(top: int, bar: Bar, most: float) -> str:
    """A bar whose dark part is what it cannot be shorter than."""
    whole, least = (_BARS * part / most for part in (bar.value, bar.limit))
    told = f"{bar.value:.3g} {bar.unit}, at least {bar.limit:.3g}"
    return (
        f'<text x="{_LABELS}" y="{top + 15}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect x="{_LABELS + 10}" y="{top + 3}" width="{whole:.0f}" height="{_ROW - 6}" fill="#9bb8d3"/>'
        f'<rect x="{_LABELS + 10}" y="{top + 3}" width="{least:.0f}" height="{_ROW - 6}" fill="#1f3a5f"/>'
        f'<text x="{_LABELS + 16 + whole:.0f}" y="{top + 15}">{escape(told)}</text>'
    )


def _bar(place: int, row: Row, value: float, widest: float) -> str:
    top = _TOP + _ROW * place
    length = max(1.0, _BARS * abs(math.log(value)) / widest)
    colour = _COLOURS[row.holds] if value >= 1 else "#999999"
    told = f"{value:.2g}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004  (digits)
    return (
        f'<text x="{_LABELS}" y="{top + 15}" text-anchor="end">{escape(row.name)}</text>'
        f'<rect x="{_LABELS + 10}" y="{top + 3}" width="{length:.0f}" height="{_ROW - 6}" fill="{colour}"/>'
        f'<text x="{_LABELS + 16 + length:.0f}" y="{top + 15}">{told}</text>'
    )
