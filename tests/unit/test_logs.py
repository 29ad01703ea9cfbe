"""Where the daemon's messages go, and how they look."""

from __future__ import annotations

import json
import logging
import os
import pty
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from voicenode import logs
from voicenode.report import text_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("voicenode")
    before = root.handlers[:], root.level, ours.level
    root.handlers = []  # so that those of the test runner are not closed
    yield
    text_log.setLevel(logging.CRITICAL)
    root.handlers, level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def logged(path: Path, level: str, style: Literal["auto", "plain", "json"] = "auto") -> list[str]:
    with path.open("w") as stream:
        logs.configure(level, style, stream)
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
    assert logged(tmp_path / "log", "info")[0] == "<4>WARNING voicenode.app: trouble"


def test_the_journal_of_a_terminal_s_parent_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = Path("/").stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert "<4>" not in logged(tmp_path / "log", "info")[0]


def test_debugging_is_about_the_node_and_not_its_libraries(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", "debug")
    assert sum("DEBUG" in line for line in lines) == 1
    assert "voicenode.app: detail" in lines[0]


def test_only_what_is_important_enough_is_logged(tmp_path: Path) -> None:
    assert logged(tmp_path / "log", "error") == []


def test_a_program_gets_an_object_a_line(tmp_path: Path) -> None:
    first, _ = map(json.loads, logged(tmp_path / "log", "info", "json"))
    assert first.pop("time") > 0
    assert first == {"level": "warning", "logger": "voicenode.app", "message": "trouble"}


def test_a_person_gets_colour() -> None:
    reader, writer = pty.openpty()
    with open(writer, "w") as terminal, open(reader, "rb") as screen:  # noqa: PTH123 - descriptors
        logs.configure("info", stream=terminal)
        logging.getLogger("voicenode.app").warning("trouble")
        shown = os.read(screen.fileno(), 1000)
    assert b"WARNING" in shown
    assert b"\x1b[" in shown


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_spoken_is_logged_only_when_the_owner_asks(tmp_path: Path, *, asked: bool) -> None:
    with (tmp_path / "log").open("w") as stream:
        logs.configure("debug", stream=stream, text=asked)
        text_log.info("secret")
    assert ("secret" in (tmp_path / "log").read_text()) is asked
