"""What the broker keeps of the node, for everybody who comes later: published anew when it changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicenode.transports.mqtt.messages import to_json
from voicenode.transports.mqtt.packets import Publication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicenode.transports.mqtt.client import Client

_LOOK_SECONDS = 1.0
"""Between two looks for changes, so that what changes often is not published often."""
_REPEAT_SECONDS = 60.0
"""After which what `repeated` names is published although nothing changed, as a sign of life."""


class Retained:
    """Topics with a value each.

    Args:
        client: publishes.
        values: topic -> what gives its value, which is JSON.
        repeated: the topic that is published again and again.
    """

    def __init__(self, client: Client, values: Mapping[str, Callable[[], Any]], repeated: str) -> None:
        self._client = client
        self._values = values
        self._repeated = repeated
        self._published: dict[str, Any] = {}

    def put_first(self, topic: str, value: Callable[[], Any]) -> None:
        """Keep another topic, whose changes are published before those of the others."""
        self._values = {topic: value, **self._values}

    async def publish_all(self) -> None:
        """Publish every value: the broker may have forgotten them."""
        self._published.clear()
        self.look()

    async def run(self) -> None:
        """Look for changes, for ever."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            looks += 1
            if looks * _LOOK_SECONDS >= _REPEAT_SECONDS:
                looks = 0
                self._published.pop(self._repeated, None)
            self.look()

    def look(self) -> None:
        """Publish what has changed, if anybody listens."""
        if not self._client.connected.is_set():
            return
        for topic, value_of in self._values.items():
            value = value_of()
            if topic not in self._published or self._published[topic] != value:
                self._published[topic] = value
                self._client.publish(Publication(topic=topic, payload=to_json(value), retain=True))
