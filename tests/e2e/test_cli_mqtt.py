"""`voicenode mqtt remove`, as the owner of a node types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command import CommandLine
from tests.support.daemon import daemon
from tests.support.mqtt import Peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto


def settings(broker: Mosquitto) -> dict[str, object]:
    return {"default_voice": "tone-plain", "mqtt": {"host": broker.host, "port": broker.port}}


@pytest.fixture
def cli(tmp_path: Path, mosquitto: Mosquitto) -> CommandLine:
    """For the owner of the node whose home is `node`."""
    home = tmp_path / "node"
    variables = {"VOICENODE_CONFIG": str(home / "voicenode.yaml"), "VOICENODE_DATA_DIR": str(home / "data")}
    home.mkdir()
    (home / "voicenode.yaml").write_text(json.dumps({"mqtt": settings(mosquitto)["mqtt"]}))
    return CommandLine(home, variables=variables)


async def test_a_node_is_removed_once_it_is_stopped(cli: CommandLine, mosquitto: Mosquitto) -> None:
    async with Peer((mosquitto.host, mosquitto.port)) as peer:
        await peer.subscribe("voicenode/+/settings")
        with daemon(cli.home, settings=settings(mosquitto)) as running:
            running.wait_until_ready()
            await peer.until(lambda: bool(peer.heard))
            refused = await cli.run("mqtt", "remove")
            assert refused.status == 1
            assert "stop the node first" in refused.stderr
        node_id = peer.heard.pop().topic.split("/")[1]
        result = await cli.run("mqtt", "remove")
        assert (result.status, result.text) == (0, ""), result.stderr
        assert f"Removed the node {node_id}: the broker kept" in result.stderr
        await peer.hear_raw(f"voicenode/{node_id}/settings", lambda payload: payload == b"")
        again = await cli.run("mqtt", "remove", node_id)
        assert again.stderr == f"The broker kept nothing of the node {node_id}.\n"


async def test_a_machine_without_a_node_is_told_to_name_one(cli: CommandLine) -> None:
    result = await cli.run("mqtt", "remove")
    assert result.status == 2
    assert "no node has run here" in result.stderr


async def test_the_data_of_another_node_tell_which_one_is_meant(
    cli: CommandLine, mosquitto: Mosquitto
) -> None:
    folder = cli.home / "elsewhere"
    folder.mkdir()
    (folder / "node-id").write_text("4f2a9c01")
    assert mosquitto.port
    result = await cli.run("mqtt", "remove", "--data-dir", str(folder))
    assert result.stderr == "The broker kept nothing of the node 4f2a9c01.\n"


async def test_settings_without_a_broker_are_named(tmp_path: Path) -> None:
    result = await CommandLine(tmp_path).run("mqtt", "remove", "4f2a9c01")
    assert result.status == 2
    assert "mqtt.host is not set" in result.stderr
