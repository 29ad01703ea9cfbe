"""Logging of the daemon: to stderr, as the journal or a person wants to read it."""

import logging
import os
import sys
from typing import TextIO

_MESSAGE = "%(levelname)s %(name)s: %(message)s"


def configure(level: str, stream: TextIO | None = None) -> None:
    """Log what is at least as important as `level`, such as "info", to `stream`, by default stderr.

    Libraries are never asked for their debugging: it is not the node's.
    """
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(
        level=max(number, logging.INFO),
        format=_MESSAGE if _is_journal(stream) else f"%(asctime)s {_MESSAGE}",
        stream=stream,
        force=True,
    )
    logging.getLogger("voicenode").setLevel(number)


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream leads to the journal, which puts its own time beside each line (systemd.exec(5)).

    The variable alone does not tell: whatever a service starts inherits it, terminals included.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream that is no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
