"""Where the files of a service are: the machine's, or one user's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import voicenode

if TYPE_CHECKING:
    from collections.abc import Sequence

UNIT = "voicenode.service"
USER = "voicenode"
"""The system user that the machine's service runs as."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders and files of one installation."""

    of_machine: bool
    environment: Path
    """The virtual environment that the service runs in."""
    command: Path
    """A link to the program, on everybody's path."""
    units: Path
    settings: Path
    data: Path
    cache: Path

    @classmethod
    def here(cls) -> Place:
        """The machine's for root, else the user's own."""
        return cls.machine() if os.geteuid() == 0 else cls.user(Path.home())

    @classmethod
    def machine(cls, root: Path = Path("/")) -> Place:
        return cls(
            of_machine=True,
            environment=root / "opt/voicenode",
            command=root / "usr/local/bin/voicenode",
            units=root / "etc/systemd/system",
            settings=root / "etc/voicenode/voicenode.yaml",
            data=root / "var/lib/voicenode",
            cache=root / "var/cache/voicenode",
        )

    @classmethod
    def user(cls, home: Path) -> Place:
        return cls(
            of_machine=False,
            environment=home / ".local/opt/voicenode",
            command=home / ".local/bin/voicenode",
            units=home / ".config/systemd/user",
            settings=home / ".config/voicenode/voicenode.yaml",
            data=home / ".local/share/voicenode",
            cache=home / ".cache",
        )

    @property
    def unit(self) -> Path:
        return self.units / UNIT

    @property
    def without_gpu(self) -> Path:
        """The drop-in for machines without a graphics card."""
        return self.units / f"{UNIT}.d" / "no-gpu.conf"

    @property
    def sysusers(self) -> Path:
        return self.units.parents[1] / "sysusers.d/voicenode.conf"

    @property
    def systemctl(self) -> Sequence[str]:
        return ("systemctl",) if self.of_machine else ("systemctl", "--user")

    @property
    def journalctl(self) -> str:
        """The command that shows what the service logs."""
        return "journalctl -u voicenode" if self.of_machine else "journalctl --user -u voicenode"


def template(name: str) -> str:
    """A file of `systemd/`, which is beside the package in a checkout and inside it in a wheel."""
    package = Path(voicenode.__file__).parent
    folders = (package / "units", package.parent / "systemd")
    return next(folder for folder in folders if folder.is_dir()).joinpath(name).read_text()
