"""Which job is begun next."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from voicenode.errors import VoiceServiceError
    from voicenode.jobs.job import JobState
    from voicenode.jobs.speaker import Work


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a job, and why."""

    state: JobState
    error: VoiceServiceError | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One job that is not final; while it waits, the store alone knows more of it."""

    id: str
    live: bool
    """Whether somebody waits for the sound, or hears it."""
    lane: Lane
    resumed: bool = False
    """Whether an earlier life accepted it, and may have ended because of it."""
    work: Work | None = None
    """While it is being stored or spoken."""
    task: asyncio.Task[None] | None = None
    """Sees it to its end, once it no longer waits."""
    speaking: asyncio.Task[None] | None = None
    """The part of this that may be cancelled."""
    ending: Ending | None = None
    """What becomes of it, once that is decided."""
    timer: asyncio.TimerHandle | None = None
    """Stops it when it is too late to begin."""

    def abandon(self) -> None:
        """Stop speaking, and leave the job as it is stored."""
        # Once is enough, and a second time would keep it from tidying up.
        if self.speaking is not None and not self.speaking.cancelling():
            self.speaking.cancel()

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Lane:
    """Jobs that wait, first come first served, and how many of them run at once."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: OrderedDict[str, Entry] = OrderedDict()

    def add(self, entry: Entry) -> None:
        self._waiting[entry.id] = entry

    def take(self) -> Entry | None:
        """The next job, if one may run; its place must be given back."""
        if not self._free or not self._waiting:
            return None
        self._free -= 1
        return self._waiting.popitem(last=False)[1]

    def give_back(self) -> None:
        self._free += 1

    def leave(self, entry: Entry) -> bool:
        """Stop waiting; whether the job did."""
        return self._waiting.pop(entry.id, None) is not None
