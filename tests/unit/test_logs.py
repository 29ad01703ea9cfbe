"""Where the daemon's messages go, and how they look."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voicenode import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("voicenode")
    before = root.handlers[:], root.level, ours.level
    root.handlers = []  # so that those of the test runner are not closed
    yield
    root.handlers, level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def logged(path: Path, level: str) -> list[str]:
    with path.open("w") as stream:
        logs.configure(level, stream)
        for name in ("voicenode.app", "library"):
            logging.getLogger(name).debug("detail")
            logging.getLogger(name).warning("trouble")
    return path.read_text().splitlines()


def test_each_line_has_its_time(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", "info")
    assert [line.split(maxsplit=2)[2] for line in lines] == [
        "WARNING voicenode.app: trouble",
        "WARNING library: trouble",
    ]


def test_the_journal_puts_the_time_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").touch()
    status = (tmp_path / "log").stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert logged(tmp_path / "log", "info")[0] == "WARNING voicenode.app: trouble"


def test_the_journal_of_a_terminal_s_parent_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = Path("/").stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert logged(tmp_path / "log", "info")[0] != "WARNING voicenode.app: trouble"


def test_debugging_is_about_the_node_and_not_its_libraries(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", "debug")
    assert sum("DEBUG" in line for line in lines) == 1
    assert "voicenode.app: detail" in lines[0]


def test_only_what_is_important_enough_is_logged(tmp_path: Path) -> None:
    assert logged(tmp_path / "log", "error") == []
