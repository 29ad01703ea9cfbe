"""Builds the parts of a node from its settings."""

from __future__ import annotations

from dataclasses import asdict, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from voicenode import __version__, report, speech_to_text
from voicenode.availability import voices_of
from voicenode.cast import FallbackRules
from voicenode.cloning import ClonedVoices, Permission, Rules, VoiceDesk, VoiceLimits
from voicenode.errors import EngineError
from voicenode.lan import Subnets
from voicenode.models import MODELS, LocalModel
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.quality import QualityProfiles
from voicenode.stores.file import FileStore
from voicenode.text import Lexicon
from voicenode.transcription import Transcriber
from voicenode.transports.wyoming import WyomingServer
from voicenode.voice import Voice, name_key
from voicenode.voices import Catalogue
from voicenode.workers.limits import PoolLimits
from voicenode.workers.pool import EnginePool
from voicenode.workers.process import EngineSpec
from voicenode.workers.registry import engine_class, installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from voicenode.engine import TTSEngine
    from voicenode.jobs import JobQueue
    from voicenode.settings import LoadedSettings, Settings
    from voicenode.settings.model import EngineSettings
    from voicenode.stores.store import Store
    from voicenode.transports.mqtt import Broker

AUDIO_FOLDER, STORE_FOLDER, MODELS_FOLDER = "audio", "store", "models"
"""Where in the data directory lie the audio of jobs, all else that the node remembers, and models."""
ARTEFACTS_FOLDER, IMPORT_FOLDER = "artefacts", "import"
"""Where lie copies of what engines made of cloned voices, and recordings that shall become voices."""
CACHE_FOLDER = "cache"
"""Copies of what is in a Redis; all of it may be removed while no node runs."""

_MIB = 1024 * 1024
_MQTT_PORT, _MQTT_TLS_PORT = 1883, 8883
"""IANA's ports for MQTT and for MQTT over TLS."""


SHARED = ("voices", "quality")
"""The collections that nodes share; all others are each node's own."""


def own_store(settings: Settings) -> Store:
    """What this node alone remembers: its jobs, and what clients changed."""
    return FileStore(settings.data_dir / STORE_FOLDER)


def shared_store(settings: Settings) -> Store:
    """What several nodes may share: voices and quality profiles."""
    if settings.store.url is None:
        return own_store(settings)
    from voicenode.stores.redis import RedisStore  # noqa: PLC0415 - heavy, and for nodes with Redis
    from voicenode.stores.redis_address import RedisAddress  # noqa: PLC0415 - likewise

    address = RedisAddress.parse(settings.store.url.get_secret_value())
    return RedisStore(address, settings.data_dir / CACHE_FOLDER, settings.store.max_cache * _MIB)


def create_engines(loaded: LoadedSettings) -> dict[str, TTSEngine[Any]]:
    """The enabled engines, not loaded, for what they tell of themselves; some may lack what they need."""
    paths, settings = installed(), loaded.settings
    return {
        name: engine_class(paths[name])(_options(settings, name, chosen.options))
        for name, chosen in settings.engines.items()
        if chosen.enabled and name not in loaded.unavailable
    }


def _options(settings: Settings, engine: str, options: Any) -> Any:  # noqa: ANN401 - each engine has a type of its own
    """The engine's options; its models are where downloads go, unless the owner says otherwise."""
    if getattr(options, "path", "") is None:
        return replace(options, path=str(settings.data_dir / MODELS_FOLDER / engine))
    return options


def build_processor(
    loaded: LoadedSettings, engines: Mapping[str, TTSEngine[Any]], pool: EnginePool
) -> VoiceProcessor:
    """The path from requests to speech, with `pool` to run the engines.

    Its catalogue is to `check` the voices that the settings name, once it knows the cloned ones.
    """
    settings = loaded.settings
    voices, unavailable = _voices(settings, engines)
    unavailable |= {name: str(error) for name, error in loaded.unavailable.items()}
    catalogue = Catalogue(
        _with_quality(voices, settings.voice_quality),
        settings.default_voice,
        settings.language_voices,
        settings.aliases,
        default_engine=settings.default_engine,
        unavailable=unavailable,
        also_named={
            **{f"fallback.voices.{tag}": name for tag, name in settings.fallback.voices.items()},
            **{f"voice_quality.{name}": name for name in settings.voice_quality},
        },
    )
    usable = {name: engine for name, engine in engines.items() if name not in unavailable}
    quality = build_quality(settings, usable)
    return VoiceProcessor(
        catalogue.with_qualities({name: quality.names(name) for name in usable}),
        pool,
        usable,
        _rules(settings),
        quality,
        observers=[report.log],
    )


def _voices(settings: Settings, engines: Mapping[str, TTSEngine[Any]]) -> tuple[list[Voice], dict[str, str]]:
    """The voices of all engines that have what they need, and what each of the others lacks."""
    voices: list[Voice] = []
    unavailable: dict[str, str] = {}
    for name, engine in engines.items():
        try:
            voices += [Voice.of_engine(name, voice) for voice in voices_of(settings, name, engine)]
        except EngineError as error:
            unavailable[name] = str(error)
    return voices, unavailable


def _with_quality(voices: Iterable[Voice], chosen: Mapping[str, str]) -> list[Voice]:
    """The voices, each with the quality profile in which it is to speak by default."""
    qualities = {name_key(name): quality for name, quality in chosen.items()}
    return [replace(voice, quality=qualities.get(name_key(voice.name))) for voice in voices]


def build_quality(settings: Settings, engines: Mapping[str, TTSEngine[Any]]) -> QualityProfiles:
    """The quality profiles that come with voicenode; those of the store are not loaded yet."""
    types = {name: engine.parameters_type for name, engine in engines.items()}
    return QualityProfiles(types, settings.default_quality)


def build_pool(settings: Settings, engines: Mapping[str, TTSEngine[Any]]) -> EnginePool:
    """The engines' processes, none of which runs yet."""
    return EnginePool(_specs(settings, engines), _limits(settings))


def build_wyoming(settings: Settings, processor: VoiceProcessor, voices: VoiceDesk) -> WyomingServer:
    """The door that Home Assistant's voices come through."""
    return WyomingServer(
        processor,
        settings.wyoming.uri,
        name=settings.name,
        version=__version__,
        max_connections=settings.wyoming.max_connections,
        idle_timeout=settings.wyoming.idle_timeout,
        stall_timeout=settings.wyoming.stall_timeout,
        max_text_chars=settings.text.max_chars,
        voices=voices,
    )


def build_voices(
    settings: Settings, store: Store, processor: VoiceProcessor, pool: EnginePool
) -> ClonedVoices:
    """The voices that were cloned; none is known yet."""
    chosen = settings.cloning
    rules = Rules(
        local="local" in chosen.allow,
        networks=[ip_network(each) for each in chosen.allow if each != "local"],
        token=chosen.token.get_secret_value() if chosen.token else None,
        mqtt=chosen.mqtt,
        per_hour=chosen.per_hour,
    )
    limits = VoiceLimits(
        advertised=settings.voices.advertised,
        ttl=settings.voices.ttl,
        engines=settings.fallback.engines,
        quality=settings.voice_quality,
    )
    return ClonedVoices(
        store,
        processor,
        pool,
        folder=settings.data_dir / ARTEFACTS_FOLDER,
        import_folder=settings.data_dir / IMPORT_FOLDER,
        limits=limits,
        permission=Permission(rules, Subnets()),
        transcriber=Transcriber(
            uri=chosen.speech_to_text if chosen.speech_to_text.startswith("tcp://") else None,
            find=speech_to_text.find if chosen.speech_to_text == "auto" else None,
            whisper_model=whisper_model(settings),
        ),
    )


def whisper_model(settings: Settings) -> str | None:
    """What faster-whisper listens with; `small` is where `voicenode models` puts it."""
    if settings.cloning.whisper == "small":
        return str(LocalModel.of(MODELS["whisper"], settings.data_dir).root)
    return settings.cloning.whisper


def build_jobs(settings: Settings, store: Store, processor: VoiceProcessor) -> JobQueue:
    """What keeps requests until they are answered."""
    from voicenode.jobs import JobLimits, JobQueue, Player  # noqa: PLC0415 - only for nodes with MQTT

    limits = JobLimits(
        live_chars=settings.text.max_chars,
        batch_chars=settings.jobs.max_chars,
        max_bytes=settings.jobs.max_storage * _MIB,
        ttl=settings.jobs.ttl,
    )
    jobs = JobQueue(store, processor, settings.data_dir / AUDIO_FOLDER, limits)
    jobs.sinks["play"] = Player(settings.jobs.player)
    return jobs


def broker(settings: Settings) -> Broker:
    """Where MQTT's broker is, and how to log in there."""
    from voicenode.transports.mqtt import Broker, Tls  # noqa: PLC0415 - only for nodes with MQTT

    mqtt = settings.mqtt
    tls = Tls(ca=_path(mqtt.tls.ca), cert=_path(mqtt.tls.certificate), key=_path(mqtt.tls.key))
    return Broker(
        host=mqtt.host or "",
        port=mqtt.port or (_MQTT_TLS_PORT if mqtt.tls.enabled else _MQTT_PORT),
        transport=mqtt.transport,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        tls=tls if mqtt.tls.enabled else None,
    )


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _specs(settings: Settings, engines: Mapping[str, TTSEngine[Any]]) -> list[EngineSpec]:
    """How to run each engine."""
    paths = installed()
    return [
        EngineSpec(
            info=engine.info,
            path=paths[name],
            options=asdict(engine.options),
            device=getattr(engine.options, "device", "auto"),
            python=str(chosen.python) if chosen.python else None,
            load_timeout=chosen.load_timeout,
            silent_timeout=chosen.silent_timeout,
            prewarm_imports=_prewarms(settings, chosen) if engine.imports else False,
        )
        for name, engine in engines.items()
        for chosen in [settings.engines[name]]
    ]


def _prewarms(settings: Settings, engine: EngineSettings) -> bool | None:
    return settings.pool.prewarm_imports if engine.prewarm_imports is None else engine.prewarm_imports


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
        fallback=FallbackRules(
            engines=settings.fallback.engines,
            voices=settings.fallback.voices,
            first_audio_timeout=settings.fallback.first_audio_timeout,
            rest=settings.fallback.rest,
        ),
    )
