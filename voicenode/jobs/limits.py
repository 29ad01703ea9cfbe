"""What jobs may take of the node."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What jobs may take."""

    live_chars: int = 20_000
    """Characters of a live job's text."""
    batch_chars: int = 1_000_000
    """Characters of a batch job's text."""
    live_at_once: int = 8
    """Live jobs that are spoken at once; fewer than the pool lets wait, so that other doors find room."""
    batch_at_once: int = 1
    max_queued: int = 10_000
    """Jobs that are not final; one more is refused as busy."""
    max_final: int = 10_000
    """Final jobs that are kept; the oldest is forgotten."""
    max_bytes: int = 2 * 1024**3
    """Of all audio; the oldest is removed to make room."""
    ttl: float = 86_400.0
    """Seconds for which a final job and its audio are kept."""
