"""The compiled step and prompt of the GPT next to PyTorch's products of the same weights."""

from dataclasses import replace
from unittest.mock import patch

import pytest

pytest.importorskip("TTS")

import numpy as np
import torch
from torch import Tensor, nn

from voicenode_xtts import prompt
from voicenode_xtts.cache import Cache, Prompt
from voicenode_xtts.gpt import GPT, Sizes
from voicenode_xtts.int8_gpt import Int8GPT, _is_compiled
from voicenode_xtts.kernel import Block
from voicenode_xtts.linear import Linear, Rounded, project
from voicenode_xtts.projection import Int8Projection

pytestmark = pytest.mark.neural

SIZES = Sizes(
    layers=2, width=64, heads=4, text_tokens=10, text_length=10, audio_tokens=12, audio_length=30,
    start_text=0, stop_text=1, start_audio=10, stop_audio=11,
)  # fmt: skip
LENGTHS = (0, 7, 90)
WIDE = replace(SIZES, width=128, heads=2)
"""With heads of the only size for which prompts are compiled."""
compiled_prompts = pytest.mark.skipif(
    not _is_compiled(WIDE, torch.bfloat16), reason="this processor has no instructions for pairs of bfloat16"
)


def int8_gpt(sizes: Sizes = SIZES, wide: torch.dtype = torch.float32) -> Int8GPT:
    gpt = Int8GPT(sizes, wide).requires_grad_(requires_grad=False)
    torch.manual_seed(0)
    for part in gpt.modules():
        if isinstance(part, Int8Projection):
            part.weight.random_(-127, 128)
            part.scale.uniform_(0.0002, 0.001)
            part.bias.normal_()
        elif isinstance(part, nn.LayerNorm):
            part.weight.normal_()
            part.bias.normal_()
    return gpt


def filled(dtype: torch.dtype, texts: int = len(LENGTHS)) -> Cache:
    cache = Cache(SIZES, dtype, torch.device("cpu"))
    cache.reserve(texts + 1, max(LENGTHS) + 1)
    torch.manual_seed(1)
    for layer in range(SIZES.layers):
        cache.keys[layer].normal_()
        cache.values[layer].normal_()
    return cache


def stepped(gpt: Int8GPT, cache: Cache, step: str) -> Tensor:
    torch.manual_seed(2)
    embedded = torch.randn(len(LENGTHS), SIZES.width)
    method = Int8GPT.step if step == "compiled" else GPT.step
    with torch.inference_mode():
        return method(gpt, embedded, cache, torch.tensor(LENGTHS))


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-3), (torch.bfloat16, 0.02)])
def test_a_compiled_step_is_that_of_pytorch(dtype: torch.dtype, near: float) -> None:
    gpt, cache, theirs = int8_gpt(), filled(dtype), filled(dtype)
    latents, expected = stepped(gpt, cache, "compiled"), stepped(gpt, theirs, "PyTorch")
    torch.testing.assert_close(latents, expected, rtol=0, atol=near * float(expected.abs().max()))
    for kept, other in zip(cache.keys + cache.values, theirs.keys + theirs.values, strict=True):
        torch.testing.assert_close(kept, other, rtol=0, atol=near * float(other.float().abs().max()))


@pytest.mark.parametrize("texts", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("width", [SIZES.width, 1088])
def test_layers_give_a_text_alone_what_they_give_it_among_others(texts: int, width: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, width)).astype(np.float32)
    layer = Linear(
        rng.integers(-127, 128, (12, width)).astype(np.int8), *rng.standard_normal((2, 12)).astype(np.float32)
    )
    together, alone = np.empty((texts, 12), np.float32), np.empty((1, 12), np.float32)
    project(rows[:texts], layer, together, Rounded.empty(texts, width))
    for text in range(texts):
        project(rows[text : text + 1], layer, alone, Rounded.empty(1, width))
        np.testing.assert_array_equal(together[text], alone[0])
    expected = rows[:texts] @ layer.weight.T.astype(np.float32) * layer.scale + layer.bias
    np.testing.assert_allclose(together, expected, rtol=0, atol=2e-4 * abs(expected).max())


@pytest.mark.parametrize("texts", [1, 2, 3, 5, 8])
def test_a_step_gives_a_text_alone_what_it_gives_it_among_others(texts: int) -> None:
    gpt, lengths = int8_gpt(), [(7 * text) % 90 for text in range(texts)]
    torch.manual_seed(2)
    embedded = torch.randn(texts, SIZES.width)
    with torch.inference_mode():
        together = gpt.step(embedded, filled(torch.bfloat16, texts), torch.tensor(lengths))
        for text, length in enumerate(lengths):
            cache, others = filled(torch.bfloat16, 1), filled(torch.bfloat16, texts)
            for kept, other in zip(cache.keys + cache.values, others.keys + others.values, strict=True):
                kept[0] = other[text]
            alone = gpt.step(embedded[text : text + 1], cache, torch.tensor([length]))
            assert torch.equal(alone[0], together[text])


def test_a_width_of_which_no_processor_reads_whole_lines_is_that_of_pytorch() -> None:
    sizes = replace(SIZES, width=40)
    gpt, embedded = int8_gpt(sizes), torch.randn(1, sizes.width)
    caches = [Cache(sizes, torch.float32, torch.device("cpu")) for _ in range(2)]
    for cache in caches:
        cache.reserve(2, 1)
    with torch.inference_mode():
        latents, expected = (
            method(gpt, embedded, cache, torch.tensor([0]))
            for method, cache in zip((Int8GPT.step, GPT.step), caches, strict=True)
        )
    assert torch.equal(latents, expected)


def test_rounding_to_bfloat16_is_that_of_pytorch() -> None:
    gpt, cache, theirs = int8_gpt(), filled(torch.bfloat16), filled(torch.bfloat16)
    stepped(gpt, cache, "compiled")
    stepped(gpt, theirs, "PyTorch")
    # What comes into the first block is the same in both, but for the order of sums.
    same = (cache.keys[0] == theirs.keys[0]).float().mean()
    assert same > 0.999


def read(gpt: Int8GPT, cache: Cache, past: int, count: int, how: str) -> Tensor:
    """The latent of the last of some positions, after `past` others, in the second slot of a cache."""
    torch.manual_seed(3)
    embedded = torch.randn(1, count, WIDE.width)
    method = Int8GPT.forward if how == "compiled" else GPT.forward
    with torch.inference_mode():
        method(gpt, torch.randn(1, past, WIDE.width), Prompt(cache, 1, 0, past))
        return method(gpt, embedded, Prompt(cache, 1, past, count))


@compiled_prompts
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(("past", "count"), [(1, 1), (1, 6), (32, 4), (32, 150), (63, 65)])
def test_a_compiled_prompt_is_that_of_pytorch(past: int, count: int, threads: int) -> None:
    with patch.object(torch, "get_num_threads", return_value=threads):
        gpt = int8_gpt(WIDE, torch.bfloat16)
    caches = [Cache(WIDE, torch.bfloat16, torch.device("cpu")) for _ in range(2)]
    for cache in caches:
        cache.reserve(2, past + count)
    latents, expected = (
        read(gpt, cache, past, count, how) for cache, how in zip(caches, ("compiled", "PyTorch"), strict=True)
    )
    torch.testing.assert_close(latents, expected, rtol=0, atol=0.03 * float(expected.abs().max()))
    for ours, theirs in zip(
        caches[0].keys + caches[0].values, caches[1].keys + caches[1].values, strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0.03 * float(theirs.abs().max()))


@compiled_prompts
def test_a_prompt_in_which_one_thread_fails_fails() -> None:
    gpt, cache = int8_gpt(WIDE, torch.bfloat16), Cache(WIDE, torch.bfloat16, torch.device("cpu"))
    cache.reserve(2, 101)
    mix = prompt._mix

    def failing(part: prompt._Part, block: Block, places: prompt.Places) -> None:
        if not part.first:
            raise MemoryError
        mix(part, block, places)

    with patch.object(prompt, "_mix", failing), pytest.raises(MemoryError):
        read(gpt, cache, 1, 100, "compiled")
