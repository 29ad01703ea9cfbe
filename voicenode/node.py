"""A node: its parts, how they know each other, and the order in which they start and end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from voicenode import __version__, parts
from voicenode.availability import arrival
from voicenode.control import Control
from voicenode.errors import ErrorCode, RequestError, SetupError
from voicenode.lan import LanAddress
from voicenode.runtime import RuntimeSettings
from voicenode.sockets import host_and_port
from voicenode.transports.mdns import Advertiser, reach_source
from voicenode.voice import name_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from voicenode.jobs import JobQueue
    from voicenode.settings import LoadedSettings
    from voicenode.transports.http import HttpServer
    from voicenode.transports.mqtt import MqttTransport
    from voicenode.transports.mqtt import Node as MqttNode
    from voicenode.voices import Catalogue

_log = logging.getLogger(__name__)


class Node:
    """Every part of a node, and how they know each other; started and ended once."""

    def __init__(self, loaded: LoadedSettings, own_id: str) -> None:
        self._settings = settings = loaded.settings
        self._id = own_id
        engines = parts.create_engines(loaded)
        self._pool = parts.build_pool(settings, engines)
        self._processor = parts.build_processor(loaded, engines, self._pool)
        demanded = [name for name in self._processor.catalogue.unavailable if loaded.demands(name)]
        self._control = Control(own_id, self._processor, self._pool, demanded)
        self._store = parts.own_store(settings)
        self._shared = parts.shared_store(settings)
        self._voices = parts.build_voices(settings, self._shared, self._processor, self._pool)
        self.wyoming = parts.build_wyoming(settings, self._processor, self._voices.desk)
        self.outdated = asyncio.Event()
        """Set when an engine has what it lacked, which only another node can offer."""
        lacking = self._processor.catalogue.unavailable
        self._lacking = {name: engine for name, engine in engines.items() if name in lacking}
        self._http: HttpServer | None = None
        self._lan: LanAddress | None = None
        self._jobs: JobQueue | None = None
        self._mqtt: MqttTransport | None = None
        self._ending = AsyncExitStack()
        self._ending.push_async_callback(self._store.close)
        self._ending.push_async_callback(self._shared.close)

    @property
    def catalogue(self) -> Catalogue:
        return self._processor.catalogue

    @property
    def own_uri(self) -> str | None:
        """Where this process reaches its own node; None when it only speaks on stdio."""
        for host, port in self.wyoming.addresses:
            near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
            return f"tcp://{host_and_port((near, port))}"
        return next((uri for uri in self._settings.wyoming.uri if uri.startswith("unix:")), None)

    async def start(self) -> None:
        """Open every door; nothing is said of them yet.

        Raises:
            SetupError: one of them cannot be opened, or a setting names a voice that there is not.
            StoreError: what the node remembers cannot be read.
        """
        await self._ending.enter_async_context(
            self._processor.quality.following(self._shared, self._show_qualities)
        )
        self._check_voice_quality()
        await self._ending.enter_async_context(self._voices.open())
        self.catalogue.check()
        self._runtime = RuntimeSettings(self._store, self._control.adjustables())
        await self._runtime.load()
        self._voices.desk.renamed = self._follow_name
        # Together: whoever is cut off now would wait until the engine has heard of it, and some never hear.
        self._ending.push_async_callback(lambda: asyncio.gather(self._pool.close(), self.wyoming.abort()))
        await self.wyoming.start()
        mqtt = self._settings.mqtt.host is not None
        if mqtt if self._settings.http.enabled is None else self._settings.http.enabled:
            await self._start_http()
        if mqtt:
            await self._start_mqtt()
        watching = asyncio.create_task(self._await_engines(), name="look at what engines lack")
        self._ending.callback(watching.cancel)

    async def _follow_name(self, old: str, new: str) -> None:
        """The default voice stays the default under another name."""
        if name_key(self._runtime.current()["default_voice"]) == name_key(old):
            await self._runtime.change({"default_voice": new})

    def _check_voice_quality(self) -> None:
        """Raise SetupError where a voice is to speak in a quality profile that its engine has not.

        An engine of a cloned voice that has not the profile speaks in its own.
        """
        for name, quality in self._settings.voice_quality.items():
            try:
                self._processor.quality.find(quality)
            except RequestError as error:
                raise SetupError(ErrorCode.BAD_SETTINGS, f"voice_quality.{name}: {error}") from error
        for voice in self._processor.catalogue:
            try:
                self._processor.quality.resolve(voice.engine, voice.quality)
            except RequestError as error:
                raise SetupError(ErrorCode.BAD_SETTINGS, f"voice_quality.{voice.name}: {error}") from error

    def _show_qualities(self) -> None:
        """Voices without speakers of their own show the quality profiles that there are now."""
        quality = self._processor.quality
        names = {engine: quality.names(engine) for engine in self._processor.engines}
        self._processor.catalogue = self._processor.catalogue.with_qualities(names)
        self._voices.renew()

    def prewarm(self) -> None:
        """Get ready for the first request in a way that the node can do without."""
        self._pool.prewarm(self._processor.engines)

    async def _await_engines(self) -> None:
        """Notice that an engine has what it lacked; a node that speaks on stdin cannot begin anew."""
        if not self._lacking or not self.wyoming.addresses:
            return
        engine = await arrival(self._settings, self._lacking, lambda: not self._processor.live)
        _log.info("engine %s has what it lacked: the node begins anew, with its voices", engine)
        self.outdated.set()

    async def drain(self) -> None:
        """Take nothing new, and finish what is being spoken, as long as the owner allows."""
        grace = self._settings.shutdown_timeout
        if self._mqtt is not None:
            self._mqtt.drain()
        await asyncio.gather(
            self.wyoming.drain(grace), *([self._jobs.close(grace)] if self._jobs is not None else [])
        )

    async def end(self) -> None:
        """Close every door and end every engine."""
        await self._ending.aclose()

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Tell the LAN of the node while this is entered, now that it answers."""
        if not self._settings.mdns.enabled or not self.wyoming.addresses:
            yield
            return
        port = self.wyoming.addresses[0][1]
        bound = [host for host, other_port in self.wyoming.addresses if other_port == port]
        async with Advertiser(
            node_id=self._id,
            name=self._settings.name,
            version=__version__,
            port=port,
            reach=reach_source(bound, self._settings.mdns.advertise_host),
            properties=self._other_doors(),
        ):
            yield

    async def _start_http(self) -> None:
        from voicenode.metrics import Metrics  # noqa: PLC0415 - only for nodes with HTTP
        from voicenode.transports.http import HttpServer  # noqa: PLC0415 - likewise

        metrics = await asyncio.to_thread(Metrics, __version__, self._control.readings)
        self._processor.observers.append(metrics.spoken)
        http = HttpServer(
            host=self._settings.http.host,
            port=self._settings.http.port,
            audio_dir=self._settings.data_dir / parts.AUDIO_FOLDER,
            health=self._control.health,
            metrics=metrics.text,
        )
        await http.start()
        self._ending.push_async_callback(http.stop, 1.0)
        self._lan = LanAddress(
            reach_source([host for host, _ in http.bound], self._settings.mdns.advertise_host)
        )
        await self._lan.start()
        self._ending.push_async_callback(self._lan.close)
        self._http = http

    async def _start_mqtt(self) -> None:
        from voicenode.transports.mqtt import MqttTransport  # noqa: PLC0415 - only for nodes with MQTT
        from voicenode.transports.mqtt.discovery import Discovery  # noqa: PLC0415 - likewise
        from voicenode.transports.mqtt.hermes import Hermes  # noqa: PLC0415 - likewise

        settings, seen = self._settings.mqtt, self._seen_by_mqtt()
        jobs = parts.build_jobs(self._settings, self._store, self._processor)
        mqtt = MqttTransport(
            parts.broker(self._settings),
            seen,
            jobs,
            base_topic=settings.base_topic,
            session_expiry=settings.session_expiry,
        )
        if settings.discovery:
            Discovery(mqtt, seen, prefix=settings.discovery_prefix)
        hermes = Hermes(mqtt, jobs, seen.voices) if settings.hermes else None
        await jobs.start()
        self._ending.push_async_callback(mqtt.stop, 2.0)
        if hermes is not None:
            self._ending.push_async_callback(hermes.stop)
        self._ending.push_async_callback(jobs.close, 0)
        await mqtt.start()
        self._jobs = self._control.jobs = jobs
        self._mqtt = mqtt
        self._control.mqtt_connected = lambda: mqtt.connected

    def _seen_by_mqtt(self) -> MqttNode:
        from voicenode.transports.mqtt import Node as MqttNode  # noqa: PLC0415 - only for nodes with MQTT

        control = self._control
        return MqttNode(
            id=self._id,
            info=self._info,
            status=control.status,
            voices=lambda: self.catalogue,
            engines=control.engines,
            load=control.load,
            unload=control.unload,
            settings=self._runtime.current,
            change_settings=self._runtime.change,
            cancel_live=control.cancel_live,
            note_error=control.note_error,
            url_of=self._url_of,
            voice_desk=self._voices.desk,
        )

    def _info(self) -> Mapping[str, Any]:
        """What others may know of the node, and what does not change while it runs."""
        engines = {
            name: {
                "description": engine.info.description,
                "licence": engine.info.licence,
                "version": engine.info.version,
            }
            for name, engine in self._processor.engines.items()
        }
        return {
            "name": self._settings.name,
            "version": __version__,
            "api": 1,
            "engines": engines,
            "wyoming": self._wyoming_uris(),
            "http": self._base_url(),
            "qualities": [profile.name for profile in self._processor.quality],
            "limits": {"max_chars": self._settings.text.max_chars},
        }

    def _wyoming_uris(self) -> list[str]:
        """Where others on the LAN reach the Wyoming door."""
        near = "127.0.0.1" if self._lan is None else self._lan.current
        every = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        hosts = ((near if host in every else host, port) for host, port in self.wyoming.addresses)
        return [f"tcp://{host_and_port(address)}" for address in dict.fromkeys(hosts)]

    def _other_doors(self) -> Mapping[str, str]:
        """What the announcement tells of HTTP and MQTT."""
        doors = {}
        if self._http is not None:
            doors["http"] = str(self._http.bound[0][1])
        if self._mqtt is not None:
            doors["mqtt"] = self._mqtt.topics.node
        return doors

    def _base_url(self) -> str | None:
        """Where players reach the audio files; None without HTTP."""
        if self._http is None or self._lan is None:
            return None
        from voicenode.transports.http import base_url  # noqa: PLC0415 - only for nodes with HTTP

        return self._settings.http.public_url or base_url(self._lan.current, self._http.bound[0][1])

    def _url_of(self, name: str) -> str | None:
        """Where an audio file can be had; None without HTTP."""
        from voicenode.transports.http import audio_url  # noqa: PLC0415 - only for nodes with HTTP

        base = self._base_url()
        return None if base is None else audio_url(base, name)
