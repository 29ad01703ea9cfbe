"""Which licences the owner of the node has accepted; remembered, so that each is asked for once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voicenode.models.manifest import replace

if TYPE_CHECKING:
    from pathlib import Path

    from voicenode.models.catalogue import Licence

_NAME = "licences.json"


def is_accepted(data_dir: Path, licence: Licence) -> bool:
    """Whether this licence was accepted at any time before, or nobody has to."""
    return licence.sentence is None or licence.name in _accepted(data_dir)


def accept(data_dir: Path, licence: Licence) -> None:
    """Remember that the owner has accepted it, and when.

    Raises:
        OSError: that cannot be written.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    accepted = _accepted(data_dir) | {licence.name: {"accepted": now, "url": licence.url}}
    replace(data_dir / _NAME, json.dumps(accepted, indent=2) + "\n")


def _accepted(data_dir: Path) -> dict[str, object]:
    try:
        accepted = json.loads((data_dir / _NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return accepted if isinstance(accepted, dict) else {}
