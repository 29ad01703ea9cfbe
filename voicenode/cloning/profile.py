"""What is kept of a cloned voice."""

from __future__ import annotations

import heapq
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import TypeAdapter

from voicenode.errors import ErrorCode, RequestError
from voicenode.quality import checks
from voicenode.voice import name_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicenode.stores.store import Document

COLLECTION = "voices"
"""Where a store keeps voice profiles, under `name_key` of their names."""
FORMAT = 1
"""The version of a document; one of a later version is left alone."""
_MODELS = 4
"""Of one engine whose artefacts are kept."""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What one engine made of a voice: an attached safetensors file."""

    file: str
    model: str
    """The model that made it, as the file's metadata tells."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceProfile:
    """One cloned voice; times are seconds since the epoch."""

    id: str
    """The same through all revisions and names."""
    name: str
    created: float
    engines: tuple[str, ...]
    """Those that may speak in this voice, best first."""
    recordings: tuple[str, ...]
    """The names of attached mono WAV files, checked and trimmed."""
    style: str
    """The attached file that engines learn from which need no words."""
    spoken: str
    """The attached file whose words are known, or would be."""
    source: str = ""
    """The SHA-256 of the recordings as they came, and of the transcript with them."""
    revision: int = 1
    """One more whenever it may sound different."""
    description: str = ""
    languages: tuple[str, ...] = ()
    """BCP 47, the voice's own first; empty for all that its engine speaks."""
    transcript: str | None = None
    """The words of `spoken`."""
    duration: float = 0.0
    """Seconds of all recordings together."""
    sample_rate: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    """How good the recordings are, in numbers."""
    quality: str | None = None
    """The quality profile in which it speaks when nobody asks for one."""
    consent: str | None = None
    """Who agreed to this."""
    pinned: bool = False
    """Whether it never expires, and is shown before others."""
    ttl: float = 0.0
    """Seconds without use until it expires; 0 for never."""
    last_used: float | None = None
    uses: int = 0
    artefacts: dict[str, tuple[Artefacts, ...]] = field(default_factory=dict)
    """By engine, the newest first: nodes that share a store may have different models."""

    @property
    def expires_in(self) -> float | None:
        """How long a store shall keep it from now on, if it is not used again."""
        return None if self.pinned else self.ttl or None

    def made_by(self, engine: str, model: str) -> Artefacts | None:
        """What an engine of this model can use; an empty one takes that of any model."""
        found = (each for each in self.artefacts.get(engine, ()) if model in {"", each.model})
        return next(found, None)

    def with_artefacts(self, engine: str, made: Artefacts) -> VoiceProfile:
        """The same voice with one more of an engine's artefacts; the oldest go."""
        others = [each for each in self.artefacts.get(engine, ()) if each.model != made.model]
        kept = (made, *others[: _MODELS - 1])
        return replace(self, artefacts={**self.artefacts, engine: kept})

    @property
    def files(self) -> set[str]:
        """The names of all attached files."""
        made = (each.file for several in self.artefacts.values() for each in several)
        return {*self.recordings, self.style, self.spoken, *made}

    @property
    def document(self) -> dict[str, Any]:
        """As a store keeps it."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Kept:
    """A profile as it was read from a store."""

    profile: VoiceProfile
    version: int
    """The store's revision, which also counts what is not heard."""
    expires_at: float | None

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()

    @classmethod
    def of(cls, document: Document) -> Kept:
        """What a document says.

        Raises:
            RequestError: it is no voice profile, or one of a later version.
        """
        value = dict(document.value)
        version = value.pop("format", None)
        if version != FORMAT:
            what = f"it has format {checks.shown(version)}, and {FORMAT} is understood; update voicenode"
            raise RequestError(ErrorCode.BAD_REQUEST, what)
        return cls(checks.checked(_PROFILE, value, "the document"), document.revision, document.expires_at)


def view(kept: Kept) -> dict[str, Any]:
    """All that is told of a voice to those who may change it."""
    profile = kept.profile
    told = {
        key: value
        for key, value in asdict(profile).items()
        if key not in {"artefacts", "created", "last_used", "recordings", "style", "spoken", "source"}
    }
    return {
        **told,
        "engines": list(profile.engines),
        "languages": list(profile.languages),
        "recordings": len(profile.recordings),
        "artefacts": sorted(profile.artefacts),
        "created": _time(profile.created),
        "last_used": _time(profile.last_used),
        "expires": _time(kept.expires_at),
    }


def summary(kept: Kept) -> dict[str, Any]:
    """What is told of a voice to everybody."""
    profile = kept.profile
    return {
        "name": profile.name,
        "description": profile.description,
        "engines": list(profile.engines),
        "languages": list(profile.languages),
        "revision": profile.revision,
        "pinned": profile.pinned,
        "expires": _time(kept.expires_at),
    }


def sorted_for_show(found: Sequence[Kept], limit: int) -> list[Kept]:
    """At most `limit` voices, pinned and last used first; ordered by name."""
    best = found if len(found) <= limit else heapq.nlargest(limit, found, key=_importance)
    return sorted(best, key=lambda kept: name_key(kept.profile.name))


def same_sound(other: Kept | None, one: Kept | None) -> TypeGuard[Kept]:
    """Whether only what is not heard has changed between two looks at a voice."""
    if one is None or other is None:
        return False
    return (one.profile.id, one.profile.revision) == (other.profile.id, other.profile.revision)


def _importance(kept: Kept) -> tuple[bool, float]:
    profile = kept.profile
    return profile.pinned, max(profile.created, profile.last_used or 0.0)


_PROFILE = TypeAdapter(VoiceProfile)


def _time(seconds: float | None) -> str | None:
    """As ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
