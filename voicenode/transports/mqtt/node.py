"""What the transport needs of the rest of the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from voicenode.cloning import VoiceDesk
    from voicenode.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as others see it; what is returned as a mapping is JSON. All may raise VoiceServiceError."""

    id: str
    """Unique among nodes, and fit for a topic."""
    info: Callable[[], Mapping[str, Any]]
    """What it is and where else it can be reached."""
    status: Callable[[], Mapping[str, Any]]
    """How it is; called every second."""
    voices: Callable[[], Iterable[Voice]]
    engines: Callable[[], Mapping[str, Any]]
    """Each engine's state by its name."""
    load: Callable[[str | None], Awaitable[None]]
    """Load an engine, or all."""
    unload: Callable[[str | None], Awaitable[None]]
    settings: Callable[[], Mapping[str, Any]]
    """Those that can be changed while it runs."""
    change_settings: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    """Change some, null for what the file says; all of them as they are then."""
    cancel_live: Callable[[], Awaitable[int]]
    """End every live request of every transport, and what is played; how many there were."""
    note_error: Callable[[str], None]
    """Is told the code of each error with which a request is refused."""
    url_of: Callable[[str], str | None]
    """Where the audio file of this name can be had; None where no file can."""
    voice_desk: VoiceDesk | None = None
    """Answers what is asked about cloned voices; None where there can be none."""
