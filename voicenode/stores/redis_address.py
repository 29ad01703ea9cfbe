"""Where a Redis is: what its URL says, and how that is shown to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

EXPECTED = "redis://HOST, rediss://HOST or unix:///PATH, such as redis://USER:PASSWORD@HOST:6379/0"

_PORT, _PREFIX = 6379, "voicenode"
"""IANA's port for Redis, and what keys begin with there."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One database of one server, and what this project's keys begin with there."""

    host: str | None = None
    """None for a Unix socket."""
    port: int = _PORT
    path: str | None = None
    """The file of a Unix socket."""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    prefix: str = _PREFIX
    ca: str | None = None
    """A file of certificates that the server's must lead to; None for those that this machine trusts."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """What a URL says; `?db=`, `?prefix=` and, with TLS, `?ca=` may follow.

        Raises:
            ValueError: it is no URL of a Redis.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        local, tls = parts.scheme == "unix", parts.scheme == "rediss"
        known = {"db", "prefix", "ca"} if tls else {"db", "prefix"}
        wrong = (
            parts.scheme not in {"redis", "rediss", "unix"}
            or bool(parts.hostname) == local
            or (local and len(parts.path) < len("/x"))
            or bool(parts.fragment)
            or not url.isprintable()
            or options.keys() - known
        )
        number = options.get("db") or ("" if local else parts.path.strip("/")) or "0"
        if wrong or not (number.isascii() and number.isdigit()):
            raise ValueError(f"expected {EXPECTED}")
        return cls(
            host=parts.hostname,
            port=parts.port or _PORT,
            path=unquote(parts.path) if local else None,
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            db=int(number),
            prefix=options.get("prefix", _PREFIX),
            ca=options.get("ca"),
        )

    def __str__(self) -> str:
        """The URL as people may see it: without the password."""
        user = quote(self.username) if self.username else ""
        login = f"{user}{':***' if self.password else ''}"
        if self.path is not None:
            place = f"unix://{login and login + '@'}{self.path}?db={self.db}"
        else:
            host = f"[{self.host}]" if ":" in (self.host or "") else self.host
            place = f"redis{'s' * self.tls}://{login and login + '@'}{host}:{self.port}/{self.db}"
        if self.prefix == _PREFIX:
            return place
        return f"{place}{'&' if '?' in place else '?'}prefix={quote(self.prefix)}"

    def __repr__(self) -> str:
        return f"RedisAddress({str(self)!r})"
