"""Logging of the daemon: to stderr, as the journal, a person or a program wants to read it."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO

from voicenode.report import text_log

if TYPE_CHECKING:
    from collections.abc import Mapping

_MESSAGE = "%(levelname)s %(name)s: %(message)s"
_PRIORITIES: Mapping[int, int] = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6}
"""As sd-daemon(3) has them; everything else is debugging, 7."""


def configure(
    level: str,
    style: Literal["auto", "plain", "json"] = "auto",
    stream: TextIO | None = None,
    *,
    text: bool = False,
) -> None:
    """Log what is at least as important as `level`, such as "info", to `stream`, by default stderr.

    Libraries are never asked for their debugging: it is not the node's. With `text`, what is spoken is logged
    as well.
    """
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = _handler(style, stream)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("voicenode").setLevel(number)
    text_log.setLevel(logging.INFO if text else logging.CRITICAL)


def _handler(style: str, stream: TextIO) -> logging.Handler:
    if style == "auto" and stream.isatty():
        return _for_people(stream)
    handler = logging.StreamHandler(stream)
    if style == "json":
        handler.setFormatter(_Json())
    elif _is_journal(stream):
        handler.setFormatter(_Journal(_MESSAGE))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {_MESSAGE}"))
    return handler


def _for_people(stream: TextIO) -> logging.Handler:
    """Colour, and lines that wrap below themselves."""
    from rich.console import Console  # noqa: PLC0415 - a service does without
    from rich.logging import RichHandler  # noqa: PLC0415 - likewise

    console = Console(file=stream)
    handler = RichHandler(console=console, show_path=False, omit_repeated_times=False, log_time_format="%X")
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler


class _Json(logging.Formatter):
    """One object a line, its time in seconds since 1970."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class _Journal(logging.Formatter):
    """Without the time, which the journal puts itself, but with the priority, by which it filters."""

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{_PRIORITIES.get(record.levelno, 7)}>"
        return mark + super().format(record).replace("\n", f"\n{mark}")


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream leads to the journal (systemd.exec(5)).

    The variable alone does not tell: whatever a service starts inherits it, terminals included.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream that is no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
