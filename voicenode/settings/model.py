"""Every setting: its default, its bounds, and a line that explains it, as `config/voicenode.yaml` repeats."""

from dataclasses import fields
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from voicenode.settings.fields import (
    HttpUrl,
    IdleSeconds,
    IpAddress,
    ListenUris,
    LocalPath,
    Name,
    NetworkOrLocal,
    Port,
    RedisUrl,
    Seconds,
    SpeechToText,
    Topic,
)


class Section(BaseModel):
    """Settings that belong together; keys that they do not know are refused, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are logged: debug, info, warning or error."""
    format: Literal["auto", "plain", "json"] = "auto"
    """How: auto is coloured on a terminal and plain elsewhere; json is an object a line."""
    text: bool = False
    """Whether what is spoken is logged, too, sentence by sentence."""


class WyomingSettings(Section):
    """The protocol that Home Assistant speaks with voices."""

    uri: ListenUris = ("tcp://:10200",)
    """Where to listen: tcp://HOST:PORT, tcp://:PORT for every address, unix:///PATH or stdio://."""
    max_connections: Annotated[int, Ge(1)] = 1000
    """Connections at once; more are refused."""
    idle_timeout: Seconds = 600
    """Seconds until a connection that says nothing is closed."""
    stall_timeout: Seconds = 30
    """Seconds until a listener that takes no audio is disconnected."""


class MdnsSettings(Section):
    """How Home Assistant finds the node."""

    enabled: bool = True
    """Whether the node announces itself on the LAN."""
    advertise_host: tuple[IpAddress, ...] = ()
    """The IP addresses that are announced; empty for those that this machine has on the LAN."""


class HttpSettings(Section):
    """Audio files for players, the node's health, and its figures for Prometheus."""

    enabled: bool | None = None
    """Whether to serve HTTP; null for when MQTT is on, whose answers are addresses of audio files."""
    host: IpAddress | None = None
    """The IP address to listen on; null for every address."""
    port: Annotated[int, Ge(0), Le(65535)] = 10201
    """The port to listen on; 0 for any."""
    public_url: HttpUrl | None = None
    """How players reach this, such as http://192.168.1.20:10201; null for this machine's LAN address."""


class TlsSettings(Section):
    """Encryption to the MQTT broker."""

    enabled: bool = False
    """Whether the broker is spoken to over TLS."""
    ca: LocalPath | None = None
    """The certificates that the broker's must lead to; null for those that this machine trusts."""
    certificate: LocalPath | None = None
    """The node's own certificate, where the broker asks for one."""
    key: LocalPath | None = None
    """The key of that certificate."""


class MqttSettings(Section):
    """Home Assistant's other door: a device of its own, and requests from automations."""

    host: Name | None = None
    """The broker's name or address; null for no MQTT."""
    port: Port | None = None
    """The broker's port; null for the usual one: 1883, or 8883 with TLS."""
    transport: Literal["tcp", "websockets"] = "tcp"
    """What the broker is spoken to over: tcp or websockets."""
    username: str | None = None
    """The user that the broker knows; null for none."""
    password: SecretStr | None = None
    """The user's password, best written as `!secret NAME`."""
    tls: TlsSettings = TlsSettings()
    base_topic: Topic = "voicenode"
    """What every topic of every node begins with."""
    session_expiry: Annotated[int, Ge(0)] = 86400
    """Seconds that the broker keeps requests for a node that is away."""
    discovery: bool = True
    """Whether Home Assistant shows the node as a device."""
    discovery_prefix: Topic = "homeassistant"
    """Where Home Assistant looks for devices."""
    hermes: bool = False
    """Whether to speak for Rhasspy satellites, which send hermes/tts/say."""


class JobSettings(Section):
    """Requests that are kept until they are answered."""

    ttl: Seconds = 86400
    """Seconds until a finished job and its audio are removed."""
    max_chars: Annotated[int, Ge(1)] = 1000000
    """Characters in one batch request."""
    max_storage: Annotated[int, Ge(1)] = 2048
    """MiB that audio files may take; the oldest finished ones go first."""
    player: tuple[Name, ...] = ("aplay", "-q", "-")
    """The command that plays a WAV from its standard input, for requests to be heard on this machine."""


class StoreSettings(Section):
    """Where voices and quality profiles are kept; jobs and what clients changed stay with the node."""

    url: RedisUrl | None = None
    """A Redis for several nodes, such as redis://USER:PASSWORD@HOST:6379/0; null for files in data_dir."""
    max_cache: Annotated[int, Ge(1)] = 1024
    """MiB that copies of files from Redis may take on this machine."""


class TextSettings(Section):
    """What is done to a text before it is spoken."""

    max_chars: Annotated[int, Ge(1)] = 20000
    """Characters in one request; longer texts are refused."""
    segment_chars: Annotated[int, Ge(20)] = 400
    """Characters that an engine speaks in one go; longer sentences are cut."""
    sentence_silence: Annotated[float, Ge(0), Le(10)] = 0.15
    """Seconds of silence between two sentences."""
    lexicon: LocalPath | None = None
    """A file that tells how words are said; null for lexicon.yaml beside this file, if there is one."""


class SpeechSettings(Section):
    """How it sounds."""

    speed: Annotated[float, Ge(0.25), Le(4)] = 1.0
    """How fast, from 0.25 to 4, where a request does not say; 1 is the voice's natural speed."""
    volume: Annotated[float, Ge(0), Le(2)] = 1.0
    """How loud, from 0 to 2; 1 leaves the audio as the engine makes it."""


class FallbackSettings(Section):
    """Who speaks when an engine cannot."""

    engines: tuple[Name, ...] = ("xtts", "f5", "espeak")
    """Each engine steps in for those before it, where a request named no voice or it has the same voice."""
    voices: dict[Name, Name] = {}
    """The voice of a language that steps in for any other, even one that was named, such as de: espeak-de."""
    first_audio_timeout: Annotated[float, Ge(0)] = 10
    """Seconds until an engine that has made no sound is given up; 0 for never."""
    rest: Annotated[float, Ge(0)] = 60
    """Seconds that an engine rests after it failed five times within a minute; 0 to try it each time."""


class PoolSettings(Section):
    """How the engines share the machine."""

    max_waiting: Annotated[int, Ge(1)] = 32
    """Requests that may wait for an engine; more are refused as busy."""
    wait_timeout: Seconds = 30
    """Seconds until a request that still waits is refused as busy."""
    idle_timeout: IdleSeconds = 300
    """Seconds until an engine without work ends; 0 for at once, -1 for never."""
    memory: Annotated[int, Ge(1)] | None = None
    """MiB of device memory that all engines together may take; null for what is free there."""
    prewarm_imports: bool | None = None
    """Whether libraries of engines stay imported, to wake them quickly; null for where 4 GiB are free."""
    low_vram: bool = False
    """Whether only one engine is loaded at a time, and ends when nothing waits for it."""
    buffer_seconds: Seconds = 30
    """Seconds of audio that are made ahead of a slow listener."""


class VoiceSettings(Section):
    """The voices that were cloned."""

    advertised: Annotated[int, Ge(1)] = 500
    """Cloned voices that clients see at most, pinned and last used ones first; all others speak, too."""
    ttl: Annotated[float, Ge(60)] = 2592000
    """Seconds without use until a voice expires that is not pinned."""


class CloningSettings(Section):
    """Who may clone voices, change them and delete them."""

    allow: tuple[NetworkOrLocal, ...] = ("local",)
    """Networks such as 192.168.1.0/24, and local for this machine and its subnets; empty for nobody."""
    token: SecretStr | None = None
    """Whoever sends this may, from anywhere, best written as `!secret NAME`; null for nobody."""
    mqtt: Literal["off", "on", "token"] = "token"
    """Over MQTT: off for nobody, on for whoever the broker lets, token for whoever sends the token."""
    per_hour: Annotated[int, Ge(1)] = 60
    """Recordings that are taken within an hour."""
    speech_to_text: SpeechToText = "auto"
    """Who hears words that nobody wrote down: tcp://HOST:PORT, auto for the first found by mDNS, or off."""
    whisper: Name | None = "small"
    """For faster-whisper, where nobody else listens: small, once downloaded, or a folder; null for none."""


class EngineSettings(Section):
    """What every engine has; the engine's own options stand beside these keys, and come out as `options`."""

    options_type: ClassVar[type[Any]] = NoneType

    enabled: bool = True
    """Whether the engine is offered."""
    python: LocalPath | None = None
    """Another Python interpreter to run the engine with; null for the node's own."""
    load_timeout: Seconds = 120
    """Seconds until an engine that is still loading is stopped."""
    silent_timeout: Seconds = 60
    """Seconds until an engine that works without any progress is stopped."""
    prewarm_imports: bool | None = None
    """Whether its libraries stay imported, to wake it quickly; null for what pool.prewarm_imports says."""

    @cached_property
    def options(self) -> Any:  # noqa: ANN401  each engine has a type of its own
        """The engine's own options, an instance of its `options_type`; None where that is not known."""
        if self.options_type is NoneType:
            return None
        return self.options_type(
            **{field.name: getattr(self, field.name) for field in fields(self.options_type)}
        )

    @model_validator(mode="after")
    def _let_the_engine_check(self) -> Self:
        _ = self.options  # the engine's `__post_init__` may refuse options that do not go together
        return self


class Settings(Section):
    """All settings of a node."""

    settings_version: Annotated[int, Ge(1), Le(1)] = 1
    """The version of the layout of these settings; another one is written for another voicenode."""
    name: Name = "voicenode"
    """The name that Home Assistant shows."""
    data_dir: LocalPath = Path("/var/lib/voicenode")
    """Where the node keeps its data; null for /var/lib/voicenode, or a user's ~/.local/share/voicenode."""
    default_voice: Name = "espeak-en-us"
    """The voice that speaks when nothing else decides."""
    default_engine: Name | None = None
    """The engine whose voice speaks when no voice is named; null for that of default_voice."""
    default_quality: dict[Name, Name] = {}
    """The quality profile in which an engine speaks unless asked otherwise, such as xtts: xtts_stable."""
    voice_quality: dict[Name, Name] = {}
    """The quality profile in which a voice speaks unless asked otherwise, such as xtts-anna: xtts_stable."""
    language_voices: dict[Name, Name] = {}
    """The voice of a language where the text's language decides, such as de: espeak-de."""
    aliases: dict[Name, Name] = {}
    """Other names for voices, such as butler: espeak-en-gb."""
    log: LogSettings = LogSettings()
    wyoming: WyomingSettings = WyomingSettings()
    mdns: MdnsSettings = MdnsSettings()
    http: HttpSettings = HttpSettings()
    mqtt: MqttSettings = MqttSettings()
    jobs: JobSettings = JobSettings()
    store: StoreSettings = StoreSettings()
    text: TextSettings = TextSettings()
    speech: SpeechSettings = SpeechSettings()
    fallback: FallbackSettings = FallbackSettings()
    pool: PoolSettings = PoolSettings()
    voices: VoiceSettings = VoiceSettings()
    cloning: CloningSettings = CloningSettings()
    engines: dict[str, EngineSettings] = {}
    """The installed engines, each with its own options."""
    shutdown_timeout: Seconds = 10
    """Seconds to finish what is being spoken when the node is stopped."""
