"""What the engines of a node may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Bounds for all engines together."""

    max_waiting: int = 32
    """Requests that may wait for their first turn; one more is refused as busy."""
    wait_timeout: float = 30.0
    """Seconds that a request waits for its first turn, loading apart, before it is refused."""
    idle_timeout: float = 300.0
    """Seconds after the last request until an engine's process ends; 0: at once, -1: never."""
    memory: int | None = None
    """Bytes of device memory that all engines together may need; None: what is free on a device."""
    low_vram: bool = False
    """Only one engine that needs device memory at a time, and none that has nothing to do."""
