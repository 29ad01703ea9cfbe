"""What satellites of Rhasspy and the node say to each other, in the Hermes protocol.

https://rhasspy.readthedocs.io/en/latest/reference/#tts tells what the keys mean. Keys that are not known are
skipped, as Rhasspy itself does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from voicenode.jobs import JobRequest
from voicenode.transports.mqtt.messages import to_json
from voicenode.transports.mqtt.packets import Publication
from voicenode.transports.mqtt.topics import check_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voicenode.voice import Voice

SAY, GET_VOICES = "hermes/tts/say", "rhasspy/tts/getVoices"
PLAY_FINISHED = "hermes/audioServer/+/playFinished"

_FRESH_SECONDS = 60.0
"""From request to first sound; in a conversation nobody waits longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Whom to answer; what is missing or of no use in a message is the default."""

    site: str = "default"
    id: str | None = None
    session: str | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From the keys that every message has."""
        return cls(
            site=_string(data, "siteId") or "default",
            id=_string(data, "id"),
            session=_string(data, "sessionId"),
        )

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        return cls(site=kept["site"], id=kept["id"], session=kept["session"])

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a job."""
        return asdict(self)

    def check(self) -> None:
        """Raise RequestError where there can be no topic for the sound."""
        check_word("siteId", self.site)
        if self.id is not None:
            check_word("id", self.id)

    def play_bytes(self, request_id: str, wav: bytes) -> Publication:
        """The sound, for the site's speaker; by the id it will tell that it was heard."""
        return Publication(topic=f"hermes/audioServer/{self.site}/playBytes/{request_id}", payload=wav)

    def say_finished(self) -> Publication:
        return _publication(
            "hermes/tts/sayFinished", {"siteId": self.site, "id": self.id, "sessionId": self.session}
        )

    def error(self, sentence: str) -> Publication:
        told = {"error": sentence, "siteId": self.site, "context": self.id, "sessionId": self.session}
        return _publication("hermes/error/tts", told)

    def voices(self, voices: Iterable[Voice]) -> Publication:
        listed = [{"voiceId": voice.name, "description": voice.description} for voice in voices]
        return _publication("rhasspy/tts/voices", {"voices": listed, "id": self.id, "siteId": self.site})


def speech(data: Mapping[str, Any]) -> JobRequest:
    """What `say` asks for.

    Raises:
        RequestError: it cannot be spoken; the sentence names each wrong key.
    """
    wanted = {"text": data.get("text"), "language": data.get("lang"), "volume": data.get("volume")}
    given = {key: value for key, value in wanted.items() if value is not None}
    return JobRequest.of({**given, "deliver": "inline", "expires_s": _FRESH_SECONDS})


def _string(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


def _publication(topic: str, data: Mapping[str, Any]) -> Publication:
    return Publication(topic=topic, payload=to_json(data))
