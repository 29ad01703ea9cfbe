"""Which node a command talks to when none is named."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port
from voicenode.cli import nodes
from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.transports import mdns
from voicenode.transports.mdns import FoundNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ELSEWHERE = "127.0.0.2"  # answers here, but no adapter carries it, as if it were another machine's
OURS = {"id": "1", "api": "1"}


@pytest.fixture
def port() -> Iterator[int]:
    """One at which somebody of this machine listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(autouse=True)
def nobody_at_the_usual_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "LOCAL_URI", f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def on_the_lan(monkeypatch: pytest.MonkeyPatch) -> list[FoundNode]:
    """What a search for nodes will find, in this order, until it is stopped."""
    lan: list[FoundNode] = []

    async def discover(_seconds: float, on_found: Callable[[FoundNode], bool]) -> list[FoundNode]:
        last = next((index for index, node in enumerate(lan) if on_found(node)), len(lan))
        return lan[: last + 1]

    monkeypatch.setattr(mdns, "discover", discover)
    return lan


async def test_the_node_that_is_named_is_taken_unseen() -> None:
    assert await nodes.find("tcp://kitchen:10200") == "tcp://kitchen:10200"


async def test_a_node_at_the_usual_port_of_this_machine_comes_first(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(nodes, "LOCAL_URI", f"tcp://127.0.0.1:{port}")
    assert await nodes.find(None) == f"tcp://127.0.0.1:{port}"


async def test_a_node_of_this_machine_is_preferred_to_one_elsewhere(
    on_the_lan: list[FoundNode], port: int
) -> None:
    with socket.create_server((ELSEWHERE, port)):
        on_the_lan.append(FoundNode("far", (ELSEWHERE,), port, OURS))
        assert await nodes.find(None) == f"tcp://{ELSEWHERE}:{port}"
        on_the_lan.append(FoundNode("near", ("127.0.0.1",), port, OURS))
        assert await nodes.find(None) == f"tcp://127.0.0.1:{port}"


async def test_other_wyoming_services_are_not_taken_for_nodes(on_the_lan: list[FoundNode], port: int) -> None:
    on_the_lan.append(FoundNode("whisper", ("127.0.0.1",), port))
    with pytest.raises(VoiceServiceError, match="no node was found"):
        await nodes.find(None)


async def test_an_address_that_does_not_answer_is_passed_over(on_the_lan: list[FoundNode], port: int) -> None:
    on_the_lan.append(FoundNode("node", (ELSEWHERE, "127.0.0.1"), port, OURS))
    assert await nodes.find(None) == f"tcp://127.0.0.1:{port}"


@pytest.mark.usefixtures("on_the_lan")
async def test_no_node_at_all_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(VoiceServiceError, match="voicenode serve") as caught:
        await nodes.find(None)
    assert caught.value.code is ErrorCode.NO_NODE


async def test_a_machine_that_cannot_listen_for_nodes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def discover(*_: object) -> list[FoundNode]:
        raise OSError("no network")

    monkeypatch.setattr(mdns, "discover", discover)
    with pytest.raises(VoiceServiceError, match="no network"):
        await nodes.listen(1)
