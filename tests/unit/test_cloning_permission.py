"""Who may clone."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Literal

import pytest

from voicenode.cloning import Asker, Permission, Rules
from voicenode.errors import BusyError, ErrorCode, RequestError

SUBNETS = [ip_network("192.168.1.0/24"), ip_network("fe80::/64")]
LAN = Asker(door="wyoming", peer="p", address="192.168.1.7")
MQTT = Asker(door="mqtt", peer="broker")


def allowed(rules: Rules, asker: Asker) -> bool:
    try:
        Permission(rules, lambda: SUBNETS).check(asker)
    except RequestError as error:
        return error.code is not ErrorCode.FORBIDDEN
    return True


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        (None, True),
        ("192.168.1.7", True),
        ("::ffff:192.168.1.7", True),
        ("fe80::1%eth0", True),
        ("192.168.2.7", False),
        ("2001:db8::1", False),
    ],
)
def test_this_machine_and_its_subnets_may(address: str | None, may: bool) -> None:  # noqa: FBT001
    assert allowed(Rules(), replace(LAN, address=address)) is may


def test_networks_may_that_are_named_and_no_others() -> None:
    rules = Rules(local=False, networks=[ip_network("10.8.0.0/16")])
    assert allowed(rules, replace(LAN, address="10.8.3.4"))
    assert not allowed(rules, LAN)


def test_nobody_may_where_it_is_off() -> None:
    assert not allowed(Rules(local=False), replace(LAN, address="127.0.0.1"))
    assert not allowed(Rules(local=False), replace(LAN, address=None))


def test_whoever_sends_the_token_may_from_anywhere() -> None:
    rules = Rules(local=False, token="open")
    assert allowed(rules, replace(LAN, token="open"))
    assert not allowed(rules, LAN)


def test_a_wrong_token_is_refused_even_where_none_is_needed() -> None:
    assert not allowed(Rules(token="open"), replace(LAN, token="\ud800"))


@pytest.mark.parametrize(
    ("mqtt", "token", "sent", "may"),
    [
        ("off", "open", "open", False),
        ("on", None, None, True),
        ("token", None, None, False),
        ("token", "open", None, False),
        ("token", "open", "open", True),
        ("token", None, "open", False),
    ],
)
def test_over_mqtt_the_owner_decides(
    mqtt: Literal["off", "on", "token"],
    token: str | None,
    sent: str | None,
    may: bool,  # noqa: FBT001
) -> None:
    assert allowed(Rules(mqtt=mqtt, token=token), replace(MQTT, token=sent)) is may


def test_the_refusal_tells_how_to_set_a_token() -> None:
    with pytest.raises(RequestError, match=r"set cloning\.token"):
        Permission(Rules(), list).check(MQTT)


def test_so_many_are_taken_within_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    permission = Permission(Rules(per_hour=2), list)
    permission.count()
    permission.count()
    with pytest.raises(BusyError, match="60 minutes"):
        permission.count()
    now += 3600
    permission.count()
