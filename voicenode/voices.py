"""The catalogue of everything that can speak, and how a request's words become one voice."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Self

from voicenode.errors import EngineError, ErrorCode, RequestError, SetupError
from voicenode.voice import Choice, Voice, as_quality, base_language, name_key, with_qualities
from voicenode.words import shown, unknown


class Catalogue:
    """Every voice of every engine, those that were cloned, and the rules that choose one.

    Cloned voices come and go: what the arguments name is looked up when it is needed, and `check` tells
    whether it is there. A request that falls to a voice that is gone is refused.

    Args:
        voices: all voices of the engines, in the order in which a language's default is looked for.
        default_voice: the name of the voice that speaks when nothing else decides.
        language_voices: language tag -> name of the voice that speaks it by default.
        aliases: another name -> the name of a voice.
        default_engine: the engine whose voice speaks when nothing else decides, if it has one; None for
            that of `default_voice`.
        unavailable: engine -> what it lacks; whoever asks for its voices is told that.
        also_named: other settings that name a voice -> its name.
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
        also_named: Mapping[str, str] | None = None,
    ) -> None:
        languages, aliases = language_voices or {}, aliases or {}
        self.unavailable = unavailable or {}
        self._aliases = {name_key(alias): name for alias, name in aliases.items()}
        self._language_voices = {tag.casefold(): name for tag, name in languages.items()}
        self._configured = {
            "default_voice": default_voice,
            **{f"language_voices.{tag}": name for tag, name in languages.items()},
            **{f"aliases.{alias}": alias for alias in aliases},
            **(also_named or {}),
        }
        self._default_engine = default_engine
        self._chosen: str | None = None
        self.default: Voice | None = None
        """The voice that speaks when nothing else decides; None while there is none of its name."""
        self._replace(voices, {}, ())

    def check(self) -> None:
        """Look whether there is every voice that is configured, once those that were cloned are known.

        Raises:
            SetupError: the name in a setting is not a voice.
        """
        for setting, error in self.missing():
            raise SetupError(ErrorCode.BAD_SETTINGS, f"{setting}: {error}") from error

    def missing(self) -> Iterator[tuple[str, RequestError | EngineError]]:
        """The settings whose voice is not there, and why: an EngineError where its engine lacks something."""
        for setting, name in self._configured.items():
            try:
                self._named(name)
            except (RequestError, EngineError) as error:
                yield setting, error

    def with_qualities(self, names: Mapping[str, Sequence[str]]) -> Self:
        """The same catalogue, in which voices without speakers of their own show quality profiles as such.

        Args:
            names: engine -> the names of its profiles.
        """
        voices = [with_qualities(voice, names.get(voice.engine, ())) for voice in self._voices]
        new = copy(self)
        new._replace(voices, self._cloned, self._shown)
        return new

    def with_cloned(self, cloned: Mapping[str, Voice], shown: Sequence[Voice]) -> Self:
        """The same catalogue with other cloned voices, beside the engines' own, which go before them.

        Args:
            cloned: `name_key` of any name of a voice -> the voice.
            shown: those that clients see.
        """
        new = copy(self)
        new._replace(self._voices, cloned, shown)
        return new

    def set_default(self, name: str) -> None:
        """Let another voice speak when nothing else decides; the default may stay also while it is gone.

        Raises:
            RequestError: there is no such voice.
        """
        if name_key(name) != name_key(self.default_name):
            self._named(name)
        self._chosen = name
        self._find_default()

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
            RequestError: no such voice, speaker or engine, or the voice is another engine's; or the voice
                that the request falls to is gone.
            EngineError: the engine is there, and lacks what it needs to be offered.
        """
        voice = self._named(name) if name else self._unnamed(language or None, engine or None)
        voice = self._spoken_by(engine, voice)
        if engine and voice.engine != engine:
            raise RequestError(
                ErrorCode.UNKNOWN_VOICE,
                f"voice '{voice.name}' belongs to the engine '{voice.engine}', not to '{shown(engine)}'",
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
        return self._known(key) or _of_language(key, self._known)

    @property
    def default_name(self) -> str:
        """By which name `find` finds the default voice, whether or not it is there."""
        if self.default is not None and self.find(self.default.name) == self.default:
            return self.default.name
        return self._chosen or self._configured["default_voice"]

    @property
    def own_names(self) -> set[str]:
        """Every name and alias of the engines' own voices, case-folded."""
        return {*self._by_name, *self._aliases}

    @property
    def needed(self) -> Collection[str]:
        """The ids of the cloned voices that settings name, or that speak when nothing else decides."""
        found = map(self.find, [*self._configured.values(), self._chosen or ""])
        return {voice.id for voice in found if voice is not None and voice.cloned}

    def settings_naming(self, name: str) -> list[str]:
        """The settings that choose the cloned voice of this name, by it or by an alias."""
        found = ((setting, self.find(chosen)) for setting, chosen in self._configured.items())
        return [setting for setting, voice in found if voice and voice.cloned and voice.id == name]

    def explain(self, engine: str) -> None:
        """Raise EngineError if this engine would be offered, but for what it lacks."""
        if engine in self.unavailable:
            what = f"engine '{engine}' is not available: {self.unavailable[engine]}"
            raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, what)

    def speaker_of(self, language: str, engine: str) -> Voice | None:
        """The voice of an engine that speaks a language by default, if one does."""
        return self._default_of(language, self._of_engine(engine), engine)

    def _replace(self, voices: Iterable[Voice], cloned: Mapping[str, Voice], shown: Iterable[Voice]) -> None:
        """Know other voices, or other versions of the same."""
        self._voices, self._cloned, self._shown = tuple(voices), cloned, tuple(shown)
        self._by_name = {name_key(voice.name): voice for voice in self._voices}
        self._find_default()

    def _known(self, key: str) -> Voice | None:
        """The voice of this name or alias; an alias goes first, also where its voice is gone."""
        if key not in self._aliases:
            return self._listed(key)
        name = name_key(self._aliases[key])
        return self._listed(name) or _of_language(name, self._listed)

    def _listed(self, key: str) -> Voice | None:
        return self._by_name.get(key) or self._cloned.get(key)

    def _named(self, name: str) -> Voice:
        voice = self.find(name)
        if voice is None:
            self.explain(name.casefold().partition("-")[0])
            known = [*self.own_names - {name_key(name)}, *(each.name for each in self._shown)]
            raise unknown(ErrorCode.UNKNOWN_VOICE, "voice", self._aliases.get(name_key(name), name), known)
        return voice

    def _spoken_by(self, engine: str | None, voice: Voice) -> Voice:
        """A cloned voice as this engine speaks it, if it does; any other as it is."""
        return self._cloned.get(name_key(f"{engine}-{voice.id}"), voice) if voice.cloned and engine else voice

    def _find_default(self) -> None:
        name, engine = self._chosen or self._configured["default_voice"], self._default_engine
        self.default = voice = self.find(name)
        if voice is None or engine in {None, voice.engine}:
            return
        if name_key(name) == name_key(voice.name):  # and not `<engine>-<voice>`, which says who shall speak
            self.default = voice = self._spoken_by(engine, voice)
        own = [other for other in self._voices if other.engine == engine]
        if own and voice.engine != engine and not self._chosen:
            self.default = self._default_of(voice.languages[0], own, engine) or own[0]

    def _unnamed(self, language: str | None, engine: str | None) -> Voice:
        """Who speaks where no voice was named."""
        if engine is None:
            voices = self._eligible
        elif not (voices := self._of_engine(engine)):
            self.explain(engine)
            engines = sorted({voice.engine for voice in self._voices})
            raise unknown(ErrorCode.UNKNOWN_ENGINE, "engine", engine, engines)
        found = self._default_of(language, voices, engine) if language else None
        if found or engine:
            return found or next((voice for voice in voices if voice == self.default), voices[0])
        return self.default or self._still_there("default_voice", self.default_name)

    def _default_of(self, language: str, voices: Sequence[Voice], engine: str | None) -> Voice | None:
        """Of `voices`, the one configured for a language, else one of the default's engine, else any.

        Nobody speaks by default where the node's default is gone, unless an engine is named.
        """
        preferred = [voice for voice in voices if self.default and voice.engine == self.default.engine]
        for some in (preferred, voices):
            for tag in (language.replace("_", "-").casefold(), base_language(language)):
                if found := self._configured_for(tag, engine):
                    return found
                if (self.default or engine) and (found := self._speaks(tag, some)):
                    return found
        return None

    def _configured_for(self, tag: str, engine: str | None) -> Voice | None:
        """The voice that the settings choose for a language, if it is of this engine.

        Raises:
            RequestError: it is gone, and no engine narrows the choice.
        """
        name = self._language_voices.get(tag)
        if name is None:
            return None
        if engine is None:
            return self._still_there(f"language_voices.{tag}", name)
        found = self.find(name)
        voice = found and self._spoken_by(engine, found)
        return voice if voice and voice.engine == engine else None

    def _still_there(self, setting: str, name: str) -> Voice:
        voice = self.find(name)
        if voice is None:
            what = f"{setting} is '{shown(name)}', and that voice is gone; clone it again or choose another"
            raise RequestError(ErrorCode.UNKNOWN_VOICE, what)
        return voice

    def _speaks(self, tag: str, voices: Sequence[Voice]) -> Voice | None:
        """The node's default voice where it speaks `tag`, else a voice whose first language it is."""
        fitting = [voice for voice in voices if tag in voice.tags]
        if self.default in fitting:
            return self.default
        own = (voice for voice in fitting if voice.languages[0].casefold() == tag)
        return next(own, fitting[0] if fitting else None)

    @property
    def _eligible(self) -> Sequence[Voice]:
        """Those that may speak where none was named: the engines' own, and the default."""
        if self.default is None or self.default in self._voices:
            return self._voices
        return self.default, *self._voices

    def _of_engine(self, engine: str) -> Sequence[Voice]:
        """Those of one engine; it may speak for the default voice where that was cloned."""
        default = [self._spoken_by(engine, self.default)] if self.default else []
        return [voice for voice in dict.fromkeys([*default, *self._eligible]) if voice.engine == engine]


def _of_language(name: str, known: Callable[[str], Voice | None]) -> Voice | None:
    """The voice `<voice>-<language>` of a voice that is known."""
    for dash in re.finditer("-", name):
        voice = known(name[: dash.start()])
        if voice is not None and (found := voice.of_language(name[dash.end() :])):
            return found
    return None


def _speaker(voice: Voice, speaker: str | None) -> str | None:
    if not speaker:
        return None
    known = [*voice.speakers, *voice.other_speakers]
    for name in known:
        if name.casefold() == speaker.casefold():
            return name
    raise unknown(ErrorCode.UNKNOWN_SPEAKER, "speaker", speaker, known, of=f" of voice '{voice.name}'")
