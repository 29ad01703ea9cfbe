from ipaddress import ip_address

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.transports.mdns import Reach, reach_source
from voicenode.transports.mdns.addresses import LocalAddress, choose_reach, local_addresses

ANY_IPV4 = "0.0.0.0"  # noqa: S104  (nothing is bound here)
EVERY = [ip_address(ANY_IPV4), ip_address("::")]
LO = [LocalAddress(ip_address("127.0.0.1"), "lo", 1), LocalAddress(ip_address("::1"), "lo", 1)]
LINK_LOCAL = LocalAddress(ip_address("fe80::1"), "eth0", 2)
ETH0 = LocalAddress(ip_address("192.168.1.20"), "eth0", 2)
GLOBAL = LocalAddress(ip_address("2001:db8::20"), "eth0", 2)
UNIQUE_LOCAL = LocalAddress(ip_address("fd00::20"), "eth0", 2)
WLAN0 = LocalAddress(ip_address("192.168.7.21"), "wlan0", 3)
DOCKER0 = LocalAddress(ip_address("172.17.0.1"), "docker0", 4)


def test_ipv4_goes_first_then_unique_local_then_global() -> None:
    reach = choose_reach([*LO, LINK_LOCAL, GLOBAL, UNIQUE_LOCAL, ETH0], EVERY)

    assert reach.addresses == ("192.168.1.20", "fd00::20", "2001:db8::20")


def test_the_address_that_routes_multicast_goes_before_all() -> None:
    assert choose_reach([ETH0, WLAN0], EVERY).addresses == ("192.168.1.20", "192.168.7.21")
    assert choose_reach([ETH0, WLAN0], EVERY, preferred=WLAN0.ip).addresses == (
        "192.168.7.21",
        "192.168.1.20",
    )


@pytest.mark.parametrize(
    "adapter", ["docker0", "br-0a1b2c3d4e5f", "veth12ab", "virbr0", "podman0", "cni0", "tun0"]
)
def test_virtual_adapters_and_loopback_stay_out_where_there_is_a_lan(adapter: str) -> None:
    virtual = LocalAddress(ip_address("10.0.3.1"), adapter, 9)

    assert choose_reach([*LO, virtual, ETH0], EVERY, preferred=virtual.ip) == Reach(
        ("192.168.1.20",), ("192.168.1.20",)
    )


def test_a_bridge_of_the_owners_own_is_a_lan() -> None:
    bridge = LocalAddress(ip_address("192.168.1.2"), "br0", 5)

    assert choose_reach([*LO, bridge, DOCKER0], EVERY).addresses == ("192.168.1.2",)


def test_without_a_lan_the_next_best_is_told() -> None:
    assert choose_reach([*LO, DOCKER0], EVERY).addresses == ("172.17.0.1",)
    assert choose_reach(LO, EVERY) == Reach(("127.0.0.1", "::1"), ("127.0.0.1",))
    assert choose_reach([], EVERY) == Reach()


def test_link_local_addresses_are_never_told() -> None:
    autoconfigured = LocalAddress(ip_address("169.254.8.8"), "eth0", 2)

    assert choose_reach([*LO, LINK_LOCAL, autoconfigured], EVERY).addresses == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ([ANY_IPV4], ("192.168.1.20", "192.168.7.21")),
        (["::"], ("fd00::20", "2001:db8::20")),
        (["192.168.7.21"], ("192.168.7.21",)),
        (["172.17.0.1"], ("172.17.0.1",)),
        (["127.0.0.1"], ("127.0.0.1",)),
        (["127.0.0.1", "192.168.1.20"], ("192.168.1.20",)),
        (["10.1.1.1"], ()),
    ],
)
def test_only_addresses_that_the_node_listens_on_are_told(bound: list[str], told: tuple[str, ...]) -> None:
    local = [*LO, LINK_LOCAL, UNIQUE_LOCAL, GLOBAL, ETH0, WLAN0, DOCKER0]

    assert choose_reach(local, [ip_address(address) for address in bound]).addresses == told


def test_mdns_is_spoken_in_both_families_on_just_the_adapters_told() -> None:
    reach = choose_reach([*LO, LINK_LOCAL, ETH0, WLAN0, DOCKER0], [ETH0.ip])

    assert reach.interfaces == (2, "192.168.1.20")


def test_a_second_address_of_an_adapter_is_told_but_joined_only_once() -> None:
    second = LocalAddress(ip_address("192.168.1.99"), "eth0", 2)

    reach = choose_reach([ETH0, second], EVERY)

    assert reach == Reach(("192.168.1.20", "192.168.1.99"), ("192.168.1.20",))


def test_explicit_addresses_replace_the_choice() -> None:
    local = [*LO, ETH0, WLAN0]

    def told(host: str) -> Reach:
        return choose_reach(local, EVERY, [ip_address(host)])

    assert told("192.168.7.21") == Reach(("192.168.7.21",), ("192.168.7.21",))
    assert told("127.0.0.1") == Reach(("127.0.0.1",), ("127.0.0.1",))
    assert told("10.20.30.40") == Reach(("10.20.30.40",), ("192.168.1.20", "192.168.7.21"))


@pytest.mark.parametrize(
    "host", ["speaker.lan", ANY_IPV4, "::", "224.0.0.251", "fe80::1", "", "192.168.1.300"]
)
def test_an_explicit_address_that_nobody_could_use_is_an_error(host: str) -> None:
    with pytest.raises(SetupError, match="cannot advertise") as caught:
        reach_source([ANY_IPV4], [host])

    assert caught.value.code is ErrorCode.BAD_SETTINGS


def test_this_machine_has_loopback_and_answers_on_it() -> None:
    assert "127.0.0.1" in {str(address.ip) for address in local_addresses()}
    assert reach_source(["127.0.0.1"])() == Reach(("127.0.0.1",), ("127.0.0.1",))


def test_this_machine_never_tells_an_address_of_no_use() -> None:
    addresses = [ip_address(address) for address in reach_source([ANY_IPV4, "::"])().addresses]

    assert addresses
    assert not any(address.is_unspecified or address.is_link_local for address in addresses)
