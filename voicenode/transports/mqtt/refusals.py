"""Why there is no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicenode.transports.mqtt.packets import Broker

_UNSUPPORTED_VERSION = 132
_BAD_LOGIN = {134, 135}
"""Reason codes of CONNACK (MQTT 5, 3.2.2.2), into which paho turns those of older brokers."""


class ConnectError(Exception):
    """There is no connection; the sentence says why."""


class UnsupportedVersionError(ConnectError):
    """The broker said, or hanging up without a word may mean, that it does not speak this version of MQTT."""

    def __init__(self, message: str, *, said: bool) -> None:
        super().__init__(message)
        self.said = said


def refusal(broker: Broker, name: str, code: int) -> ConnectError:
    """What the name and the number of a reason in CONNACK mean to the user."""
    if code == _UNSUPPORTED_VERSION:
        return UnsupportedVersionError(f"{broker} refuses the connection: {name}", said=True)
    hint = "; check mqtt.username and mqtt.password" if code in _BAD_LOGIN else ""
    return ConnectError(f"{broker} refuses the connection: {name}{hint}")
