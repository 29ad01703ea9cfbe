"""The loop as a GPU runs it, without one: steps that are recorded, and tokens that are looked at late."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("TTS")

import torch
from torch import Tensor

from tests.support import xtts_checkpoint
from voicenode.engine import Segment
from voicenode_xtts import XttsOptions, XttsParameters
from voicenode_xtts.decoding import Decoder
from voicenode_xtts.files import ModelFolder
from voicenode_xtts.graphs import Graphs
from voicenode_xtts.model import Model, load
from voicenode_xtts.sampling import Choice
from voicenode_xtts.speakers import Speakers

pytestmark = pytest.mark.neural

TEXTS = ("the quick brown fox.", "hello.", "it is going to rain before noon, they say.")
STOP = 1025


class PretendedGraphs(Graphs):
    """Repeats steps as a graph does, or fails to record them where it is `broken`.

    A graph reads and writes where things were when it was recorded: none of `watched` may have moved.
    """

    watched: Callable[[], list[Tensor]]
    positions = 40  # so that even short texts outgrow the cache

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__(torch.device("cpu"))
        self._broken = broken
        self.records = self.replays = 0

    def _places(self) -> tuple[Any, Any]:
        return None, None

    @contextmanager
    def _aside(self) -> Iterator[None]:
        yield

    def _record(self, step: Callable[[], Tensor]) -> tuple[Callable[[], Tensor], Tensor]:
        if self._broken:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        before = [tensor.clone() for tensor in self.watched()]
        result = step()
        for tensor, kept in zip(self.watched(), before, strict=True):
            tensor.copy_(kept)
        places = [tensor.data_ptr() for tensor in self.watched()]

        def replay() -> Tensor:
            assert [tensor.data_ptr() for tensor in self.watched()] == places
            self.replays += 1
            return result.copy_(step())

        self.records += 1
        return replay, result

    def _forget(self) -> None:
        self._recorded.clear()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))
    model = load(ModelFolder(folder), XttsOptions(device="cpu", precision="exact"))
    model.gpt.mel_head.bias[STOP] = 3.0
    return model


@pytest.fixture(scope="module")
def style(model: Model) -> Tensor:
    folder = ModelFolder(model.weights.parent)
    return Speakers(model, folder, None).latents(Segment("", "claribel-dervla", "en"))[0]


def decoder_with(model: Model, graphs: PretendedGraphs) -> Decoder:
    decoder = Decoder(model.gpt, torch.float32, graphs)
    sampler, cache = decoder._sampler, decoder._cache
    graphs.watched = lambda: [
        *(decoder._tokens, decoder._places, decoder._lengths, decoder._spoken, sampler.seen),
        *cache.keys,
        *cache.values,
    ]
    return decoder


def together(model: Model, decoder: Decoder, style: Tensor) -> list[list[tuple[int, float]]]:
    """What each text says, begun one after the other; the last of them is left midway, and begun again."""

    def begun(number: int) -> Iterator[tuple[int, Tensor]]:
        tokens = model.tokenizer.encode(TEXTS[number], "en")
        return decoder.generate(style, tokens, Choice(XttsParameters(), seed=number), 60)

    running = {0: begun(0)}
    said: list[list[tuple[int, float]]] = [[], [], []]
    left, rounds = begun(2), 0
    while running:
        rounds += 1
        if rounds in (3, 6):
            running[rounds // 3] = begun(rounds // 3)
        if rounds < 5:
            next(left)
        elif rounds == 5:
            left.close()  # type: ignore[attr-defined]
        for number, made in list(running.items()):
            item = next(made, None)
            if item is None:
                del running[number]
            else:
                said[number].append((item[0], float(item[1][0])))
    return said


def test_recorded_steps_say_what_steps_that_are_run_say(model: Model, style: Tensor) -> None:
    graphs = PretendedGraphs()
    usual = together(model, model.decoder, style)
    decoder = decoder_with(model, graphs)
    decoder.rehearse()
    repeated = together(model, decoder, style)
    assert [[token for token, _ in each] for each in repeated] == [[t for t, _ in each] for each in usual]
    for one, other in zip(usual, repeated, strict=True):
        assert [value for _, value in one] == pytest.approx([value for _, value in other], abs=1e-3)
    assert graphs.replays > graphs.records > 1
    assert not decoder._lengths.any()  # rows that are free stay where they are


def test_a_device_that_cannot_record_says_the_same(
    model: Model, style: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = decoder_with(model, PretendedGraphs(broken=True))
    usual = together(model, model.decoder, style)
    assert [[t for t, _ in each] for each in together(model, decoder, style)] == [
        [t for t, _ in each] for each in usual
    ]
    assert caplog.text.count("without CUDA graphs") == 1


def test_a_text_ends_with_its_stop_or_with_the_last_token_that_it_may_have(
    model: Model, style: Tensor
) -> None:
    decoder = decoder_with(model, PretendedGraphs())
    for most in (1, 2, 3, 60):
        tokens = model.tokenizer.encode(TEXTS[0], "en")
        made = [token for token, _ in decoder.generate(style, tokens, Choice(XttsParameters(), 0), most)]
        assert made
        assert STOP not in made[:-1]
        assert made[-1] == STOP or len(made) == most
