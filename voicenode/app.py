"""The daemon's life: brings the parts of a node up, and takes them down in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
from collections import Counter
from typing import TYPE_CHECKING

from voicenode import __version__, systemd
from voicenode.identity import node_id
from voicenode.node import Node
from voicenode.signals import Signals
from voicenode.watchdog import watched

if TYPE_CHECKING:
    from voicenode.settings import LoadedSettings
    from voicenode.voices import Catalogue

_log = logging.getLogger(__name__)

_FILES = 65_536
"""Open files at once: some systems allow a thousand million, which makes other programs slow to start."""


def run(loaded: LoadedSettings) -> None:
    """Be a node until a signal says to stop.

    Raises:
        SetupError: it cannot be one here; the sentence says why.
    """
    _allow_many_files()
    gc.disable()  # until the node is ready: what a start makes, it keeps
    asyncio.run(_live(loaded))


async def _live(loaded: LoadedSettings) -> None:
    signals = Signals()
    own_id = await asyncio.to_thread(node_id, loaded.settings.data_dir)
    while await _is_outdated(Node(loaded, own_id), loaded, signals):
        gc.unfreeze()


async def _is_outdated(node: Node, loaded: LoadedSettings, signals: Signals) -> bool:
    """Be a node; whether it ended because another one, made now, would have more voices."""
    try:
        await node.start()
        async with node.announced(), watched(node.own_uri):
            # What is there by now stays: a full collection of it would keep the event loop for 0.1 s.
            gc.freeze()
            gc.enable()
            systemd.notify("READY=1")
            _log.info("voicenode %s is ready: %s", __version__, _summary(node.catalogue))
            for engine, lack in node.catalogue.unavailable.items():
                is_fault = engine in loaded.unavailable or loaded.demands(engine)
                level = logging.ERROR if is_fault else logging.INFO
                _log.log(level, "engine %s is not offered: %s", engine, lack)
            node.prewarm()
            await signals.stop_or(node.wyoming.finished, node.outdated)
            begins_anew = node.outdated.is_set() and not signals.asked
            if not begins_anew:
                systemd.notify("STOPPING=1")
        await signals.forced_or(node.drain())
        return begins_anew
    finally:
        await node.end()


def _allow_many_files() -> None:
    """A connection is a file, and the usual soft limit of 1024 is less than what is promised."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _FILES), most))


def _summary(catalogue: Catalogue) -> str:
    counts = Counter(voice.engine for voice in catalogue)
    return ", ".join(f"{count} voices of {engine}" for engine, count in counts.items())
