"""The daemon's life: builds the parts from the settings, brings them up, and takes them down in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from voicenode import __version__, client, systemd
from voicenode.errors import ErrorCode, VoiceServiceError
from voicenode.identity import node_id
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.text import Lexicon
from voicenode.transports.mdns import Advertiser, reach_source
from voicenode.transports.wyoming import WyomingServer
from voicenode.voices import Catalogue, Voice
from voicenode.workers.pool import EnginePool, PoolLimits
from voicenode.workers.process import EngineSpec
from voicenode.workers.registry import engine_class, installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from voicenode.engine import TTSEngine
    from voicenode.settings import LoadedSettings, Settings

_log = logging.getLogger(__name__)

_MIB = 1024 * 1024


def run(loaded: LoadedSettings) -> None:
    """Be a node until a signal says to stop.

    Raises:
        SetupError: it cannot be one here; the sentence says why.
    """
    asyncio.run(_live(loaded))


def create_engines(loaded: LoadedSettings) -> dict[str, TTSEngine[Any]]:
    """The enabled engines that can be used, not loaded, for what they tell of themselves."""
    paths = installed()
    return {
        name: engine_class(paths[name])(chosen.options)
        for name, chosen in loaded.settings.engines.items()
        if chosen.enabled and name not in loaded.unavailable
    }


def build_processor(
    settings: Settings, engines: Mapping[str, TTSEngine[Any]], pool: EnginePool
) -> VoiceProcessor:
    """The path from requests to speech, with `pool` to run the engines.

    Raises:
        SetupError: the settings name a voice that there is not.
    """
    voices = [Voice.of_engine(name, voice) for name, engine in engines.items() for voice in engine.voices()]
    catalogue = Catalogue(voices, settings.default_voice, settings.language_voices, settings.aliases)
    infos = {name: engine.info for name, engine in engines.items()}
    return VoiceProcessor(catalogue, pool, infos, _rules(settings))


async def _live(loaded: LoadedSettings) -> None:
    settings = loaded.settings
    signals = _Signals()
    for error in loaded.unavailable.values():
        _log.error("%s", error)
    own_id = await asyncio.to_thread(node_id, settings.data_dir)
    engines = create_engines(loaded)
    pool = EnginePool(_specs(settings, engines), _limits(settings))
    processor = build_processor(settings, engines, pool)
    async with (
        _wyoming(settings, processor, pool, signals) as server,
        _announced(settings, own_id, server),
        _watched(_own_uri(settings, server)),
    ):
        systemd.notify("READY=1")
        _log.info("voicenode %s is ready: %s", __version__, _summary(processor.catalogue))
        await signals.stop_or(server.finished)
        systemd.notify("STOPPING=1")


def _specs(settings: Settings, engines: Mapping[str, TTSEngine[Any]]) -> list[EngineSpec]:
    """How to run each engine."""
    paths = installed()
    return [
        EngineSpec(
            info=engine.info,
            path=paths[name],
            options=asdict(engine.options),
            python=str(chosen.python) if chosen.python else None,
            load_timeout=chosen.load_timeout,
            silent_timeout=chosen.silent_timeout,
        )
        for name, engine in engines.items()
        for chosen in [settings.engines[name]]
    ]


def _limits(settings: Settings) -> PoolLimits:
    pool = settings.pool
    return PoolLimits(
        max_waiting=pool.max_waiting,
        wait_timeout=pool.wait_timeout,
        idle_timeout=pool.idle_timeout,
        memory=None if pool.memory is None else pool.memory * _MIB,
        low_vram=pool.low_vram,
    )


def _rules(settings: Settings) -> SpeechRules:
    text, speech = settings.text, settings.speech
    return SpeechRules(
        max_chars=text.max_chars,
        segment_chars=text.segment_chars,
        sentence_silence=text.sentence_silence,
        speed=speech.speed,
        volume=speech.volume,
        buffer_seconds=settings.pool.buffer_seconds,
        lexicon=Lexicon.read(text.lexicon) if text.lexicon else Lexicon(),
    )


@asynccontextmanager
async def _wyoming(
    settings: Settings, processor: VoiceProcessor, pool: EnginePool, signals: _Signals
) -> AsyncIterator[WyomingServer]:
    server = WyomingServer(
        processor,
        settings.wyoming.uri,
        name=settings.name,
        version=__version__,
        max_connections=settings.wyoming.max_connections,
        idle_timeout=settings.wyoming.idle_timeout,
        stall_timeout=settings.wyoming.stall_timeout,
        max_text_chars=settings.text.max_chars,
    )
    await server.start()
    try:
        yield server
        await signals.forced_or(server.drain(settings.shutdown_timeout))
    finally:
        # Together: whoever is cut off now would wait until the engine has heard of it, and some never hear.
        await asyncio.gather(pool.close(), server.abort())


@asynccontextmanager
async def _announced(settings: Settings, own_id: str, server: WyomingServer) -> AsyncIterator[None]:
    """Announce the first TCP port, which answers by now."""
    if not settings.mdns.enabled or not server.addresses:
        yield
        return
    port = server.addresses[0][1]
    bound = [host for host, other_port in server.addresses if other_port == port]
    async with Advertiser(
        node_id=own_id,
        name=settings.name,
        version=__version__,
        port=port,
        reach=reach_source(bound, settings.mdns.advertise_host),
    ):
        yield


@asynccontextmanager
async def _watched(uri: str | None) -> AsyncIterator[None]:
    """Beat for systemd's watchdog, where there is one, as long as the node answers at `uri` like any node."""
    interval = systemd.watchdog_interval()
    if interval is None:
        yield
        return
    beating = asyncio.create_task(_beat(uri, interval), name="watchdog")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait([beating])


async def _beat(uri: str | None, interval: float) -> None:
    while True:
        if uri is None or await _answers(uri, interval / 2):
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def _answers(uri: str, limit: float) -> bool:
    try:
        async with client.connect(uri, limit) as connection:
            await connection.describe(limit)
    except VoiceServiceError as error:
        # A node that has the word to say that it is busy is alive.
        if error.code != ErrorCode.BUSY:
            _log.error("the node does not answer itself: %s", error)
            return False
    return True


def _own_uri(settings: Settings, server: WyomingServer) -> str | None:
    """Where this process reaches its own node; None when it only speaks on stdio."""
    for host, port in server.addresses:
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"tcp://[{near}]:{port}" if ":" in near else f"tcp://{near}:{port}"
    return next((uri for uri in settings.wyoming.uri if uri.startswith("unix:")), None)


def _summary(catalogue: Catalogue) -> str:
    counts = Counter(voice.engine for voice in catalogue)
    return ", ".join(f"{count} voices of {engine}" for engine, count in counts.items())


class _Signals:
    """The first SIGTERM or SIGINT asks the node to finish, the second to end at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._forced = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note, number)

    async def stop_or(self, finished: asyncio.Event) -> None:
        """Wait for the first signal or for `finished`."""
        await _either(self._asked.wait(), finished.wait())

    async def forced_or(self, work: Coroutine[object, object, object]) -> None:
        """Do `work`, but leave it at the second signal."""
        await _either(self._forced.wait(), work)

    def _note(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            _log.warning("%s again: ending at once", number.name)
            self._forced.set()
        else:
            _log.info("%s: finishing what is being spoken", number.name)
            self._asked.set()


async def _either(*works: Coroutine[object, object, object]) -> None:
    """Wait for the first of `works`, and leave the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
