"""The compiled step of the GPT next to PyTorch's products of the same weights."""

import pytest

pytest.importorskip("TTS")

import torch
from torch import Tensor, nn

from voicenode_xtts.cache import Cache
from voicenode_xtts.gpt import GPT, Sizes
from voicenode_xtts.int8_gpt import Int8GPT
from voicenode_xtts.projection import Int8Projection

pytestmark = pytest.mark.neural

SIZES = Sizes(
    layers=2, width=64, heads=4, text_tokens=10, text_length=10, audio_tokens=12, audio_length=30,
    start_text=0, stop_text=1, start_audio=10, stop_audio=11,
)  # fmt: skip
LENGTHS = (0, 7, 90)


def int8_gpt() -> Int8GPT:
    gpt = Int8GPT(SIZES, torch.float32).requires_grad_(requires_grad=False)
    torch.manual_seed(0)
    for part in gpt.modules():
        if isinstance(part, Int8Projection):
            part.weight.random_(-127, 128)
            part.scale.uniform_(0.001, 0.01)
            part.bias.normal_()
        elif isinstance(part, nn.LayerNorm):
            part.weight.normal_()
            part.bias.normal_()
    return gpt


def filled(dtype: torch.dtype) -> Cache:
    cache = Cache(SIZES, dtype, torch.device("cpu"))
    cache.reserve(len(LENGTHS) + 1, max(LENGTHS) + 1)
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


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_a_compiled_step_is_that_of_pytorch(dtype: torch.dtype, near: float) -> None:
    gpt, cache, theirs = int8_gpt(), filled(dtype), filled(dtype)
    latents, expected = stepped(gpt, cache, "compiled"), stepped(gpt, theirs, "PyTorch")
    torch.testing.assert_close(latents, expected, rtol=0, atol=near * float(expected.abs().max()))
    for kept, other in zip(cache.keys + cache.values, theirs.keys + theirs.values, strict=True):
        torch.testing.assert_close(kept, other, rtol=0, atol=near * float(other.float().abs().max()))


def test_rounding_to_bfloat16_is_that_of_pytorch() -> None:
    gpt, cache, theirs = int8_gpt(), filled(torch.bfloat16), filled(torch.bfloat16)
    stepped(gpt, cache, "compiled")
    stepped(gpt, theirs, "PyTorch")
    # What comes into the first block is the same in both, but for the order of sums.
    same = (cache.keys[0] == theirs.keys[0]).float().mean()
    assert same > 0.999
