"""The whole daemon on a broker, to be killed and started again."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from tests.support.daemon import Daemon, daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto


class MqttNode:
    """A node that speaks with the tone engine; entering starts it.

    Args:
        broker: which must not run yet.
        home: keeps all that the node remembers.
        node_id: eight hexadecimal digits.
        connected: whether `start` waits for the broker.
        tone: options of the engine.
        mqtt: further settings of MQTT.
        data_dir: elsewhere than below `home`.
        log_level: `debug` for what is said again and again.
        settings: all others.
    """

    def __init__(
        self,
        broker: Mosquitto,
        home: Path,
        node_id: str = "aaaaaaaa",
        *,
        connected: bool = True,
        tone: Mapping[str, Any] | None = None,
        mqtt: Mapping[str, Any] | None = None,
        data_dir: Path | None = None,
        log_level: str = "info",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.base = f"voicenode/{node_id}"
        self._home = home
        self._connected = connected
        self._data_dir = data_dir or home / "data"
        self._settings = {
            "data_dir": str(self._data_dir),
            "default_voice": "tone-plain",
            "log": {"level": log_level},
            "mqtt": {"host": broker.host, "port": broker.port, **(mqtt or {})},
            "http": {"host": "127.0.0.1", "port": free_port()},  # in the addresses of audio, after a kill too
            "engines": {"tone": dict(tone or {})},
            **(settings or {}),
        }
        self._node_id = node_id
        self._life = ExitStack()
        self._daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        assert self._daemon, "it does not run"
        return self._daemon

    def start(self) -> None:
        """Return when it is ready, and connected if that was asked for."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        (self._data_dir / "node-id").write_text(self._node_id)
        self._daemon = self._life.enter_context(daemon(self._home, settings=self._settings))
        self._daemon.wait_until_ready()
        if self._connected:
            self._daemon.log.wait_for("MQTT: connected to")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.daemon.send(signal.SIGKILL)
        self.daemon.wait()
        self._end()

    def stop(self) -> None:
        """End it in order, and fail where the log holds a complaint."""
        self._end()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._life.close()
        self._daemon = None
