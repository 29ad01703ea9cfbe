"""What can be seen of an installed service."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, SetupError
from voicenode.service.places import UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.service.places import Place

_ASKED = {
    "ActiveState": "state",
    "SubState": "details",
    "StatusText": "says",
    "Result": "last result",
    "ExecMainStartTimestamp": "started",
    "NRestarts": "restarts",
    "MainPID": "process",
}
"""Properties of org.freedesktop.systemd1(5), and what people call them."""


def status(place: Place) -> Mapping[str, str]:
    """What systemd and the files tell of the service, by names for people; `state` is `active` when it runs.

    Raises:
        SetupError: it is not installed.
    """
    if not place.unit.exists():
        message = f"there is no {place.unit}; `voicenode service install` makes it"
        raise SetupError(ErrorCode.NOT_FOUND, message)
    command = [*place.systemctl, "show", UNIT, f"--property={','.join(_ASKED)}"]
    shown = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    found = {_ASKED[name]: value for name, value in told.items() if name in _ASKED and value}
    return {
        **{name: found[name] for name in _ASKED.values() if name in found},
        "version": _version(place),
        "unit": str(place.unit),
        "settings": str(place.settings),
        "data": str(place.data),
        "log": place.journalctl,
    }


def _version(place: Place) -> str:
    program = place.environment / "bin/voicenode"
    try:
        shown = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    except OSError as error:
        return f"{program}: {error.strerror}"
    return shown.strip()
