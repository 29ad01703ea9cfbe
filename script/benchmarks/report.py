"""What a benchmark found: rows of ours against the peer's, as a table and as JSON."""

from __future__ import annotations

import json
import operator
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PACKAGES = (
    "voicenode", "wyoming", "paho-mqtt", "espeakng-loader", "torch", "coqui-tts", "transformers", "f5-tts",
)  # fmt: skip
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


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure beside the least that it could be, for the picture."""

    name: str
    value: float
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found."""

    rows: Sequence[Row]
    note: str = ""
    """How it was measured, as far as the table does not tell."""
    rounds: Sequence[Mapping[str, float | str]] = ()
    """The figures of each round, by what they are."""
    bars: Sequence[Bar] = ()

    @property
    def can_be_drawn(self) -> bool:
        """Whether there is anything for a picture."""
        return bool(self.bars) or any(row.peer for row in self.rows)


def show(result: Result) -> None:
    """Print the table, and that of the rounds."""
    console = Console(width=140)
    table = Table(title=f"{machine()}, {datetime.now(UTC):%Y-%m-%d}")
    table.add_column("what")
    for heading in ("ours", "peer", "ratio"):
        table.add_column(heading, justify="right")
    for heading in ("unit", "goal", "holds"):
        table.add_column(heading)
    for row in result.rows:
        held = _HELD[row.holds]
        table.add_row(
            row.name, _number(row.ours), _number(row.peer), _number(row.ratio), row.unit, row.goal, held
        )
    console.print(table)
    if result.rounds:
        rounds = Table(*result.rounds[0], title="each round")
        for one in result.rounds:
            rounds.add_row(*map(_number, one.values()))
        console.print(rounds)


def write(path: Path, result: Result) -> None:
    """Keep the result as JSON, and as a table in markdown beside it."""
    path.with_suffix(".md").write_text(_markdown(path.stem, result))
    document = {
        "machine": machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": dict(_versions()),
        "note": result.note,
        "rows": [row.document() for row in result.rows],
        "rounds": list(result.rounds),
        "bars": [asdict(bar) for bar in result.bars],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def machine() -> str:
    """Processor, cores and memory, as one line."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model or platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


def _versions() -> Iterator[tuple[str, str]]:
    """Of what has a part in the figures and is installed."""
    yield "python", platform.python_version()
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _markdown(name: str, result: Result) -> str:
    """The table, below the picture and above that of the rounds."""
    lines = [
        f"# {name}",
        "",
        f"{machine()}, {datetime.now(UTC):%Y-%m-%d}; [how to read it](README.md#how-to-read-a-result).",
        "",
        *([f"![The same as a picture]({name}.svg)", ""] if result.can_be_drawn else []),
        *([*wrap(result.note, 120), ""] if result.note else []),
        "| What | Ours | Peer | Ratio | Unit | Goal | Holds |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {_number(row.ours)} | {_number(row.peer)} | {_number(row.ratio)} | {row.unit} | "
        f"{row.goal} | {_HELD[row.holds]} |"
        for row in result.rows
    ]
    if result.rounds:
        heads = result.rounds[0]
        lines += ["", "## Each round", "", f"| {' | '.join(heads)} |", "|" + "---:|" * len(heads)]
        lines += [f"| {' | '.join(map(_number, one.values()))} |" for one in result.rounds]
    return "\n".join(lines) + "\n"


def _number(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - digits
