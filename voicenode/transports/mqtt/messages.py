"""Payloads as values: what is asked, and what is answered."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from voicenode.errors import ErrorCode, RequestError, VoiceServiceError
from voicenode.transports.mqtt.packets import MAX_PAYLOAD
from voicenode.transports.mqtt.topics import check_word, topic_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.transports.mqtt.packets import Message

_SHOWN_CHARS = 60
_MAX_REPEATED = 200
"""Characters of a transaction that is repeated though it is refused: as many as the id of a job may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Where an answer goes beside the response topic of its request, and what is repeated in it."""

    transaction: str | None = None
    shared: bool = False
    """Whether it was asked of any node, not of this one."""
    topic: str | None = None
    """The response topic that the request named (MQTT 5)."""
    correlation: bytes | None = None

    @classmethod
    def to(cls, message: Message, *, shared: bool = False) -> Self:
        """The reply to a message, as long as its transaction is not known."""
        topic = message.response_topic
        if topic is not None and topic_problem(topic):
            topic = None
        return cls(shared=shared, topic=topic, correlation=message.correlation if topic else None)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        correlation = kept["correlation"]
        return cls(
            transaction=kept["transaction"],
            shared=kept["shared"],
            topic=kept["topic"],
            correlation=None if correlation is None else base64.b64decode(correlation),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a job."""
        correlation = self.correlation
        return {
            "transaction": self.transaction,
            "shared": self.shared,
            "topic": self.topic,
            "correlation": None if correlation is None else base64.b64encode(correlation).decode(),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about a request; every payload has the same keys."""

    status: Literal["ok", "started", "error"]
    data: Mapping[str, Any]
    error: str | None = None
    code: str | None = None

    @classmethod
    def failed(cls, error: VoiceServiceError) -> Self:
        return cls("error", {}, str(error), error.code)

    def payload(self, transaction: str | None, node: str | None = None) -> bytes:
        """As JSON; `node` says who answers where anybody might have."""
        answer: dict[str, Any] = {
            "status": self.status,
            "transaction": transaction,
            "data": self.data,
            "error": self.error,
            "code": self.code,
        }
        return to_json(answer if node is None else {**answer, "node": node})


def to_json(value: object) -> bytes:
    """A payload for programs."""
    return json.dumps(value, separators=(",", ":")).encode()


def parse(payload: bytes, plain: str | None, way_out: str = "") -> dict[str, Any]:
    """The JSON object in a payload; plain text is the value of its key `plain`, nothing is an empty object.

    `way_out` is added to the sentence about a payload that is too large.

    Raises:
        RequestError: it is neither.
    """
    if len(payload) > MAX_PAYLOAD:
        raise _bad(f"the payload has more than the {MAX_PAYLOAD} bytes that are allowed{way_out}")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise _bad("the payload is not UTF-8") from None
    if not text.lstrip().startswith("{"):
        return _from_plain_text(text, plain)
    try:
        data: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(f"the payload starts like a JSON object, but is none: {error}") from None
    return data


def repeatable_transaction(data: Mapping[str, Any]) -> str | None:
    """What a request gives as its transaction, allowed or not, if an answer can repeat it."""
    sent = data.get("transaction")
    return sent if isinstance(sent, str) and sent.isprintable() and len(sent) <= _MAX_REPEATED else None


def take_transaction(data: dict[str, Any]) -> str | None:
    """Remove the transaction from a request and give it.

    Raises:
        RequestError: it is no string, or cannot stand in a topic.
    """
    transaction = data.pop("transaction", None)
    if transaction is None:
        return None
    if not isinstance(transaction, str):
        raise _bad(f"transaction must be a string, not {json.dumps(transaction)[:_SHOWN_CHARS]}")
    return check_word("transaction", transaction)


def check_keys(data: Mapping[str, Any], known: Mapping[str, type]) -> None:
    """Raise RequestError naming every key that is unknown or has a value of another type; null is absence."""
    unknown = [key for key in data if key not in known]
    wrong = [
        f"{key} must be {_TYPE_NAMES[kind]}"
        for key, kind in known.items()
        if not (data.get(key) is None or type(data[key]) is kind)
    ]
    if unknown:
        keys = ", ".join(f"'{key[:_SHOWN_CHARS]}'" for key in unknown[:5])
        allowed = ", ".join((*known, "transaction"))
        wrong.insert(0, f"unknown key {keys}; known are {allowed}")
    if wrong:
        raise _bad("; ".join(wrong))


_TYPE_NAMES: dict[type, str] = {str: "a string", bool: "true or false", int: "a whole number"}


def _from_plain_text(text: str, plain: str | None) -> dict[str, Any]:
    if plain is not None and text:
        return {plain: text}
    if text.strip():
        raise _bad("the payload must be empty or a JSON object")
    return {}


def _bad(sentence: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, sentence)
