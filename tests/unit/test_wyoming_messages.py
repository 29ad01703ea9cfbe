import json
from typing import Any

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeVoice

from voicenode.audio import PcmFormat
from voicenode.errors import BusyError, ErrorCode, RequestError
from voicenode.transports.wyoming import messages


def events(stream: bytes) -> list[Event]:
    """What a stock reader makes of the bytes."""
    found = []
    while stream:
        line, _, rest = stream.partition(b"\n")
        header = json.loads(line)
        data_length, payload_length = header["data_length"], header.get("payload_length", 0)
        data = json.loads(rest[:data_length])
        found.append(Event(header["type"], data, rest[data_length : data_length + payload_length]))
        stream = rest[data_length + payload_length :]
    return found


def test_audio_messages_are_what_the_stock_package_makes() -> None:
    audio = messages.AudioMessages(PcmFormat(22_050, channels=2))
    one, two = bytes(range(200)) * 4, b"\n{}" * 4
    found = events(audio.start() + audio.chunk(one) + audio.chunk(two) + audio.stop())
    assert AudioStart.from_event(found[0]) == AudioStart(22_050, 2, 2, timestamp=0)
    assert AudioChunk.from_event(found[1]) == AudioChunk(22_050, 2, 2, one, timestamp=0)
    assert AudioChunk.from_event(found[2]) == AudioChunk(22_050, 2, 2, two, timestamp=9)
    assert AudioStop.from_event(found[3]) == AudioStop(timestamp=9)


def test_the_playing_time_is_the_sum_of_the_chunks() -> None:
    audio = messages.AudioMessages(PcmFormat(16_000))
    audio.chunk(bytes(32_000))
    audio.chunk(bytes(16_000))
    assert audio.seconds == 1.5


@pytest.mark.parametrize(
    ("voice", "expected"),
    [
        (None, (None, None, None)),
        (SynthesizeVoice(name="bob"), ("bob", None, None)),
        (SynthesizeVoice(name="bob", speaker="calm"), ("bob", "calm", None)),
        (SynthesizeVoice(language="de"), (None, None, "de")),
    ],
)
def test_the_stock_forms_of_a_voice(
    voice: SynthesizeVoice | None, expected: tuple[str | None, str | None, str | None]
) -> None:
    data = Synthesize("hello", voice=voice, context={"any": "thing"}).event().data
    request = messages.synthesis_request(data, "hello")
    assert (request.voice, request.speaker, request.language) == expected


def test_a_language_beside_a_name_is_handed_on() -> None:
    request = messages.synthesis_request({"voice": {"name": "bob", "language": "de"}}, "hello")
    assert (request.voice, request.language) == ("bob", "de")


@pytest.mark.parametrize("data", [{"voice": {}}, {"voice": None}, {"text_format": None}, {"speed": "x"}])
def test_what_says_nothing_is_left_to_the_node(data: dict[str, Any]) -> None:
    request = messages.synthesis_request(data, "hello")
    assert request == messages.synthesis_request({}, "hello")


def test_a_quality_profile_is_asked_for_beside_the_voice() -> None:
    assert messages.synthesis_request({"quality": "calm"}, "").quality == "calm"
    assert messages.synthesis_request({"quality": None}, "").quality is None


def test_ssml_is_a_text_format() -> None:
    assert messages.synthesis_request({"text_format": "ssml"}, "").text_format == "ssml"
    assert messages.synthesis_request({"text_format": "text"}, "").text_format == "text"


@pytest.mark.parametrize(
    "data",
    [
        {"voice": "bob"},
        {"voice": ["bob"]},
        {"voice": {"name": 5}},
        {"voice": {"name": "bob", "speaker": ["calm"]}},
        {"voice": {"language": {}}},
        {"text_format": "markdown"},
        {"text_format": 1},
        {"quality": 1},
    ],
)
def test_a_wrong_shape_is_a_bad_request(data: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        messages.synthesis_request(data, "hello")
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("data", [{}, {"text": None}, {"text": 5}, {"text": ["hello"]}])
def test_a_text_must_be_a_string(data: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="text must be a string"):
        messages.required_text(data)


def test_a_complaint_repeats_little_of_what_it_is_about() -> None:
    with pytest.raises(RequestError) as caught:
        messages.required_text({"text": ["x" * 100_000]})
    assert len(str(caught.value)) < 200


def test_a_failure_carries_code_and_sentence_and_ends_a_stream() -> None:
    error = BusyError("too much")
    assert events(messages.failure(error))[0].data == {"text": "too much", "code": "busy"}
    assert messages.failure(error, streaming=True) == messages.failure(error) + messages.SYNTHESIZE_STOPPED
