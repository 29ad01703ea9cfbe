"""`voicenode doctor`: what is as it should be on this machine, what is not, and what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from voicenode.cli.config import ConfigOption  # noqa: TC001 (typer reads it)
from voicenode.cli.output import JsonOption, as_json, waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.doctor.row import Row


def doctor(config: ConfigOption = None, *, for_program: JsonOption = False) -> None:
    """Look for what is wrong on this machine, and tell what to do.

    The node may run or not. The exit status is 0 when nothing is wrong, else 1.
    """
    from voicenode.doctor.examine import examine  # noqa: PLC0415 (other commands do without)
    from voicenode.doctor.row import State  # noqa: PLC0415 (likewise)

    with waiting("Looking at everything", quiet=for_program):
        rows = asyncio.run(examine(config, os.environ))
    well = all(row.state is not State.WRONG for row in rows)
    if for_program:
        as_json({"ok": well, "checks": [asdict(row) for row in rows]})
    else:
        _show(rows)
    if not well:
        raise typer.Exit(1)


def _show(rows: Sequence[Row]) -> None:
    """A table; in a pipe every row is one line."""
    from rich.console import Console  # noqa: PLC0415 (serve does without)
    from rich.table import Table  # noqa: PLC0415 (likewise)
    from rich.text import Text  # noqa: PLC0415 (likewise)

    from voicenode.doctor.row import State  # noqa: PLC0415 (other commands do without)

    utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
    marks = {
        State.OK: Text("✓" if utf8 else "+", "green"),
        State.WRONG: Text("✗" if utf8 else "x", "bold red"),
        State.ABSENT: Text("-", "dim"),
    }
    on_terminal = sys.stdout.isatty()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("")
    grid.add_column("Check", no_wrap=not on_terminal, overflow="fold")
    for title in ("Found", "What to do"):
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(marks[row.state], Text(row.check), Text(_line(row.found)), Text(_line(row.advice)))
    Console(file=sys.stdout, width=None if on_terminal else 10_000).print(grid)


def _line(text: str) -> str:
    """What a library said, as one line."""
    return " ".join(text.split())
