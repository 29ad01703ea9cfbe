"""XTTS v2 as an engine of its own, which speaks as many tokens as natural speech of a text would take.

Random weights never end a sentence, and the guards of the real engine would cut them anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from script.benchmarks.xtts_report import tokens_of
from voicenode_xtts import XttsEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from voicenode.engine import EngineInfo, PcmFormat
    from voicenode_xtts.narrator import Samples, Task


class EndlessEngine(XttsEngine):
    """As fast as the real one, and with its voices and options."""

    info: ClassVar[EngineInfo] = replace(XttsEngine.info, name="endless")

    def load(self) -> PcmFormat:
        loaded = super().load()
        self._narrator.speak = self._speak  # type: ignore[method-assign]
        return loaded

    def _speak(self, task: Task, stop: Event) -> Iterator[Samples]:
        from voicenode_xtts.narrator import Take  # noqa: PLC0415  (heavy, and loaded by now)

        model = self._narrator._model  # noqa: SLF001  (a fixed length is no part of the contract)
        return Take(model, task, task.text, 0, tokens_of(task.text), endless=True).samples(stop)


def install(folder: Path) -> None:
    """Let Python find the engine in a folder that is on its path."""
    told = folder / "voicenode_endless-0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: voicenode-endless\nVersion: 0\n")
    entry = f"{EndlessEngine.info.name} = {EndlessEngine.__module__}:{EndlessEngine.__name__}"
    (told / "entry_points.txt").write_text(f"[voicenode.engines]\n{entry}\n")
