"""Cloned voices as the catalogue shows them: which engine speaks, in which languages, under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicenode.cloning.profile import sorted_for_show
from voicenode.voice import Voice, base_language, name_key, with_qualities

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from voicenode.cloning.profile import Kept, VoiceProfile
    from voicenode.cloning.profiles import VoiceProfiles
    from voicenode.engine import TTSEngine
    from voicenode.processor import VoiceProcessor


class Shelf:
    """Puts cloned voices into the catalogue of a processor, and takes them out again.

    Args:
        processor: whose catalogue it is.
        advertised: how many of them clients see at most.
        order: engines, best first; those that are not in it come last.
        quality: the name of a voice -> its quality profile, which goes before the voice's own.
    """

    def __init__(
        self,
        processor: VoiceProcessor,
        advertised: int,
        order: Sequence[str] = (),
        quality: Mapping[str, str] | None = None,
    ) -> None:
        self._processor = processor
        self._quality = {name_key(name): profile for name, profile in (quality or {}).items()}
        self._advertised = advertised
        self._voices: dict[str, Voice] = {}
        """Key -> voice, also for the names with an engine in front."""
        self._named: dict[str, list[str]] = {}
        """Key of a profile -> its keys in `_voices`."""
        self._shown: Sequence[Voice] | None = None
        """What `show` has let clients see; none where a voice has changed since."""
        clones = [name for name, engine in processor.engines.items() if engine.info.clones]
        clones.sort(key=lambda name: order.index(name) if name in order else len(order))
        self.cloning: Mapping[str, TTSEngine[Any]] = {name: processor.engines[name] for name in clones}
        """The engines that clone, in the order in which they are asked to speak."""
        own = {name: [voice for voice in processor.catalogue if voice.engine == name] for name in clones}
        self._languages = {
            name: list(dict.fromkeys(tag for voice in voices for tag in voice.languages))
            for name, voices in own.items()
        }
        self._multilingual = {name for name in clones if any(voice.multilingual for voice in own[name])}

    @property
    def engines(self) -> Collection[str]:
        """The names of all engines."""
        return self._processor.engines.keys()

    @property
    def own_names(self) -> Collection[str]:
        """The names and aliases of the engines' own voices, in lower case."""
        return self._processor.catalogue.own_names

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Engines that are not offered -> what they lack, as a sentence."""
        return self._processor.catalogue.unavailable

    def explain(self, engine: str) -> None:
        """Raise EngineError if this engine would be offered, but for what it lacks."""
        self._processor.catalogue.explain(engine)

    def settings_naming(self, name: str) -> list[str]:
        """The settings that choose the cloned voice of this name."""
        return self._processor.catalogue.settings_naming(name)

    def needs_transcript(self, engine: str) -> bool:
        return self.cloning[engine].info.needs_transcript

    def languages(self, engine: str) -> Sequence[str]:
        """All that an engine speaks, as far as its own voices tell."""
        return self._languages[engine]

    def change(self, before: Kept | None, after: Kept | None) -> None:
        """A voice has changed; `show` makes it visible."""
        gone: dict[str, Voice] = {}
        for kept in filter(None, (before, after)):
            for key in self._named.pop(name_key(kept.profile.name), ()):
                gone[key] = self._voices.pop(key)
        if gone != (self._add(after.profile) if after is not None else {}):
            self._shown = None

    def renew(self, profiles: VoiceProfiles) -> None:
        """Everything may be different, such as the names of quality profiles."""
        self._voices.clear()
        self._named.clear()
        self._shown = None
        for kept in profiles:
            self._add(kept.profile)
        self.show(profiles)

    def show(self, profiles: VoiceProfiles) -> None:
        """Let clients see what there is now, if that is anything new: most voices have only been used."""
        offered = [kept for kept in profiles.values() if name_key(kept.profile.name) in self._voices]
        shown = [
            self._voices[name_key(kept.profile.name)] for kept in sorted_for_show(offered, self._advertised)
        ]
        if shown != self._shown:
            self._shown = shown
            self._processor.catalogue = self._processor.catalogue.with_cloned(self._voices, shown)

    def _add(self, profile: VoiceProfile) -> Mapping[str, Voice]:
        voices = [self._voice(profile, engine) for engine in profile.engines if engine in self.cloning]
        key = name_key(profile.name)
        found = {f"{voice.engine}-{key}": voice for voice in reversed(voices)}
        if voices:
            found[key] = voices[0]
        self._voices.update(found)
        self._named[key] = list(found)
        return found

    def _voice(self, profile: VoiceProfile, engine: str) -> Voice:
        languages, key = self._spoken(profile, engine), name_key(profile.name)
        voice = Voice(
            name=profile.name,
            engine=engine,
            id=profile.name,
            description=profile.description or profile.name,
            languages=languages,
            quality=self._quality.get(f"{engine}-{key}") or self._quality.get(key) or profile.quality,
            multilingual=engine in self._multilingual and len(languages) > 1,
            cloned=True,
            revision=profile.revision,
        )
        return with_qualities(voice, self._processor.quality.names(engine))

    def _spoken(self, profile: VoiceProfile, engine: str) -> tuple[str, ...]:
        known = self.languages(engine)
        if not profile.languages:
            return tuple(known) or ("en",)
        bases = {base_language(tag) for tag in known}
        return tuple(tag for tag in profile.languages if base_language(tag) in bases) or profile.languages
