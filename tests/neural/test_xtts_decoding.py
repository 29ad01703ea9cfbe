"""The loop that makes tokens: several texts at once, voices that are kept, and weights of eight bits."""

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("TTS")

import torch
from torch import Tensor

from tests.support import xtts_checkpoint
from voicenode.engine import Segment
from voicenode_xtts import XttsOptions, XttsParameters
from voicenode_xtts.cache import Cache, Prompt
from voicenode_xtts.files import ModelFolder
from voicenode_xtts.model import Model, load
from voicenode_xtts.pacing import FIRST
from voicenode_xtts.sampling import Choice
from voicenode_xtts.speakers import Speakers

pytestmark = pytest.mark.neural

TEXTS = ("the quick brown fox.", "hello.", "it is going to rain before noon, they say.")
LENGTHS = (20, 8, 30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def exact(folder: Path) -> Model:
    return load(ModelFolder(folder), XttsOptions(device="cpu", precision="exact"))


@pytest.fixture(scope="module")
def fast(folder: Path) -> Model:
    return load(ModelFolder(folder), XttsOptions(device="cpu"))


@pytest.fixture(scope="module")
def style(folder: Path, exact: Model) -> Tensor:
    return Speakers(exact, ModelFolder(folder), None).latents(Segment("", "claribel-dervla", "en"))[0]


def generate(model: Model, style: Tensor, number: int) -> list[int]:
    choice = Choice(XttsParameters(), seed=number, endless=True)
    tokens = model.tokenizer.encode(TEXTS[number], "en")
    return [token for token, _ in model.decoder.generate(style, tokens, choice, LENGTHS[number])]


def forced(model: Model, style: Tensor, tokens: Sequence[int]) -> Tensor:
    """The logits where these are the tokens, whatever the model would have chosen."""
    gpt, cache = model.gpt, Cache(model.gpt.sizes, model.decoder.dtype, model.device)
    prompt = torch.cat((style, gpt.embed_text(model.tokenizer.encode(TEXTS[0], "en"))))
    cache.reserve(1, len(prompt) + len(tokens))
    gpt(prompt[None], Prompt(cache, 0, 0, len(prompt)))
    latents = [
        gpt.step(
            gpt.embed_audio(torch.tensor([token]), torch.tensor([place])),
            cache,
            torch.tensor([len(prompt) + place]),
        )
        for place, token in enumerate(tokens)
    ]
    logits: Tensor = gpt.mel_head(torch.cat(latents))
    return logits


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_texts_that_come_and_go_say_what_each_says_alone(
    exact: Model, fast: Model, style: Tensor, precision: str
) -> None:
    model = exact if precision == "exact" else fast
    alone = [generate(model, style, number) for number in range(3)]
    running = {
        number: model.decoder.generate(
            style,
            model.tokenizer.encode(text, "en"),
            Choice(XttsParameters(), seed=number, endless=True),
            LENGTHS[number],
        )
        for number, text in enumerate(TEXTS)
    }
    together: dict[int, list[int]] = {number: [] for number in running}
    while running:
        for number, made in list(running.items()):
            item = next(made, None)
            if item is None:
                del running[number]
            else:
                together[number].append(item[0])
    assert list(together.values()) == alone


def test_a_text_that_is_left_midway_leaves_the_others_as_they_are(exact: Model, style: Tensor) -> None:
    alone = generate(exact, style, 2)
    left = exact.decoder.generate(
        style, exact.tokenizer.encode(TEXTS[0], "en"), Choice(XttsParameters(), 0, endless=True), 20
    )
    stays = exact.decoder.generate(
        style, exact.tokenizer.encode(TEXTS[2], "en"), Choice(XttsParameters(), 2, endless=True), 30
    )
    next(left)
    made = [next(stays)[0] for _ in range(10)]
    left.close()
    assert [*made, *(token for token, _ in stays)] == alone


def test_weights_of_eight_bits_choose_as_the_exact_ones(exact: Model, fast: Model, style: Tensor) -> None:
    tokens = generate(exact, style, 2)
    with torch.inference_mode():
        near = torch.cosine_similarity(forced(exact, style, tokens), forced(fast, style, tokens), dim=1)
    assert near.min() > 0.999
    assert near.max() < 0.9999999  # they are not the same weights


@pytest.mark.parametrize("count", range(2, 66, 8))
def test_the_cache_does_not_grow_while_a_listener_awaits_sound(
    fast: Model, style: Tensor, count: int
) -> None:
    cache, choice = fast.decoder._cache, Choice(XttsParameters(), seed=0, endless=True)
    made = fast.decoder.generate(style, [5] * count, choice, 2 * FIRST)
    next(made)
    before = cache.generation
    assert [cache.generation for _ in zip(range(FIRST), made, strict=False)] == [before] * FIRST
    made.close()
