"""What may be asked of the node, and what is done about it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voicenode.cloning.request import MAX_BYTES
from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.jobs import JobRequest, JobState
from voicenode.transports.mqtt import views
from voicenode.transports.mqtt.messages import (
    Answer,
    Reply,
    check_keys,
    parse,
    repeatable_transaction,
    take_transaction,
)
from voicenode.transports.mqtt.problems import Problems
from voicenode.transports.mqtt.voices import VoiceRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from voicenode.jobs import JobQueue
    from voicenode.transports.mqtt.answers import Answers
    from voicenode.transports.mqtt.client import Client
    from voicenode.transports.mqtt.node import Node
    from voicenode.transports.mqtt.packets import Message
    from voicenode.transports.mqtt.views import Views

_log = logging.getLogger(__name__)

_MAX_LISTED = 1000
_PLAIN = {
    "synthesize": "text",
    "job": "id",
    "cancel": "id",
    "load": "engine",
    "unload": "engine",
    "delete_voice": "name",
}
"""Request -> the key that a payload of plain text stands for."""
_WAYS_OUT = {
    "clone": "; put what is larger into the folder 'import' of the node's data directory, where recordings "
    f"may have {MAX_BYTES >> 20} MiB together, and send its name as 'file'"
}
"""Request -> what to do where a payload is too large."""


class Requests:
    """Handles the messages on the request topics; each is answered, and then acknowledged.

    `changed` is called when a request has changed the node's settings or voices.
    """

    def __init__(
        self, answers: Answers, queue: JobQueue, node: Node, views: Views, *, changed: Callable[[], None]
    ) -> None:
        self._topics = views.topics
        self._answers = answers
        self._queue = queue
        self._node = node
        self._views = views
        self._changed = changed
        self._problems = Problems()
        self._under_way: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._cloned = VoiceRequests(node.voice_desk, changed)
        self._actions: dict[str, Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]] = {
            "voices": self._voices,
            **self._cloned.actions,
            "jobs": self._jobs,
            "job": self._job,
            "cancel": self._cancel,
            "load": partial(self._engines, node.load),
            "unload": partial(self._engines, node.unload),
            "settings": self._settings,
            "health_check": self._health_check,
        }

    def subscribe(self, client: Client) -> None:
        """Have the client bring every request."""
        client.subscribe(
            self._topics.request("synthesize"), partial(self._handle, "synthesize", shared=False)
        )
        client.subscribe(self._topics.shared_filter, partial(self._handle, "synthesize", shared=True))
        for name in self._actions:
            client.subscribe(self._topics.request(name), partial(self._handle, name, shared=False))

    async def _handle(self, name: str, message: Message, *, shared: bool) -> None:
        if message.retain:
            self._problems.report(
                f"MQTT: a retained message on {message.topic} is ignored; publish it unretained"
            )
            message.ack()
            return
        reply = Reply.to(message, shared=shared)
        try:
            data = parse(message.payload, _PLAIN.get(name), _WAYS_OUT.get(name, ""))
            reply = replace(reply, transaction=repeatable_transaction(data))
            reply = replace(reply, transaction=take_transaction(data))
            await self._in_order(name)
            if name == "synthesize":
                await self._synthesize(data, reply, message)
                message.ack()
                return
            answer = Answer("ok", await self._actions[name](data))
        except VoiceServiceError as error:
            answer = Answer.failed(error)
            self._node.note_error(error.code)
            self._problems.report(f"MQTT: {message.topic}: {error}", kind=f"{message.topic} {error.code}")
        except Exception:  # noqa: BLE001 - the boundary: whoever asked gets an answer
            _log.exception("MQTT: a request on %s failed for a reason nobody foresaw", message.topic)
            self._node.note_error(ErrorCode.INTERNAL)
            answer = Answer.failed(
                VoiceServiceError(ErrorCode.INTERNAL, "the node failed; its log tells why")
            )
        self._answers.publish(name, reply, answer).add_done_callback(lambda _: message.ack())

    async def _in_order(self, name: str) -> None:
        """Wait for what was asked before, so far as it matters: all is stored and changed in its order."""
        earlier = set(self._under_way["settings"])
        if name != "synthesize":
            earlier |= self._under_way["synthesize"]
        task = asyncio.current_task()
        if task is not None:
            self._under_way[name].add(task)
            task.add_done_callback(self._under_way[name].discard)
        if earlier:
            await asyncio.wait(earlier)

    async def _synthesize(self, data: dict[str, Any], reply: Reply, message: Message) -> None:
        """Accept a job; it is answered when it has ended."""
        if not message.payload:  # as blank as a text can be, which is spoken as a little silence
            data["text"] = ""
        request = JobRequest.of(data)
        if request.deliver == "url" and self._node.url_of("") is None:
            what = "audio has a URL only where http.enabled is true; ask for another delivery"
            raise RequestError(ErrorCode.UNSUPPORTED, what)
        if message.expires_s is not None and (
            request.expires_s is None or message.expires_s < request.expires_s
        ):
            request = request.model_copy(update={"expires_s": float(message.expires_s)})
        await self._queue.submit(request, job_id=reply.transaction, reply=reply.to_json())

    async def _voices(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, {"cloned": bool, "offset": int, "limit": int})
        if data.get("cloned"):
            return self._cloned.page(data)
        return {"voices": [views.voice(each) for each in self._node.voices() if each.advertised]}

    async def _jobs(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, {"state": str, "limit": int})
        limit = 100 if data.get("limit") is None else data["limit"]
        if not 1 <= limit <= _MAX_LISTED:
            raise RequestError(
                ErrorCode.BAD_REQUEST, f"limit must be within 1 and {_MAX_LISTED}, not {limit}"
            )
        jobs = await self._queue.list(_state(data.get("state")), limit)
        return {"jobs": [self._views.job(job) for job in jobs]}

    async def _job(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, {"id": str})
        return self._views.job(await self._queue.get(_required_id(data)))

    async def _cancel(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, {"id": str, "all": bool})
        if data.get("all"):
            if data.get("id") is not None:
                raise RequestError(ErrorCode.BAD_REQUEST, "give id or all, not both")
            return {"cancelled": await self._node.cancel_live()}
        return self._views.job(await self._queue.cancel(_required_id(data)))

    async def _engines(
        self, act: Callable[[str | None], Awaitable[None]], data: dict[str, Any]
    ) -> Mapping[str, Any]:
        check_keys(data, {"engine": str})
        await act(data.get("engine"))
        return {"engines": self._node.engines()}

    async def _settings(self, data: dict[str, Any]) -> Mapping[str, Any]:
        if not data:
            return self._node.settings()
        settings = await self._node.change_settings(data)
        self._changed()
        return settings

    async def _health_check(self, data: dict[str, Any]) -> Mapping[str, Any]:
        check_keys(data, {})
        return {"healthy": True}


def _required_id(data: Mapping[str, Any]) -> str:
    if data.get("id") is None:
        raise RequestError(ErrorCode.BAD_REQUEST, "id is missing")
    found: str = data["id"]
    return found


def _state(name: str | None) -> JobState | None:
    if name is None:
        return None
    try:
        return JobState(name)
    except ValueError:
        states = ", ".join(JobState)
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"state must be one of {states}, not '{name[:60]}'"
        ) from None
