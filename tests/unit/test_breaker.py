import pytest

from voicenode.breaker import FAILURES, WITHIN, Breaker
from voicenode.errors import EngineError, ErrorCode

REST = 60.0
NO_WEIGHTS = EngineError(ErrorCode.ENGINE_UNAVAILABLE, "there are no weights; run `voicenode models`")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("tone", REST, clock)


def fail(breaker: Breaker, times: int = FAILURES) -> None:
    for _ in range(times):
        breaker.check()
        breaker.note_failure(NO_WEIGHTS)


def test_an_engine_that_keeps_failing_rests(breaker: Breaker) -> None:
    fail(breaker)
    with pytest.raises(EngineError, match="60 s") as raised:
        breaker.check()
    assert raised.value.code == ErrorCode.ENGINE_UNAVAILABLE


def test_while_it_rests_it_still_says_what_is_wrong(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.note_failure(EngineError(ErrorCode.ENGINE_LOST, "the last word"))
    with pytest.raises(EngineError, match=r"^the last word .*'tone'.* rests for 60 s"):
        breaker.check()


def test_failures_far_apart_do_not_count_together(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3 * FAILURES):
        fail(breaker, 1)
        clock.now += WITHIN / (FAILURES - 1) + 1


def test_a_success_forgets_the_failures(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.note_success()
    fail(breaker, FAILURES - 1)
    breaker.check()


def test_after_the_rest_one_request_tries_for_all(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += REST
    breaker.check()
    with pytest.raises(EngineError):
        breaker.check()
    breaker.note_success()
    breaker.check()


def test_a_trial_whose_listener_left_is_followed_by_another_and_counts_for_nothing(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker)
    for _ in range(3):
        clock.now += REST
        breaker.check()
    clock.now += REST
    breaker.check()
    breaker.note_success()
    fail(breaker, FAILURES - 1)
    breaker.check()


def test_a_trial_that_fails_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += REST
    breaker.check()
    breaker.note_failure(NO_WEIGHTS)
    clock.now += REST - 1
    with pytest.raises(EngineError):
        breaker.check()
