"""What it takes to install the service, and to remove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voicenode.service.environment import environment
from voicenode.service.places import UNIT, USER, template
from voicenode.service.steps import FindSystemd, Link, Remove, Run, Write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicenode.service.places import Place
    from voicenode.service.steps import Step

_GPU = Path("/proc/driver/nvidia")
"""There where the kernel's driver for NVIDIA's cards is loaded."""
_SETTINGS = """\
# The settings of this node: docs/settings.md has all of them, and `voicenode check-config` checks them.
settings_version: 1
data_dir: {data}
"""


def installation(place: Place) -> Iterator[Step]:
    """Everything from nothing to a running service; over an older one, an update.

    Raises:
        SetupError: there is no Python that the service can use.
    """
    yield FindSystemd()
    if place.of_machine:
        yield Write(place.sysusers, template("voicenode.sysusers.conf"))
        yield Run(["systemd-sysusers", place.sysusers.name])
    yield from environment(place)
    yield Link(place.command, place.environment / "bin/voicenode")
    if not place.settings.exists():
        group = USER if place.of_machine else None
        yield Write(place.settings, _SETTINGS.format(data=place.data), 0o640, group)
    yield from _units(place)
    yield Run([*place.systemctl, "daemon-reload"])
    if not place.of_machine:
        # Else the service ends when its user logs out; not every machine allows it.
        yield Run(["loginctl", "enable-linger"], needed=False)
    yield Run([*place.systemctl, "enable", UNIT])
    yield Run([*place.systemctl, "restart", UNIT], advice=f"{place.journalctl} -n 20 tells more.")


def removal(place: Place) -> Iterator[Step]:
    """All that `installation` made is removed, but for the settings and the data."""
    yield FindSystemd()
    yield Run([*place.systemctl, "disable", "--now", UNIT], needed=False)
    yield Remove(place.unit)
    if place.of_machine:
        yield Remove(place.without_gpu)
    yield Run([*place.systemctl, "daemon-reload"])
    if place.command.is_symlink():
        yield Remove(place.command)
    yield Remove(place.environment)


def _units(place: Place) -> Iterator[Step]:
    if not place.of_machine:
        yield Write(place.unit, template("voicenode-user.service"))
        return
    yield Write(place.unit, template("voicenode.service"))
    if _GPU.exists():
        yield Remove(place.without_gpu)
    else:
        yield Write(place.without_gpu, template("no-gpu.conf"))
