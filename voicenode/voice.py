"""A voice: what a user can choose, and what of it was chosen."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    speakers_are_qualities: bool = False
    """Whether `speakers` names quality profiles, for the voice has no speakers of its own."""
    quality: str | None = None
    """The quality profile in which it speaks when nobody asks for one."""
    multilingual: bool = False
    """Whether it reads a text in each of its languages, of which the text itself may decide."""
    cloned: bool = False
    """Whether it is a voice profile, whose `id` is the profile's name, and not the engine's own voice."""
    revision: int = 0
    """How often a cloned voice was made; what was spoken by another revision may sound different."""

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
            multilingual=voice.multilingual,
        )

    @property
    def tags(self) -> set[str]:
        """What a request may call its languages: whole tags and their base languages, in lower case."""
        return {tag.casefold() for tag in self.languages} | {base_language(tag) for tag in self.languages}

    def spelling(self, language: str) -> str | None:
        """Its own spelling of a language, which is what the engine is told; None for one that it lacks."""
        wanted = language.replace("_", "-").casefold()
        same = (tag for tag in self.languages if tag.casefold() == wanted)
        alike = (tag for tag in self.languages if base_language(tag) == base_language(wanted))
        return next(same, None) or next(alike, None)

    def name_in(self, language: str) -> str:
        """The name under which a multilingual voice speaks this language."""
        return f"{self.name}-{language.casefold()}"

    def of_language(self, language: str) -> "Voice | None":
        """The voice `<voice>-<language>`: it speaks that language where a request names no other."""
        for tag in self.languages if self.multilingual else ():
            if language.casefold() in {tag.casefold(), base_language(tag)}:
                others = (other for other in self.languages if other != tag)
                name = self.name_in(language)
                return replace(self, name=name, languages=(tag, *others), multilingual=False)
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """One resolved voice: who speaks, in which preset and quality, and in which language."""

    voice: Voice
    speaker: str | None
    language: str
    quality: str | None = None
    """The quality profile that was chosen as a speaker."""
    language_open: bool = False
    """Whether nobody has named one of the voice's languages, so that the text decides."""


def name_key(name: str) -> str:
    """What is the same for all spellings of a cloned voice's name."""
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def base_language(tag: str) -> str:
    """The language of a BCP 47 tag, without script, region and variants, in lower case."""
    return tag.replace("_", "-").partition("-")[0].casefold()


def speaks(voice: Voice, language: str) -> bool:
    """Whether a voice knows a language, in any of its regions."""
    return base_language(language) in voice.tags


def with_qualities(voice: Voice, names: Sequence[str]) -> Voice:
    """The voice with quality profiles as its speakers, if it has none of its own."""
    if (voice.speakers or voice.other_speakers) and not voice.speakers_are_qualities:
        return voice
    return replace(voice, speakers=tuple(names), speakers_are_qualities=bool(names))


def as_quality(voice: Voice, speaker: str | None) -> str | None:
    """The quality profile for which a voice's speaker stands, if it stands for one."""
    return speaker if voice.speakers_are_qualities else None
