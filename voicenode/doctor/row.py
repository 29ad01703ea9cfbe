"""What the doctor found: one row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WRONG = "wrong"
    ABSENT = "absent"
    """Not there, and nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at."""

    check: str
    """What it is, in a word or two."""
    state: State
    found: str
    advice: str = ""
    """What to do; never empty where the state is wrong."""


def ok(check: str, found: str) -> Row:
    """It is as it should be."""
    return Row(check, State.OK, found)


def wrong(check: str, found: str, advice: str) -> Row:
    """It is not, and its owner must do something."""
    return Row(check, State.WRONG, found, advice)


def absent(check: str, found: str, advice: str = "") -> Row:
    """It is not there; `advice` tells whoever would like to have it."""
    return Row(check, State.ABSENT, found, advice)


def wrong_as_said(check: str, sentence: str) -> Row:
    """The row of an error, whose last clause says what to do."""
    found, _, advice = sentence.rpartition("; ")
    if not found:
        return wrong(check, sentence, "correct that, and run `voicenode doctor` again")
    return wrong(check, found, advice)
