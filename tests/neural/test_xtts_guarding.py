"""What becomes of a model that babbles, falls silent or never starts: with a model that does so to order."""

from collections.abc import Callable, Generator, Sequence
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from voicenode.engine import EngineError
from voicenode.guard import longest_seconds
from voicenode_xtts import XttsParameters
from voicenode_xtts.arriving import Arrived, Beside
from voicenode_xtts.narrator import Narrator, Task
from voicenode_xtts.pacing import FIRST, HEAD, PART
from voicenode_xtts.sampling import Choice

pytestmark = pytest.mark.neural

RATE, HOP = 24000, 1115
STOP = 1025
LONG = "The quick brown fox jumps over the lazy dog near the river bank."
SPEECH, SILENCE = 0.3, 0.0


class ScriptedModel:
    """Each attempt at a text is a list of how loud each token is; where it ends, the model stops by itself.

    An attempt that is a single loudness goes on for ever.
    """

    rate, tokens_per_second, device = RATE, RATE / HOP, torch.device("cpu")

    def __init__(self, *attempts: Sequence[float] | float) -> None:
        self.attempts = list(attempts)
        self.seeds: list[int] = []
        self.made = 0
        self.gpt = SimpleNamespace(
            sizes=SimpleNamespace(most=602, stop_audio=STOP, start_audio=1024, audio_tokens=1026)
        )
        self.decoder = self
        self.beside = Beside()
        self.tokenizer = SimpleNamespace(
            encode=lambda text, _language: list(text.encode()), takes=lambda _text, _language: True
        )

    def generate(
        self, _style: object, _text: object, choice: Choice, most: int
    ) -> Generator[tuple[int, torch.Tensor], None, None]:
        self.seeds.append(choice.seed)
        attempt = self.attempts.pop(0)
        levels = [attempt] * most if isinstance(attempt, float) else [*attempt, 0.0]
        self.made = 0
        for number, level in enumerate(levels[:most]):
            self.made += 1
            is_last = not isinstance(attempt, float) and number == len(attempt)
            yield STOP if is_last else 5, torch.tensor([level])

    def vocoder(self, _embedding: object, _speed: float) -> "ScriptedModel":
        return self

    def feed(self, levels: torch.Tensor, *, last: bool = False) -> torch.Tensor:
        del last
        return levels.reshape(-1, 1).repeat(1, HOP).reshape(-1) * torch.sign(
            torch.cos(torch.arange(levels.numel() * HOP) / 20)
        )


def speak(model: ScriptedModel, text: str = LONG, *, guarded: bool = True) -> np.ndarray[Any, Any]:
    task = Task(text, "en", torch.zeros(1, 1), torch.zeros(1, 1), 1.0, XttsParameters(seed=7))
    pieces = list(Narrator(model, guarded=guarded).speak(task, Event()))  # type: ignore[arg-type]
    return np.concatenate(pieces)


def tokens(samples: np.ndarray[Any, Any]) -> float:
    """How many tokens of speech are heard."""
    return float((np.abs(samples) > 0.01).sum() / HOP)


def test_speech_that_ends_by_itself_is_heard_whole_and_trimmed() -> None:
    model = ScriptedModel([*[SILENCE] * 10, *[SPEECH] * 70, *[SILENCE] * 10])
    samples = speak(model)
    assert tokens(samples) == pytest.approx(70, abs=0.5)
    assert len(samples) / HOP < 74
    assert model.seeds == [7]


def test_speech_whose_last_token_ended_a_piece_is_heard_whole() -> None:
    said = speak(ScriptedModel([SPEECH] * (FIRST - 1)), guarded=False)
    assert tokens(said) == pytest.approx(FIRST - 1, abs=0.1)


class Unready(Arrived):
    """What is not here before somebody waits for it."""

    @property
    def here(self) -> bool:
        return False


class Watched(Beside):
    """Remembers after how many tokens it was asked for each piece."""

    def __init__(self, model: ScriptedModel) -> None:
        self.model = model
        self.asked: list[int] = []

    def run(self, work: Callable[[], torch.Tensor], *_given: torch.Tensor) -> Arrived:
        self.asked.append(self.model.made)
        return Unready(work())


def test_each_part_of_the_first_piece_is_asked_for_while_the_one_before_is_under_way() -> None:
    model = ScriptedModel([SPEECH] * 40)
    model.beside = watched = Watched(model)
    assert tokens(speak(model, guarded=False)) == pytest.approx(40, abs=0.1)
    assert watched.asked[:2] == [HEAD, HEAD + PART]


def test_no_token_is_made_between_the_end_of_the_first_piece_and_its_sound() -> None:
    model = ScriptedModel([SPEECH] * 40)
    model.beside = Watched(model)
    task = Task(LONG, "en", torch.zeros(1, 1), torch.zeros(1, 1), 1.0, XttsParameters(seed=7))
    pieces = Narrator(model, guarded=False).speak(task, Event())  # type: ignore[arg-type]
    assert len(next(piece for piece in pieces if len(piece)))
    assert model.made == FIRST


def test_babble_about_a_short_text_is_tried_again_with_another_seed() -> None:
    model = ScriptedModel(SPEECH, [SPEECH] * 12)
    assert tokens(speak(model, "Yes.")) == pytest.approx(12, abs=0.5)
    assert model.seeds == [7, 8]


def test_what_babbles_twice_is_cut_where_no_sane_reading_goes_on() -> None:
    model = ScriptedModel(SPEECH, SPEECH)
    seconds = len(speak(model, "Yes.")) / RATE
    assert 0.5 * longest_seconds("Yes.", "en") < seconds <= longest_seconds("Yes.", "en") + 0.05
    assert len(model.seeds) == 2


def test_babble_after_audio_has_left_is_cut_and_never_said_again() -> None:
    model = ScriptedModel(SPEECH)
    samples = speak(model)
    assert len(samples) / RATE <= longest_seconds(LONG, "en") + 0.05
    assert samples[-1] == 0
    assert model.seeds == [7]


def test_a_silent_tail_ends_the_speech_at_once() -> None:
    model = ScriptedModel([*[SPEECH] * 60, *[SILENCE] * 500])
    samples = speak(model)
    assert tokens(samples) == pytest.approx(60, abs=0.5)
    assert len(samples) / HOP < 63
    assert model.made < 60 + 2.5 * 64


def test_a_pause_within_speech_stays() -> None:
    model = ScriptedModel([*[SPEECH] * 30, *[SILENCE] * 15, *[SPEECH] * 30])
    assert len(speak(model)) / HOP == pytest.approx(75, abs=3)


def test_a_model_that_starts_with_silence_is_asked_again() -> None:
    model = ScriptedModel(SILENCE, [SPEECH] * 60)
    assert tokens(speak(model)) == pytest.approx(60, abs=0.5)
    assert model.seeds == [7, 8]


def test_a_model_that_stops_before_it_has_said_anything_is_asked_again() -> None:
    model = ScriptedModel([SPEECH] * 3, [SPEECH] * 60)
    assert tokens(speak(model)) == pytest.approx(60, abs=0.5)


def test_a_model_that_says_nothing_twice_has_failed() -> None:
    with pytest.raises(EngineError, match=r"no sound of 'The quick"):
        speak(ScriptedModel(SILENCE, SILENCE))


def test_without_the_guard_everything_is_heard() -> None:
    assert len(speak(ScriptedModel(SPEECH), "Yes.", guarded=False)) == 602 * HOP
    silent = ScriptedModel([*[SILENCE] * 30, *[SPEECH] * 30])
    assert len(speak(silent, guarded=False)) == 61 * HOP
