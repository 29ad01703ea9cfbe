"""The messages of Rhasspy's satellites."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import speech as path
from voicenode.errors import RequestError
from voicenode.transports.mqtt.hermes_messages import Conversation, speech

ASKED = Conversation(site="kitchen", id="r1", session="s1")


def data(publication: Any) -> Any:  # noqa: ANN401 - JSON
    return json.loads(publication.payload)


def test_what_a_satellite_asks_for_becomes_a_request() -> None:
    request = speech({"text": "Ciao!", "lang": "it_IT", "volume": 0.5, "siteId": "kitchen", "new": 1})
    assert (request.text, request.language, request.volume) == ("Ciao!", "it_IT", 0.5)
    assert (request.live, request.format) == (True, "wav")
    assert request.expires_s == 60


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, "text is missing"),
        ({"text": None}, "text is missing"),
        ({"text": 3}, "text should be a valid string"),
        ({"text": "hi", "lang": 3}, "language should be a valid string"),
        ({"text": "hi", "volume": "loud"}, "volume should be a valid number"),
        ({"text": "hi", "volume": 9}, "volume should be less than or equal to 2"),
    ],
)
def test_what_cannot_be_spoken_is_named(asked: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        speech(asked)


def test_keys_that_are_missing_null_or_of_another_type_are_the_defaults() -> None:
    for asked in (
        {},
        {"siteId": None, "id": None, "sessionId": None},
        {"siteId": 3, "id": [], "sessionId": {}},
    ):
        assert Conversation.of(asked) == Conversation(site="default", id=None, session=None)


def test_a_conversation_survives_in_the_store() -> None:
    assert Conversation.from_json(json.loads(json.dumps(ASKED.to_json()))) == ASKED


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Conversation(site="a/b"), "siteId 'a/b' cannot stand in a topic"),
        (Conversation(site="+"), "siteId '\\+' cannot stand in a topic"),
        (Conversation(id="#"), "id '#' cannot stand in a topic"),
        (Conversation(id=""), "id '' cannot stand in a topic"),
    ],
)
def test_words_that_cannot_stand_in_a_topic_are_refused(asked: Conversation, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        asked.check()


def test_the_answers_have_the_keys_of_rhasspy() -> None:
    sound = ASKED.play_bytes("r1", b"RIFF")
    assert (sound.topic, sound.payload) == ("hermes/audioServer/kitchen/playBytes/r1", b"RIFF")
    finished = ASKED.say_finished()
    assert finished.topic == "hermes/tts/sayFinished"
    assert data(finished) == {"siteId": "kitchen", "id": "r1", "sessionId": "s1"}
    error = ASKED.error("no")
    assert error.topic == "hermes/error/tts"
    assert data(error) == {"error": "no", "siteId": "kitchen", "context": "r1", "sessionId": "s1"}
    voices = ASKED.voices(path.catalogue())
    assert voices.topic == "rhasspy/tts/voices"
    assert data(voices)["voices"][0] == {"voiceId": "tone-plain", "description": "Plain tone"}
    assert data(voices).keys() == {"voices", "id", "siteId"}
