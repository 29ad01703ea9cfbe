"""What is secret stays where it is, whatever a node says and keeps."""

from __future__ import annotations

import json
import os
import socket
import stat
import urllib.request
from typing import TYPE_CHECKING

from tests.support.command import CommandLine
from tests.support.daemon import daemon, say
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import Peer
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD, TOKEN, REDIS = "hunter2-broker", "hunter2-token", "hunter2-redis"
SPOKEN = "My diary says zebra."


def described(port: int) -> bytes:
    """All that a node tells about itself."""
    with socket.create_connection(("127.0.0.1", port), 30) as wire, wire.makefile("rb") as said:
        wire.sendall(b'{"type": "describe"}\n')
        header = said.readline()
        return header + said.read(json.loads(header)["data_length"])


def fetched(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
        return bytes(answer.read())


async def test_no_secret_and_no_text_is_in_anything_that_a_node_says(tmp_path: Path) -> None:
    port = free_port()
    with Mosquitto(tmp_path / "broker", username="node", password=PASSWORD) as broker:
        mqtt = {"host": broker.host, "port": broker.port, "username": "node"}
        settings = {"default_voice": "tone-plain", "mqtt": mqtt, "http": {"host": "127.0.0.1", "port": port}}
        with daemon(
            tmp_path,
            "--debug",
            settings=settings,
            VOICENODE_MQTT__PASSWORD=PASSWORD,
            VOICENODE_CLONING__TOKEN=TOKEN,
        ) as node:
            node.log.wait_for("MQTT: connected to")
            said = [described(int(node.uri.rpartition(":")[2]))]
            said += [fetched(port, path) for path in ("health", "metrics")]
            async with Peer((broker.host, broker.port), login=("node", PASSWORD)) as peer:
                await peer.subscribe("#")
                assert (await say(node.uri, SPOKEN)).whole
                await peer.until(lambda: any(message.topic.endswith("/info") for message in peer.heard))
                said += [bytes(message.payload) for message in peer.heard]
        said.append(str(node.log).encode())
    assert [word for word in (PASSWORD, TOKEN) if any(word.encode() in each for each in said)] == []
    assert "zebra" not in str(node.log)
    assert SPOKEN not in "".join(path.read_text(errors="replace") for path in kept(tmp_path / "data"))


async def test_settings_are_shown_without_secrets_wherever_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text(f"broker: {PASSWORD}\n")
    config = tmp_path / "voicenode.yaml"
    config.write_text("mqtt: {host: localhost, password: !secret broker}\nlog: {level: loud}\n")
    variables = {"VOICENODE_CLONING__TOKEN": TOKEN, "VOICENODE_STORE__URL": f"redis://:{REDIS}@127.0.0.1/0"}
    cli = CommandLine(tmp_path, variables=variables)
    wrong = await cli.run("check-config", "--config", str(config))
    config.write_text(config.read_text().replace("loud", "info"))
    good = await cli.run("check-config", "--config", str(config))
    assert (wrong.status, good.status) == (2, 0), good.stderr
    said = wrong.text + wrong.stderr + good.text + good.stderr
    assert [word for word in (PASSWORD, TOKEN, REDIS) if word in said] == []


async def test_what_a_node_keeps_is_for_its_user_alone(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        mqtt = {"host": broker.host, "port": broker.port}
        settings = {
            "default_voice": "tone-plain",
            "mqtt": mqtt,
            "http": {"host": "127.0.0.1", "port": free_port()},
        }
        with daemon(tmp_path, settings=settings) as node:
            node.log.wait_for("MQTT: connected to")
            topic = f"voicenode/{(tmp_path / 'data/node-id').read_text().strip()}/{{}}/synthesize"
            async with Peer((broker.host, broker.port)) as peer:
                await peer.subscribe(topic.format("response"))
                await peer.say(topic.format("request"), "Hello")
                await peer.until(lambda: bool(peer.heard))
    paths = kept(tmp_path / "data")
    assert any(path.suffix == ".wav" for path in paths)
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) != 0o600] == []
    folders = {path.parent for path in paths}
    assert [folder for folder in folders if stat.S_IMODE(folder.stat().st_mode) != 0o700] == []


def kept(folder: Path) -> list[Path]:
    """Every file below a folder, of a user whose umask hides nothing."""
    assert os.umask(0o022) == 0o022
    return [path for path in folder.rglob("*") if path.is_file()]
