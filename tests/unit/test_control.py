"""What the node tells of itself as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support import speech, tone
from voicenode import control as module
from voicenode.control import Control
from voicenode.report import LEFT, SPOKEN, SpokenReport
from voicenode.workers.limits import PoolLimits
from voicenode.workers.pool import EnginePool

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Stands in for the module `time`."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def control(clock: Clock) -> Control:
    assert clock
    pool = EnginePool([tone.spec()], PoolLimits())
    return Control("4f2a9c01", speech.processor(pool), pool)


@pytest.fixture
def ends(control: Control) -> Callable[..., None]:
    """Tells of the end of a request that took so many seconds."""

    def end(outcome: str, seconds: float = 1.0) -> None:
        figures: dict[str, Any] = dict.fromkeys(("characters", "audio_seconds", "engine_seconds"), 1)
        report = SpokenReport(
            door="wyoming", engine="tone", voice="tone-plain", ttfa=0.1,
            wall_seconds=seconds, outcome=outcome, **figures,
        )  # fmt: skip
        for observer in control._processor.observers:
            observer(report)

    return cast("Callable[..., None]", end)


def error(control: Control) -> tuple[str | None, str | None]:
    status = control.status()
    return status["last_error"], status["last_error_at"]


def test_a_failure_is_told_with_its_time(control: Control, ends: Callable[..., None], clock: Clock) -> None:
    assert error(control) == (None, None)
    ends("engine-lost")
    clock.now += 3600
    assert error(control) == ("engine-lost", datetime.fromtimestamp(1_000_000, UTC).isoformat())


def test_a_refusal_is_told_like_a_failure(control: Control) -> None:
    control.note_error("bad-request")
    assert error(control)[0] == "bad-request"


def test_an_error_is_over_once_a_later_request_is_spoken(
    control: Control, ends: Callable[..., None], clock: Clock
) -> None:
    ends("engine-lost")
    clock.now += 10
    ends(LEFT)
    ends(SPOKEN, seconds=11)
    assert error(control)[0] == "engine-lost", "what was spoken had begun before"
    ends(SPOKEN, seconds=9)
    assert error(control) == (None, None)
