"""Types of settings that several sections share; each says what it expected when it refuses a value."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator, PlainSerializer, SecretStr

from voicenode.stores.redis_address import EXPECTED, RedisAddress

_T = TypeVar("_T")


def _checked(holds: Callable[[_T], bool], expected: str) -> AfterValidator:
    """A value for which `holds` is false, or raises ValueError, is refused with what was expected."""

    def check(value: _T) -> _T:
        try:
            good = holds(value)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


def _is_listen_uri(uri: str) -> bool:
    parts = urlsplit(uri)
    if any(not character.isprintable() or character.isspace() for character in uri):
        return False
    match parts.scheme:
        case "tcp":
            bare = not (parts.path or parts.query or parts.fragment or parts.username)
            return bare and parts.port is not None
        case "unix":
            return not parts.netloc and len(parts.path) > 1
        case _:
            return uri == "stdio://"


def _is_service_uri(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "tcp" and bool(parts.hostname) and parts.port is not None and not parts.path


def _is_http_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)


def _is_topic(topic: str) -> bool:
    """Whether levels can follow: no wildcards, no empty levels, nothing that a broker keeps for itself."""
    return topic.isprintable() and all(topic.split("/")) and not any(char in topic for char in "+#$ ")


def _is_redis(url: SecretStr) -> bool:
    return bool(RedisAddress.parse(url.get_secret_value()))


def _without_password(url: SecretStr) -> str:
    return str(RedisAddress.parse(url.get_secret_value()))


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no such user; the path stays relative and is refused as such
        return path


Name = Annotated[str, MinLen(1)]
Seconds = Annotated[float, Gt(0)]
IdleSeconds = Annotated[
    float, _checked(lambda seconds: seconds >= 0 or seconds == -1, "seconds, 0 for at once, or -1 for never")
]
IpAddress = Annotated[str, _checked(lambda text: bool(ip_address(text)), "an IP address")]
LocalPath = Annotated[
    Path,
    AfterValidator(_expand_home),
    _checked(lambda path: path.is_absolute() and "\0" not in str(path), "an absolute path"),
]
ListenUri = Annotated[str, _checked(_is_listen_uri, "tcp://HOST:PORT, tcp://:PORT, unix:///PATH or stdio://")]
ListenUris = Annotated[tuple[ListenUri, ...], _checked(bool, "at least one")]
NetworkOrLocal = Annotated[
    str,
    _checked(
        lambda text: text == "local" or bool(ip_network(text)), "local, or a network such as 192.168.1.0/24"
    ),
]
SpeechToText = Annotated[
    str,
    _checked(
        lambda text: text in {"auto", "off"} or _is_service_uri(text),
        "auto, off, or an address, tcp://HOST:PORT",
    ),
]
HttpUrl = Annotated[str, _checked(_is_http_url, "http://HOST:PORT or https://HOST, with a path or without")]
Port = Annotated[int, Ge(1), Le(65535)]
Topic = Annotated[str, _checked(_is_topic, "a topic without wildcards, such as voicenode or home/voices")]
RedisUrl = Annotated[SecretStr, _checked(_is_redis, EXPECTED), PlainSerializer(_without_password)]
