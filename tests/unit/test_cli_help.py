"""What every command says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from voicenode.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator


def paths(command: Any, *above: str) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 (typer's own)
    """A command and all that are under it."""
    yield above
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, *above, name)


@pytest.mark.parametrize("path", [*paths(get_command(app))], ids=" ".join)
def test_help_has_examples_and_is_written_for_people_at_a_terminal(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="voicenode")
    assert result.exit_code == 0
    help_text, _, commands = result.output.partition("Commands:")
    assert "Examples:\n    " in result.output
    assert "voicenode" in result.output.partition("Examples:")[2]
    assert max(map(len, result.output.splitlines())) <= 100
    assert "..." not in commands  # a first sentence that is cut
    assert "list[" not in help_text
    assert [
        line for line in help_text.splitlines() if line.lstrip().startswith("-") and "<str>" in line
    ] == []
