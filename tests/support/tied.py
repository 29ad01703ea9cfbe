"""Runs a program that ends with whoever started it, also where that one is killed.

python tests/support/tied.py <pid of the starter> <program> <argument>...
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tied(command: Sequence[str]) -> list[str]:
    """The command that runs a command so; the thread that starts it is the one whose end counts."""
    return [sys.executable, "-S", "-E", __file__, str(os.getpid()), *command]


def main() -> None:
    """Ask for the signal, which outlives `execv`, and become the program."""
    starter, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(starter):  # else it was gone before
        os.execv(command[0], command)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    main()
