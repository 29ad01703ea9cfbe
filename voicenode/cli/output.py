"""What the commands print: results to stdout, everything else to stderr, and colour only for terminals."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def examples(*lines: tuple[str, str]) -> str:
    """The end of a command's help: what to type and what it does."""
    width = max(len(command) for command, _ in lines)
    shown = (f"  {command:{width}}  # {meaning}" for command, meaning in lines)
    return "\n".join(["\b", "Examples:", *shown])  # the mark that keeps the lines as they are


def error(message: str) -> None:
    """One line on stderr."""
    from rich.text import Text  # noqa: PLC0415 (so that a daemon without errors stays small)

    _console(sys.stderr).print(Text.assemble(("Error:", "bold red"), " ", message), soft_wrap=True)


def note(message: str) -> None:
    """Something to know on stderr, out of the way of results."""
    _console(sys.stderr).print(message, soft_wrap=True, markup=False, highlight=False)


def as_json(value: Any) -> None:  # noqa: ANN401 (any JSON)
    """A result for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()  # a reader that went away shows here and not at the interpreter's exit


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A result for people; in a pipe every row is one line, however long."""
    from rich.table import Table  # noqa: PLC0415 (as in error)
    from rich.text import Text  # noqa: PLC0415 (as in error)

    console = _console(sys.stdout)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=column is columns[0])  # names are for copying
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))  # what strangers call themselves is no markup
    console.print(grid)


@contextmanager
def waiting(message: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, unless `quiet`, while the block runs; what is yielded changes its message."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with _console(sys.stderr).status(message) as status:
        yield status.update


def _console(stream: Any) -> Console:  # noqa: ANN401 (a text stream, or what stands for one)
    from rich.console import Console  # noqa: PLC0415 (as in error)

    return Console(file=stream, width=None if stream.isatty() else 10_000)
