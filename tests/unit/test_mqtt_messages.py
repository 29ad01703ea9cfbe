import json

import pytest

from voicenode.errors import ErrorCode, RequestError
from voicenode.transports.mqtt.messages import (
    Answer,
    Reply,
    check_keys,
    parse,
    repeatable_transaction,
    take_transaction,
)
from voicenode.transports.mqtt.packets import Message


def message(**fields: object) -> Message:
    defaults: dict[str, object] = {
        "topic": "t",
        "payload": b"",
        "qos": 1,
        "retain": False,
        "ack": lambda: None,
    }
    return Message(**(defaults | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (b"good day", {"text": "good day"}),
        (b'"quoted"', {"text": '"quoted"'}),
        (b"[laughs] 5", {"text": "[laughs] 5"}),
        (b"12", {"text": "12"}),
        (b' {"text": "hi"} ', {"text": "hi"}),
        ("\U0001f600".encode(), {"text": "\U0001f600"}),
        (b"", {}),
    ],
)
def test_a_payload_is_plain_text_or_a_json_object(payload: bytes, data: dict[str, str]) -> None:
    assert parse(payload, "text") == data


@pytest.mark.parametrize(
    "payload", [b'{"a"', b"{'a': 1}", b'{"a": 1} x', b"{" * 9999, b"\xff", b"x" * 5_000_000]
)
def test_what_is_neither_is_refused(payload: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse(payload, "text")
    assert refused.value.code is ErrorCode.BAD_REQUEST


def test_a_request_without_a_main_word_takes_no_plain_text() -> None:
    assert parse(b" \n", None) == {}
    with pytest.raises(RequestError, match="must be empty or a JSON object"):
        parse(b"please", None)


def test_a_transaction_is_taken_out() -> None:
    data = {"text": "hi", "transaction": "t"}
    assert take_transaction(data) == "t"
    assert data == {"text": "hi"}
    assert take_transaction({"transaction": None}) is None


@pytest.mark.parametrize("transaction", ["", "a/b", "+", "#", "a\0", "a\n", "\ud800", 5, ["a"]])
def test_a_transaction_that_cannot_stand_in_a_topic_is_refused(transaction: object) -> None:
    with pytest.raises(RequestError):
        take_transaction({"transaction": transaction})


@pytest.mark.parametrize(
    ("sent", "repeated"),
    [
        *((word, word) for word in ("t", "", "a/b", "#")),
        *((each, None) for each in (None, 5, "a\n", "t" * 201)),
    ],
)
def test_a_transaction_that_is_refused_is_repeated_where_it_can_be_read(
    sent: object, repeated: object
) -> None:
    assert repeatable_transaction({"transaction": sent}) == repeated


def test_wrong_keys_are_named_all_at_once() -> None:
    check_keys({"id": "a", "all": None}, {"id": str, "all": bool})
    with pytest.raises(
        RequestError, match="unknown key 'x', 'y'; known are id, all, transaction; id must be a string"
    ):
        check_keys({"x": 1, "y": 2, "id": 3}, {"id": str, "all": bool})


def test_a_reply_survives_being_kept() -> None:
    reply = Reply(transaction="t", shared=True, topic="a/b", correlation=b"\xff\x00")
    assert Reply.from_json(json.loads(json.dumps(reply.to_json()))) == reply
    assert Reply.from_json(json.loads(json.dumps(Reply().to_json()))) == Reply()


@pytest.mark.parametrize("topic", ["", "a/#", "a/+/b", "a\0b", "x" * 70_000])
def test_a_response_topic_on_which_nothing_can_be_published_is_left_out(topic: str) -> None:
    assert Reply.to(message(response_topic=topic, correlation=b"c")) == Reply()


def test_an_answer_has_always_the_same_keys() -> None:
    good = json.loads(Answer("ok", {"a": 1}).payload("t"))
    assert good == {"status": "ok", "transaction": "t", "data": {"a": 1}, "error": None, "code": None}
    error = RequestError(ErrorCode.BAD_REQUEST, "no")
    bad = json.loads(Answer.failed(error).payload(None, "n1"))
    assert bad == {
        "status": "error",
        "transaction": None,
        "data": {},
        "error": "no",
        "code": "bad-request",
        "node": "n1",
    }
