"""The node as a device in Home Assistant, which makes it of one payload on one topic."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

from voicenode.transports.mqtt.discovery_components import components

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.transports.mqtt.node import Node
    from voicenode.transports.mqtt.packets import Message
    from voicenode.transports.mqtt.topics import Topics
    from voicenode.transports.mqtt.transport import MqttTransport

_PLATFORMS = {
    *("binary_sensor", "button", "event", "image", "notify"),
    *("number", "select", "sensor", "switch", "text", "update"),
}
"""Of components that this or another version may have published; one that is unknown to Home Assistant
would make it reject the whole device."""
_BIRTH = b"online"
_SPREAD = 2.0
"""Seconds within which all nodes of a house answer Home Assistant's birth message."""


def config_topic(prefix: str, node_id: str) -> str:
    """Where Home Assistant looks for the device of a node."""
    return f"{prefix}/device/voicenode_{node_id}/config"


class Discovery:
    """Keeps the device on the broker as it is now, ahead of the values that its entities show.

    Create it before the transport starts; there is nothing to stop.

    Args:
        transport: publishes, and hears Home Assistant start.
        node: what is shown. Of `info` it takes `name`, `version` and, if there are any, `qualities`.
        prefix: Home Assistant's discovery prefix.
        spread: the longest time in seconds to wait before the device is published for a Home Assistant that
            has just started.
    """

    def __init__(
        self, transport: MqttTransport, node: Node, *, prefix: str = "homeassistant", spread: float = _SPREAD
    ) -> None:
        self._topics = transport.topics
        self._retained = transport.retained
        self._node = node
        self._spread = spread
        self._answering = asyncio.Lock()
        self._known: dict[str, str] = {}
        """Each component that Home Assistant may know of, and its platform."""
        topic = config_topic(prefix, node.id)
        transport.retained.put_first(topic, self._device)
        transport.client.subscribe(topic, self._recall)
        transport.client.subscribe(f"{prefix}/status", self._greet)

    def _device(self) -> Mapping[str, Any]:
        info = self._node.info()
        shown = components(
            self._topics,
            voices=[voice.name for voice in self._node.voices() if voice.advertised],
            qualities=info.get("qualities", ()),
            settings=self._node.settings(),
            status=self._node.status(),
        )
        return device(self._node.id, self._topics, info, {**self._removed(shown), **shown})

    def _removed(self, shown: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is no longer shown: left out, it would stay; its platform alone removes it."""
        self._known |= {key: component["p"] for key, component in shown.items()}
        return {key: {"p": platform} for key, platform in self._known.items() if key not in shown}

    async def _recall(self, message: Message) -> None:
        """Take note of what an earlier life of the node has shown."""
        message.ack()
        if message.retain:
            self._known = {**_platforms(message.payload), **self._known}

    async def _greet(self, message: Message) -> None:
        """Home Assistant says that it is there."""
        message.ack()
        if message.payload != _BIRTH or self._answering.locked():
            return
        async with self._answering:
            await asyncio.sleep(random.uniform(0, self._spread))  # noqa: S311 - spreads load, hides nothing
            await self._retained.publish_all()


def device(
    node_id: str, topics: Topics, info: Mapping[str, Any], shown: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The payload; Home Assistant rejects all of it for one key that it does not know outside of `cmps`."""
    own_id = f"voicenode_{node_id}"
    return {
        "dev": {
            "ids": [own_id],
            "name": info["name"],
            "mf": "voicenode",
            "mdl": "Voice node",
            "sw": info["version"],
            "sn": node_id,
        },
        "o": {"name": "voicenode", "sw": info["version"]},
        "avty_t": topics.state,
        "avty_tpl": "{{ value_json.state }}",
        "qos": 1,
        "cmps": {key: _identified(own_id, key, component) for key, component in shown.items()},
    }


def _identified(own_id: str, key: str, component: Mapping[str, Any]) -> Mapping[str, Any]:
    removed = component.keys() == {"p"}
    return component if removed else {**component, "uniq_id": f"{own_id}_{key}"}


def _platforms(payload: bytes) -> dict[str, str]:
    """The components of a device that was published before, by anybody."""
    try:
        found = json.loads(payload)["cmps"]
        platforms = {key: component["p"] for key, component in found.items() if len(component) > 1}
        return {key: platform for key, platform in platforms.items() if platform in _PLATFORMS}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
