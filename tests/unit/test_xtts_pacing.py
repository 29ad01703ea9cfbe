"""Sound leaves so that a player who has begun never waits: with an engine that only lets time pass."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from script.benchmarks.playback import waited
from voicenode_xtts.pacing import FIRST, HEAD, HELD_BACK, LEAST, LONGEST, PART, TOKEN, Pace

GRAIN = 1.837
"""Tokens of eight frames, of which the vocoder keeps a part after the head of the first piece."""


@dataclass
class SimulatedEngine:
    """Takes a share of real time for all that it does, and a moment for the prompt of each sentence."""

    share: float
    busy: float = 0.0
    """What something else on the machine takes, of each second."""
    now: float = 0.0
    decoded: list[int] = field(default_factory=list)
    """Tokens that were decoded at a time."""
    pieces: list[int] = field(default_factory=list)
    """Tokens of what left at a time."""

    def speak(self, tokens: int) -> Iterator[tuple[float, float]]:
        """When each piece of a sentence leaves, and how long it lasts."""
        pace, waiting, gone, sent = Pace(lambda: self.now), 0, 0, 0.0
        self._work(0.25)
        for count in range(1, tokens + 1):
            self._work(0.7 * self.share * TOKEN)
            waiting += 1
            last = count == tokens
            if pace.due(waiting) or last:
                self._work(0.3 * self.share * TOKEN * waiting)
                held = 0 if last else HELD_BACK + (count - HEAD) % GRAIN
                seconds = (count - held) * TOKEN - sent
                leaves = pace.left(waiting, seconds) or last
                self.decoded.append(waiting)
                waiting = 0
                if leaves:
                    self.pieces.append(count - gone)
                    gone, sent = count, sent + seconds
                    yield self.now, seconds

    def _work(self, seconds: float) -> None:
        self.now += seconds / (1 - self.busy)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("characters", range(20, 1001, 98))
def test_a_player_that_has_begun_never_waits(share: float, characters: int) -> None:
    engine = SimulatedEngine(share)
    sentences = [min(250, characters - start) for start in range(0, characters, 250)]
    chunks = [chunk for size in sentences for chunk in engine.speak(max(FIRST + 1, size * 15 // 10))]
    assert waited(chunks) == 0


def test_nor_while_another_engine_takes_a_third_of_the_machine() -> None:
    assert waited(list(SimulatedEngine(0.5, busy=1 / 3).speak(375))) == 0


def test_pieces_begin_small_and_grow_with_what_the_listener_has_in_hand() -> None:
    engine = SimulatedEngine(0.5)
    list(engine.speak(600))
    first, *others = engine.pieces[:-1]
    assert (first, others[0]) == (FIRST, LEAST)
    assert others == sorted(others)
    assert others[-1] == LONGEST


def test_the_first_piece_is_decoded_in_parts_while_it_is_made() -> None:
    engine = SimulatedEngine(0.5)
    list(engine.speak(100))
    assert engine.decoded[: 1 + (FIRST - HEAD) // PART] == [HEAD, *[PART] * ((FIRST - HEAD) // PART)]


def test_what_ends_the_first_piece_is_urgent_until_it_leaves() -> None:
    pace, waiting, urgent = Pace(lambda: 0), 0, []
    for _ in range(FIRST):
        waiting += 1
        if pace.due(waiting):
            waiting = 0
        urgent.append(pace.urgent)
    assert urgent == [False] * (FIRST - 1) + [True]
    assert not pace.left(HEAD, 0.1)
    assert pace.urgent
    assert pace.left(FIRST - HEAD, 0.2)
    assert not pace.urgent


def test_an_engine_slower_than_speech_lets_each_bit_out_at_once() -> None:
    engine = SimulatedEngine(1.5)
    chunks = list(engine.speak(200))
    assert engine.pieces[0] == FIRST
    assert set(engine.pieces[1:-1]) == {LEAST}
    assert waited(chunks) > 0


@pytest.mark.parametrize("share", [0.75, 0.95])
def test_the_first_piece_is_longer_where_tokens_take_long(share: float) -> None:
    engine = SimulatedEngine(share)
    assert waited(list(engine.speak(100))) == 0
    assert engine.pieces[0] > FIRST


@pytest.mark.parametrize("tokens", [1, HEAD - 1, HEAD, HEAD + 1, FIRST])
def test_the_head_of_a_short_text_is_not_kept(tokens: int) -> None:
    chunks = list(SimulatedEngine(0.5).speak(tokens))
    assert len(chunks) == 1
    assert chunks[0][1] == pytest.approx(tokens * TOKEN)
