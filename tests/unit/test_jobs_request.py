import json
from typing import Any

import pytest

from voicenode.encoding import AudioFormat
from voicenode.errors import ErrorCode, RequestError
from voicenode.jobs import Job, JobRequest


def problem(data: object) -> str:
    with pytest.raises(RequestError) as raised:
        JobRequest.of(data)
    assert raised.value.code is ErrorCode.BAD_REQUEST
    return str(raised.value)


def test_a_text_is_enough() -> None:
    request = JobRequest.of({"text": "hello"})
    assert (request.format, request.deliver, request.live) == (AudioFormat.WAV, "url", True)


def test_every_key_is_understood() -> None:
    data = {
        "text": "hello",
        "text_format": "ssml",
        "voice": "tone-plain",
        "speaker": "soft",
        "language": "en",
        "engine": "tone",
        "quality": "fast",
        "speed": 1,
        "volume": 0.5,
        "format": "mp3",
        "sample_rate": 22050,
        "deliver": "topic",
        "priority": "batch",
        "expires_s": 30,
        "keep_alive": 0,
    }
    assert JobRequest.of(data).model_dump(mode="json") == data


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"txt": 1}, "unknown key 'txt'; did you mean 'text'?"),
        ({"xyzzy": 1}, "unknown key 'xyzzy'"),
        ({"text": 7}, "text should be a valid string, not 7"),
        ({"text": None}, "text should be a valid string, not None"),
        ({"text": "\ud800"}, "text should be valid Unicode, not '\\ud800'"),
        ({"voice": "\ud800"}, "voice should be valid Unicode"),
        ({"voice": ["a"]}, "voice should be a valid string, not a list"),
        ({"speed": "1"}, "speed should be a valid number, not '1'"),
        ({"speed": True}, "speed should be a valid number, not True"),
        ({"speed": 9}, "speed should be less than or equal to 4, not 9"),
        ({"speed": float("nan")}, "speed should be"),
        ({"volume": -1}, "volume should be greater than or equal to 0, not -1"),
        ({"quality": 7}, "quality should be a valid string, not 7"),
        ({"format": "aac"}, "format should be 'wav', 'flac', 'mp3', 'opus' or 'pcm', not 'aac'"),
        ({"sample_rate": 100}, "sample_rate should be greater than or equal to 8000, not 100"),
        ({"sample_rate": 16000.5}, "sample_rate should be a valid integer, not 16000.5"),
        ({"deliver": "mail"}, "deliver should be 'url', 'inline', 'topic' or 'play', not 'mail'"),
        ({"priority": "high"}, "priority should be 'live' or 'batch', not 'high'"),
        ({"expires_s": 0}, "expires_s should be greater than 0, not 0"),
        ({"keep_alive": -2}, "keep_alive should be"),
        ({"keep_alive": "ever"}, "keep_alive should be"),
        ({"deliver": "play", "format": "mp3"}, "format 'mp3' cannot be played by the node; leave it out"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(extra: dict[str, Any], sentence: str) -> None:
    assert problem({"text": "hello"} | extra).startswith(sentence)


@pytest.mark.parametrize("data", [None, 7, "text", ["text"], b"{}"], ids=repr)
def test_what_is_no_object_is_refused(data: object) -> None:
    assert problem(data) == "the request must be a JSON object"


def test_the_text_must_be_there() -> None:
    assert problem({}) == "text is missing"


def test_many_problems_make_a_short_sentence() -> None:
    sentence = problem({f"{'k' * 10_000}{number}": 1 for number in range(1000)})
    assert sentence.endswith("and 996 more")
    assert len(sentence) < 1000


def test_a_large_value_is_not_repeated() -> None:
    assert len(problem({"text": "hello", "format": "x" * 1_000_000})) < 200


@pytest.mark.parametrize("change", [{"text": "other"}, {"speed": 2.0}, {"deliver": "inline"}], ids=str)
def test_the_digest_tells_requests_apart(change: dict[str, Any]) -> None:
    def digest(data: dict[str, Any]) -> str:
        return Job.of(JobRequest.of(data), None, None).digest

    assert digest({"text": "hello"}) == digest(json.loads('{"priority": "live", "text": "hello"}'))
    assert digest({"text": "hello"} | change) != digest({"text": "hello"})
