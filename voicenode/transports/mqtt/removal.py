"""Takes a node that is gone for good off the broker."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.transports.mqtt.connection import Connection
from voicenode.transports.mqtt.discovery import config_topic
from voicenode.transports.mqtt.packets import Publication, Session
from voicenode.transports.mqtt.refusals import ConnectError, UnsupportedVersionError
from voicenode.transports.mqtt.topics import Topics, check_word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from voicenode.transports.mqtt.packets import Broker, Message

_PATIENCE = 10.0
"""Seconds for a broker to answer."""


async def remove(
    broker: Broker, node_id: str, *, base_topic: str, prefix: str, force: bool = False
) -> Collection[str]:
    """Clear every topic that the broker keeps of a node, its device in Home Assistant first, and its session.

    Requests that the broker has kept for the node are lost. Gives the topics on which there was something.

    Args:
        broker: where to.
        node_id: which node.
        base_topic: what all topics begin with.
        prefix: Home Assistant's discovery prefix.
        force: whether to go on although the node says that it is online.

    Raises:
        RequestError: there can be no node of this id.
        SetupError: nothing can be published under that base.
        VoiceServiceError: the broker cannot be reached or refuses, or the node is online (`conflict`).
    """
    topics, device = Topics(base_topic, check_word("id", node_id)), config_topic(prefix, node_id)
    try:
        async with asyncio.timeout(_PATIENCE):
            kept = await _clear(broker, topics, device, force=force)
            async with _connected(broker, f"voicenode-{node_id}", topics):
                pass  # its session ends with this connection
    except (ConnectError, TimeoutError) as error:
        raise VoiceServiceError(
            ErrorCode.INTERRUPTED, f"{str(error) or f'{broker} does not answer'}; check the mqtt settings"
        ) from error
    return kept


async def _clear(broker: Broker, topics: Topics, device: str, *, force: bool) -> Collection[str]:
    async with _connected(broker, f"voicenode-removal-{secrets.token_hex(4)}", topics) as conversation:
        kept = await conversation.retained(device, f"{topics.node}/#")
        if _is_online(kept.get(topics.state)) and not force:
            raise VoiceServiceError(
                ErrorCode.CONFLICT,
                f"{topics.node} is online and would publish everything again: stop the node first, "
                "or use --force if it is gone for good",
            )
        # The known ones in any case: some brokers send what they keep when they get to it.
        for topic in dict.fromkeys((device, *topics.retained, *kept)):
            await conversation.publish(Publication(topic=topic, payload=b"", retain=True))
    return kept.keys()


class _Conversation:
    """What is asked of the broker over one connection."""

    def __init__(self, connection: Connection, received: asyncio.Queue[Message], mark: str) -> None:
        self._connection = connection
        self._received = received
        self._mark = mark

    async def retained(self, *filters: str) -> Mapping[str, bytes]:
        """Topic -> what the broker keeps there, which it sends before a mark that is published then.

        One of the filters must match the mark.
        """
        for topic_filter in filters:
            if not await self._connection.subscribe(topic_filter):
                raise ConnectError(f"the broker refuses the subscription to {topic_filter}")
        await self.publish(Publication(topic=self._mark, payload=b"."))
        kept = {}
        while (message := await self._received.get()).topic != self._mark:
            message.ack()
            if message.retain:
                kept[message.topic] = message.payload
        return kept

    async def publish(self, publication: Publication) -> None:
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._connection.publish(publication, taken.set_result)
        if not await taken:
            raise ConnectError(f"the broker refuses messages on {publication.topic}")


@asynccontextmanager
async def _connected(broker: Broker, client_id: str, topics: Topics) -> AsyncIterator[_Conversation]:
    """A connection whose session ends with it."""
    received: asyncio.Queue[Message] = asyncio.Queue()
    mark = f"{topics.node}/{client_id}"
    session = Session(client_id=client_id, expiry=0, will=Publication(topic=mark, payload=b""))

    def connection(*, version5: bool) -> Connection:
        return Connection(broker, session, version5=version5, received=received.put_nowait)

    current = connection(version5=True)
    try:
        await current.open()
    except UnsupportedVersionError:
        current = connection(version5=False)
        await current.open()
    try:
        yield _Conversation(current, received, mark)
    finally:
        await current.close()


def _is_online(state: bytes | None) -> bool:
    try:
        return state is not None and json.loads(state)["state"] == "online"
    except (ValueError, TypeError, KeyError):
        return False
