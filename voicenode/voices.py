"""The catalogue of everything that can speak, and how a request's words become one voice."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Self

from voicenode.engine import EngineVoice
from voicenode.errors import EngineError, ErrorCode, RequestError, SetupError

_SHOWN_CHARS = 60
"""Characters of a user's word that an error message repeats."""


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

    def spelling(self, language: str) -> str | None:
        """Its own spelling of a language, which is what the engine is told; None for one that it lacks."""
        wanted = language.replace("_", "-").casefold()
        same = (tag for tag in self.languages if tag.casefold() == wanted)
        alike = (tag for tag in self.languages if base_language(tag) == base_language(wanted))
        return next(same, None) or next(alike, None)

    def of_language(self, language: str) -> "Voice | None":
        """The voice `<voice>-<language>`: it speaks that language where a request names no other."""
        for tag in self.languages if self.multilingual else ():
            if language.casefold() in {tag.casefold(), base_language(tag)}:
                others = (other for other in self.languages if other != tag)
                name = f"{self.name}-{language.casefold()}"
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


class Catalogue:
    """Every voice of every engine, and the rules that choose one.

    Args:
        voices: all voices, in the order in which a language's default is looked for.
        default_voice: the name of the voice that speaks when nothing else decides.
        language_voices: language tag -> name of the voice that speaks it by default.
        aliases: another name -> the name of a voice.
        default_engine: the engine whose voice speaks when nothing else decides, if it has one; None for
            that of `default_voice`.
        unavailable: engine -> what it lacks; whoever asks for its voices is told that.

    Raises:
        SetupError: a name in the arguments is not a voice.
    """

    def __init__(
        self,
        voices: Iterable[Voice],
        default_voice: str,
        language_voices: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        *,
        default_engine: str | None = None,
        unavailable: Mapping[str, str] | None = None,
    ) -> None:
        self.unavailable = unavailable or {}
        self._voices = tuple(voices)
        self._cloned: Mapping[str, Voice] = {}
        self._shown: Sequence[Voice] = ()
        self._by_name = {voice.name.casefold(): voice for voice in self._voices}
        named = {alias: self._configured(f"aliases.{alias}", name) for alias, name in (aliases or {}).items()}
        self._by_name |= {alias.casefold(): voice for alias, voice in named.items()}
        self.default = self._configured("default_voice", default_voice)
        self._language_voices = {
            tag.casefold(): self._configured(f"language_voices.{tag}", name)
            for tag, name in (language_voices or {}).items()
        }
        own = [voice for voice in self._voices if voice.engine == default_engine]
        if own and self.default.engine != default_engine:
            self.default = self._default_of(self.default.languages[0], own) or own[0]
        self._configured_default = self.default.name

    def with_qualities(self, names: Mapping[str, Sequence[str]]) -> Self:
        """The same catalogue, in which voices without speakers of their own show quality profiles as such.

        Args:
            names: engine -> the names of its profiles.
        """
        voices = [with_qualities(voice, names.get(voice.engine, ())) for voice in self._voices]
        new = copy(self)
        new._replace(voices)
        return new

    def with_cloned(self, cloned: Mapping[str, Voice], shown: Sequence[Voice]) -> Self:
        """The same catalogue with other cloned voices, beside the engines' own, which go before them.

        Where the default was one that is gone, the voice that is configured speaks instead.

        Args:
            cloned: `name_key` of any name of a voice -> the voice.
            shown: those that clients see.
        """
        new = copy(self)
        new.set_cloned(cloned, shown)
        return new

    def set_cloned(self, cloned: Mapping[str, Voice], shown: Sequence[Voice]) -> None:
        """What `with_cloned` does to a copy."""
        self._cloned, self._shown = cloned, tuple(shown)
        self.default = self.find(self.default.name) or self._named(self._configured_default)

    def set_default(self, name: str) -> None:
        """Let another voice speak when nothing else decides.

        Raises:
            RequestError: there is no such voice.
        """
        self.default = self._named(name)

    def __iter__(self) -> Iterator[Voice]:
        """The engines' own voices, and of those that were cloned the ones that clients see."""
        yield from self._voices
        yield from self._shown

    def choose(
        self,
        name: str | None = None,
        speaker: str | None = None,
        language: str | None = None,
        engine: str | None = None,
    ) -> Choice:
        """The voice for a request: the named one, else the language's default, else the node's.

        A language that no voice speaks leaves the node's default; an engine narrows the choice to its voices.
        Empty strings count as absent.

        Raises:
            RequestError: no such voice, speaker or engine, or the voice is another engine's.
            EngineError: the engine is there, and lacks what it needs to be offered.
        """
        voice = self._named(name) if name else self._default(language or None, engine or None)
        if voice.cloned and engine:
            voice = self._cloned.get(name_key(f"{engine}-{voice.id}"), voice)
        if engine and voice.engine != engine:
            raise RequestError(
                ErrorCode.UNKNOWN_VOICE,
                f"voice '{voice.name}' belongs to the engine '{voice.engine}', not to '{_shown(engine)}'",
            )
        preset, spoken = _speaker(voice, speaker), voice.spelling(language or "")
        quality = as_quality(voice, preset)
        return Choice(
            voice,
            None if quality else preset,
            spoken or voice.languages[0],
            quality,
            language_open=voice.multilingual and spoken is None,
        )

    def find(self, name: str) -> Voice | None:
        """The voice of this name or alias, or `<voice>-<language>` of a multilingual one, if there is one."""
        key = name_key(name)
        return self._known(key) or self._of_language(key)

    @property
    def own_names(self) -> Collection[str]:
        """Every name and alias of the engines' own voices, case-folded."""
        return self._by_name.keys()

    def explain(self, engine: str) -> None:
        """Raise EngineError if this engine would be offered, but for what it lacks."""
        if engine in self.unavailable:
            what = f"engine '{engine}' is not available: {self.unavailable[engine]}"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what)

    def speaker_of(self, language: str, engine: str) -> Voice | None:
        """The voice of an engine that speaks a language by default, if one does."""
        voices = [voice for voice in self._unnamed if voice.engine == engine]
        return self._default_of(language, voices)

    def _replace(self, voices: Sequence[Voice]) -> None:
        """Other versions of the same voices."""
        old = self._by_name
        self._voices = tuple(voices)
        self._by_name = {voice.name.casefold(): voice for voice in voices}
        self._by_name = {name: self._named(voice.name) for name, voice in old.items()}
        self._language_voices = {tag: self._named(voice.name) for tag, voice in self._language_voices.items()}
        self.default = self._named(self.default.name)

    def _known(self, key: str) -> Voice | None:
        return self._by_name.get(key) or self._cloned.get(key)

    def _of_language(self, name: str) -> Voice | None:
        for dash in re.finditer("-", name):
            voice = self._known(name[: dash.start()])
            if voice is not None and (found := voice.of_language(name[dash.end() :])):
                return found
        return None

    def _named(self, name: str) -> Voice:
        voice = self.find(name)
        if voice is None:
            self.explain(name.casefold().partition("-")[0])
            known = [*self._by_name, *(voice.name for voice in self._shown)]
            raise unknown(ErrorCode.UNKNOWN_VOICE, "voice", name, known)
        return voice

    def _default(self, language: str | None, engine: str | None) -> Voice:
        voices = self._unnamed if engine is None else self._of_engine(engine)
        found = self._default_of(language, voices) if language else None
        return found or (self.default if self.default in voices else voices[0])

    def _default_of(self, language: str, voices: Sequence[Voice]) -> Voice | None:
        """Of `voices`, the one configured for a language, else one of the default's engine, else any."""
        preferred = [voice for voice in voices if voice.engine == self.default.engine]
        for some in (preferred, voices):
            for tag in (language.replace("_", "-").casefold(), base_language(language)):
                configured = self._language_voices.get(tag)
                if configured is not None and any(configured.engine == voice.engine for voice in voices):
                    return configured
                if found := self._speaks(tag, some):
                    return found
        return None

    def _speaks(self, tag: str, voices: Sequence[Voice]) -> Voice | None:
        """The node's default voice where it speaks `tag`, else a voice whose first language it is."""
        fitting = [voice for voice in voices if tag in _tags(voice)]
        if self.default in fitting:
            return self.default
        own = (voice for voice in fitting if voice.languages[0].casefold() == tag)
        return next(own, fitting[0] if fitting else None)

    @property
    def _unnamed(self) -> Sequence[Voice]:
        """Those that may speak where none was named; a `<voice>-<language>` may where it is the default."""
        return self._voices if self.default in self._voices else (self.default, *self._voices)

    def _of_engine(self, engine: str) -> Sequence[Voice]:
        voices = [voice for voice in self._unnamed if voice.engine == engine]
        if not voices:
            self.explain(engine)
            engines = sorted({voice.engine for voice in self._voices})
            raise unknown(ErrorCode.UNKNOWN_ENGINE, "engine", engine, engines)
        return voices

    def _configured(self, setting: str, name: str) -> Voice:
        try:
            return self._named(name)
        except (RequestError, EngineError) as error:
            raise SetupError(ErrorCode.BAD_SETTINGS, f"{setting}: {error}") from error


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
    return base_language(language) in _tags(voice)


def with_qualities(voice: Voice, names: Sequence[str]) -> Voice:
    """The voice with quality profiles as its speakers, if it has none of its own."""
    if (voice.speakers or voice.other_speakers) and not voice.speakers_are_qualities:
        return voice
    return replace(voice, speakers=tuple(names), speakers_are_qualities=bool(names))


def as_quality(voice: Voice, speaker: str | None) -> str | None:
    """The quality profile for which a voice's speaker stands, if it stands for one."""
    return speaker if voice.speakers_are_qualities else None


def unknown(code: ErrorCode, kind: str, value: str, known: Sequence[str], *, of: str = "") -> RequestError:
    """The error for a word of a user that is none of the known ones; it tells the nearest of them."""
    near = _near(value.casefold()[:_SHOWN_CHARS], {name.casefold(): name for name in known})
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return RequestError(code, f"unknown {kind} '{_shown(value)}'{of}{hint}")


def _speaker(voice: Voice, speaker: str | None) -> str | None:
    if not speaker:
        return None
    known = [*voice.speakers, *voice.other_speakers]
    for name in known:
        if name.casefold() == speaker.casefold():
            return name
    raise unknown(ErrorCode.UNKNOWN_SPEAKER, "speaker", speaker, known, of=f" of voice '{voice.name}'")


def _tags(voice: Voice) -> set[str]:
    """What a request may call the voice's languages: whole tags and their base languages."""
    return {tag.casefold() for tag in voice.languages} | {base_language(tag) for tag in voice.languages}


def _shown(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "\u2026"


def _near(value: str, known: Mapping[str, str]) -> Sequence[str]:
    """Up to three names: those that go on where `value` ends, then those that look like it."""
    begun = sorted((name for name in known if name.startswith(value)), key=len)
    alike = get_close_matches(value, known, n=3, cutoff=0.5)
    return [known[name] for name in dict.fromkeys([*begun, *alike])][:3]
