"""The whole daemon with XTTS v2 and F5-TTS, on small checkpoints of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import f5_checkpoints, xtts_checkpoint
from tests.support.limits import eventually

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from tests.support.daemon import Daemon

VOICES = {"xtts": "xtts-claribel-dervla", "f5": "f5-en"}
"""A voice of each engine."""
FORK_SERVER = "voicenode.workers.forkserver"


@dataclass(frozen=True)
class Checkpoints:
    """Where the weights are."""

    xtts: Path
    f5: Path

    @classmethod
    def make(cls, folder: Path) -> Checkpoints:
        (folder / "xtts").mkdir(parents=True)
        return cls(xtts_checkpoint.write(folder / "xtts"), f5_checkpoints.make(folder / "f5"))

    def settings(self, **sections: Any) -> dict[str, Any]:  # noqa: ANN401 (YAML)
        """Settings with both engines; what is said of an engine is added to that."""
        own: dict[str, dict[str, Any]] = {
            "xtts": {"path": str(self.xtts), "threads": 1},
            "f5": {"path": str(self.f5), "threads": 1},
        }
        given = sections.pop("engines", {})
        engines = {name: own.get(name, {}) | given.get(name, {}) for name in {*own, *given}}
        return {
            "default_quality": {"f5": "f5tts_fast"},
            "fallback": {"first_audio_timeout": 0, "rest": 0},
            "engines": engines,
            **sections,
        }


def fork_servers(node: Daemon) -> list[psutil.Process]:
    return node.living(FORK_SERVER)


def engines(node: Daemon) -> list[psutil.Process]:
    """The processes of engines that are loaded, dead ones that nobody collected included."""
    servers = fork_servers(node)
    return [process for process in node.ps.children(recursive=True) if process not in servers]


async def rests(node: Daemon) -> None:
    """Wait until no engine is loaded, and nothing of one is left."""
    await eventually(lambda: not engines(node))
