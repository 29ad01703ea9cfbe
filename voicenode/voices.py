"""The catalogue of everything that can speak, and how a request's words become one voice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voicenode.engine import EngineVoice


@dataclass(frozen=True, slots=True)
class Voice:
    """What a user can choose: an engine's voice under its public name `<engine>-<id>`."""

    name: str
    engine: str
    id: str
    description: str
    languages: tuple[str, ...]
    speakers: tuple[str, ...] = ()
    other_speakers: tuple[str, ...] = ()
    advertised: bool = True

    @classmethod
    def of_engine(cls, engine: str, voice: EngineVoice) -> "Voice":
        return cls(
            name=f"{engine}-{voice.id}",
            engine=engine,
            id=voice.id,
            description=voice.description,
            languages=voice.languages,
            speakers=voice.speakers,
            other_speakers=voice.other_speakers,
            advertised=voice.advertised,
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """One resolved voice: who speaks, in which preset, and in which language."""

    voice: Voice
    speaker: str | None
    language: str


class Catalogue:
    """Every voice of every engine, in a stable order: the default voice first.

    Args:
        voices: all voices, in the order in which a language's default is looked for.
        default_voice: the name of the voice that speaks when nothing else decides.
        language_voices: language tag -> name of the voice that speaks it by default.
        aliases: another name -> the name of a voice.

    Raises:
        SetupError: a name in the arguments is not a voice.
    """

    def __init__(
        self,
        voices: Iterable[Voice],
        default_voice: str,
        language_voices: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._voices = {voice.name: voice for voice in voices}
        self._aliases = {alias.casefold(): name for alias, name in (aliases or {}).items()}
        self._by_name = {name.casefold(): voice for name, voice in self._voices.items()}
        self.default = self._setting("default_voice", default_voice)
        self._language_voices = {
            tag.casefold(): self._setting(f"language_voices.{tag}", name)
            for tag, name in (language_voices or {}).items()
        }
        for alias, name in (aliases or {}).items():
            self._setting(f"aliases.{alias}", name)

    def __iter__(self) -> Iterable[Voice]:  # type: ignore[override]
        return iter(self._voices.values())
