"""What a benchmark found: rows of ours against the peer's, as a table and as JSON."""

from __future__ import annotations

import json
import operator
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

_HELD = {True: "yes", False: "**no**", None: ""}
_COMPARISONS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: ours, the peer's in the same run, and what is to be reached."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    goal: str = ""
    """`SUBJECT <= NUMBER` or `SUBJECT >= NUMBER`; SUBJECT is `ours`, `ratio` (ours / peer) or `over peer`."""

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if not self.goal:
            return None
        subject, comparison, number = self.goal.rsplit(" ", 2)
        over = None if self.peer is None else self.ours - self.peer
        value = {"ours": self.ours, "ratio": self.ratio, "over peer": over}[subject]
        return value is not None and bool(_COMPARISONS[comparison](value, float(number)))

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "ratio": self.ratio,
            "unit": self.unit,
            "goal": self.goal,
            "holds": self.holds,
        }


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title=f"{machine()}, {datetime.now(UTC):%Y-%m-%d}")
    table.add_column("what")
    for heading in ("ours", "peer", "ratio"):
        table.add_column(heading, justify="right")
    for heading in ("unit", "goal", "holds"):
        table.add_column(heading)
    for row in rows:
        held = _HELD[row.holds]
        table.add_row(
            row.name, _number(row.ours), _number(row.peer), _number(row.ratio), row.unit, row.goal, held
        )
    Console(width=140).print(table)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Keep the result as JSON, and as a table in markdown beside it."""
    path.with_suffix(".md").write_text(_markdown(path.stem, rows))
    document = {
        "machine": machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": {name: version(name) for name in ("voicenode", "wyoming", "paho-mqtt", "espeakng-loader")}
        | {"python": platform.python_version()},
        "rows": [row.document() for row in rows],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def machine() -> str:
    """Processor, cores and memory, as one line."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model or platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


def _markdown(name: str, rows: Sequence[Row]) -> str:
    """The table, below the picture."""
    lines = [
        f"# {name}",
        "",
        f"{machine()}, {datetime.now(UTC):%Y-%m-%d}; [how to read it](README.md#how-to-read-a-result).",
        "",
        f"![The same as a picture]({name}.svg)",
        "",
        "| What | Ours | Peer | Ratio | Unit | Goal | Holds |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {_number(row.ours)} | {_number(row.peer)} | {_number(row.ratio)} | {row.unit} | "
        f"{row.goal} | {_HELD[row.holds]} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - digits
