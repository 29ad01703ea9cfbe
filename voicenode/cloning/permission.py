"""Who may make, change and delete voices."""

from __future__ import annotations

import hmac
import time
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Literal

from voicenode.errors import BusyError, ErrorCode, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Network = IPv4Network | IPv6Network

_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, as far as a door can tell."""

    door: Literal["wyoming", "mqtt", "http", "folder"]
    peer: str
    """For the log."""
    address: str | None = None
    """The IP address; none for what can only come from this machine."""
    token: str | None = None
    """What was sent as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the owner allows."""

    local: bool = True
    """Whether this machine and its subnets may."""
    networks: Sequence[Network] = ()
    """Who else may."""
    token: str | None = None
    """Whoever sends it may, wherever he is."""
    mqtt: Literal["off", "on", "token"] = "token"
    """Nobody; whoever the broker lets; or whoever sends the token."""
    per_hour: int = 60


class Permission:
    """Holds askers to the rules.

    Args:
        rules: what the owner allows.
        subnets: those of this machine, as they are now; it blocks for no longer than a look at a list.
    """

    def __init__(self, rules: Rules, subnets: Callable[[], Sequence[Network]]) -> None:
        self._rules = rules
        self._subnets = subnets
        self._made: deque[float] = deque()

    def check(self, asker: Asker) -> None:
        """Look whether someone may change voices.

        Raises:
            RequestError: he may not (`forbidden`).
        """
        right = self._has_token(asker)
        if asker.door == "mqtt":
            self._check_mqtt(has_token=right)
        elif asker.door != "folder" and not (right or self._is_near(asker)):
            raise _forbidden(
                f"{asker.peer} may not clone or change voices; "
                "add its network to cloning.allow, or send the token of cloning.token"
            )

    def count(self) -> None:
        """Count one voice that is made.

        Raises:
            BusyError: there were too many within the hour.
        """
        now = time.monotonic()
        while self._made and self._made[0] <= now - _HOUR:
            self._made.popleft()
        if len(self._made) >= self._rules.per_hour:
            minutes = (self._made[0] + _HOUR - now) / 60
            raise BusyError(
                f"{len(self._made)} voices were sent within the hour, which is all that cloning.per_hour "
                f"allows; try again in {minutes:.0f} minutes"
            )
        self._made.append(now)

    def _has_token(self, asker: Asker) -> bool:
        if asker.token is None or self._rules.token is None:
            return False
        if not hmac.compare_digest(asker.token.encode(errors="replace"), self._rules.token.encode()):
            raise _forbidden("the token is not that of cloning.token")
        return True

    def _check_mqtt(self, *, has_token: bool) -> None:
        if self._rules.mqtt == "off":
            raise _forbidden("voices cannot be cloned or changed over MQTT: cloning.mqtt is off")
        if self._rules.mqtt == "token" and not has_token:
            how = "send it as token" if self._rules.token else "set cloning.token and send it as token"
            raise _forbidden(
                f"cloning over MQTT takes a token: {how}, "
                "or set cloning.mqtt to on where the broker's access list decides"
            )

    def _is_near(self, asker: Asker) -> bool:
        rules = self._rules
        if asker.address is None:
            return rules.local or bool(rules.networks)
        address = ip_address(asker.address.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        near = rules.local and (address.is_loopback or any(address in each for each in self._subnets()))
        return near or any(address in network for network in rules.networks)


def _forbidden(why: str) -> RequestError:
    return RequestError(ErrorCode.FORBIDDEN, why)
