"""What several integration tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.mqtt import Running, node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.mosquitto import Mosquitto


@pytest.fixture
async def running(
    mosquitto: Mosquitto,
    tmp_path: Path,
    tone_engine: None,  # noqa: ARG001 (order)
) -> AsyncIterator[Running]:
    """A node with the tone engine on a broker of its own."""
    async with node(mosquitto, tmp_path / "node") as running:
        yield running
