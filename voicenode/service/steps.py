"""What an installation consists of: steps that can say what they do, and do it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from voicenode.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOOTED = Path("/run/systemd/system")
"""A folder where systemd runs, after sd_booted(3)."""


class Step(Protocol):
    """`str(step)` says it in a few words; `do` may be done again."""

    def do(self) -> None:
        """Do it.

        Raises:
            SetupError: it cannot be done.
        """


@dataclass(frozen=True, slots=True)
class FindSystemd:
    """Nothing else makes sense where systemd does not run, as in most containers."""

    def __str__(self) -> str:
        return "look for systemd"

    def do(self) -> None:
        if not shutil.which("systemctl") or not _BOOTED.is_dir():
            message = "this machine does not run systemd; start `voicenode serve` by what it runs instead"
            raise SetupError(ErrorCode.CANNOT_START, message)


@dataclass(frozen=True, slots=True)
class Run:
    """A command; what it prints is the user's to see, unless it succeeds."""

    command: Sequence[str]
    needed: bool = True
    """Whether nothing may follow where it fails."""
    advice: str = ""
    """What to do where it fails."""

    def __str__(self) -> str:
        return f"run {shlex.join(self.command)}"

    def do(self) -> None:
        try:
            done = subprocess.run(self.command, check=False, capture_output=True, text=True)
        except OSError as error:
            why = f"{self.command[0]}: {error.strerror}"
        else:
            if done.returncode == 0:
                return
            why = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        if self.needed:
            advice = f"\n{self.advice}" if self.advice else ""
            raise SetupError(ErrorCode.CANNOT_START, f"could not {self}:\n{why}{advice}")


@dataclass(frozen=True, slots=True)
class Write:
    """A file of ours, with all folders above it."""

    path: Path
    text: str
    mode: int = 0o644
    group: str | None = None

    def __str__(self) -> str:
        return f"write {self.path}"

    def do(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self.mode)
            with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
                file.write(self.text)
            self.path.chmod(self.mode)
            if self.group:
                shutil.chown(self.path, group=self.group)
        except (OSError, LookupError) as error:
            raise _cannot(self, error) from error


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; one that is there is replaced, but no other file."""

    path: Path
    target: Path

    def __str__(self) -> str:
        return f"link {self.path} to {self.target}"

    def do(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_symlink():
                self.path.unlink()
            self.path.symlink_to(self.target)
        except OSError as error:
            raise _cannot(self, error) from error


@dataclass(frozen=True, slots=True)
class Remove:
    """A file, a link or a folder, where there is one."""

    path: Path

    def __str__(self) -> str:
        return f"remove {self.path}"

    def do(self) -> None:
        try:
            if self.path.is_dir() and not self.path.is_symlink():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot(self, error) from error


def _cannot(step: Step, error: Exception) -> SetupError:
    return SetupError(
        ErrorCode.CANNOT_START, f"could not {step}: {getattr(error, 'strerror', None) or error}"
    )
