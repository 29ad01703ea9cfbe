"""The same weights in upstream's library and in ours: the same tokens, and a stream like one decode."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("TTS")

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MaxLengthCriteria,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tests.support import xtts_checkpoint
from voicenode.engine import Segment
from voicenode_xtts import XttsOptions, XttsParameters, processor
from voicenode_xtts.convolution import Convolution
from voicenode_xtts.files import ModelFolder
from voicenode_xtts.model import Model, load
from voicenode_xtts.sampling import Choice, Sampler
from voicenode_xtts.speakers import Speakers
from voicenode_xtts.stretching import Stretcher
from voicenode_xtts.vocoder import HOP, Decoding

pytestmark = pytest.mark.neural

TEXTS = ("the quick brown fox.", "hello world.")
TOKENS = 30
GREEDY = XttsParameters(top_k=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:  # noqa: ANN401  (a library without types)
    return xtts_checkpoint.upstream(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(ModelFolder(folder), XttsOptions(device="cpu", precision="exact"))


@pytest.fixture(scope="module")
def voice(folder: Path, model: Model) -> tuple[Tensor, Tensor]:
    return Speakers(model, ModelFolder(folder), None).latents(Segment("", "claribel-dervla", "en"))


@pytest.fixture(scope="module")
def latents(model: Model, voice: tuple[Tensor, Tensor]) -> Tensor:
    return generate(model, voice[0], TEXTS[0])[1]


@pytest.fixture(scope="module")
def whole(reference: Any, voice: tuple[Tensor, Tensor], latents: Tensor) -> Tensor:  # noqa: ANN401
    """One decode of the latents by upstream."""
    with torch.inference_mode():
        samples: Tensor = reference.hifigan_decoder(latents[None], g=voice[1][None]).squeeze()
    return samples


def generate(model: Model, style: Tensor, text: str) -> tuple[list[int], Tensor]:
    made = list(
        model.decoder.generate(style, model.tokenizer.encode(text, "en"), Choice(GREEDY, seed=0), TOKENS)
    )
    return [token for token, _ in made], torch.stack([latent for _, latent in made])


def stream(
    model: Model, latents: Tensor, embedding: Tensor, sizes: Sequence[int], speed: float = 1.0
) -> Tensor:
    vocoder = model.vocoder(embedding, speed)
    pieces = [vocoder.feed(piece) for piece in latents.split(list(sizes))]  # type: ignore[no-untyped-call]
    return torch.cat([*pieces, vocoder.feed(latents[:0], last=True)])


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest, relative to the reference's peak."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("text", TEXTS)
def test_greedy_tokens_and_their_latents_are_upstreams(
    model: Model,
    reference: Any,  # noqa: ANN401
    voice: tuple[Tensor, Tensor],
    text: str,
) -> None:
    prompt = reference.gpt.compute_embeddings(
        voice[0][None], torch.tensor([model.tokenizer.encode(text, "en")])
    )
    theirs = list(
        reference.gpt.get_generator(
            fake_inputs=prompt,
            top_k=1,
            do_sample=True,
            temperature=GREEDY.temperature,
            top_p=GREEDY.top_p,
            repetition_penalty=GREEDY.repetition_penalty,
            output_hidden_states=True,
            return_dict_in_generate=True,
            stopping_criteria=StoppingCriteriaList([MaxLengthCriteria(prompt.shape[1] + TOKENS)]),
        )
    )
    tokens, latents = generate(model, voice[0], text)
    assert tokens == [int(token) for token, _ in theirs]
    assert len(set(tokens)) > 10
    assert difference(latents, torch.cat([latent for _, latent in theirs])) < 1e-5


@pytest.mark.parametrize("sizes", [[16, 14], [1] * 12 + [18], [7, 17, 5, 1], [29, 1]])
def test_a_stream_equals_one_decode_wherever_its_borders_fall(
    model: Model,
    voice: tuple[Tensor, Tensor],
    latents: Tensor,
    whole: Tensor,
    sizes: list[int],
) -> None:
    ours = stream(model, latents, voice[1], sizes)
    assert ours.shape == whole.shape
    assert difference(ours, whole) < 1e-5


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this processor has no bfloat16",
)
def test_a_rounded_vocoder_is_heard_as_the_exact_one(
    folder: Path,
    voice: tuple[Tensor, Tensor],
    latents: Tensor,
    whole: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor, "wide", lambda: torch.bfloat16)
    fast = load(ModelFolder(folder), XttsOptions(device="cpu", precision="fast"))
    ours = stream(fast, latents, voice[1], [10, 5, 15])
    assert ours.shape == whole.shape
    assert 0 < difference(ours, whole) < 0.02
    noise = (ours - whole).square().mean() / (whole - whole.mean()).square().mean()
    assert 10 * noise.log10() < -40


@pytest.mark.parametrize("speed", [0.8, 1.3, 2.0])
def test_speed_stretches_as_upstream_does(
    model: Model,
    reference: Any,  # noqa: ANN401
    voice: tuple[Tensor, Tensor],
    latents: Tensor,
    speed: float,
) -> None:
    latents = latents[:20]
    with torch.inference_mode():
        stretched = torch.nn.functional.interpolate(latents.T[None], scale_factor=1 / speed, mode="linear")
        whole = reference.hifigan_decoder(stretched.transpose(1, 2), g=voice[1][None]).squeeze()
    ours = stream(model, latents, voice[1], [16, 4], speed)
    assert ours.shape == whole.shape
    assert difference(ours, whole) < 1e-5


def test_two_texts_are_heard_to_differ(model: Model, voice: tuple[Tensor, Tensor], whole: Tensor) -> None:
    other = stream(model, generate(model, voice[0], TEXTS[1])[1], voice[1], [TOKENS])
    assert difference(other, whole) > 0.1


@pytest.mark.parametrize("scale", [4.0, 24000 / 22050, 0.5, 1 / 0.98])
@pytest.mark.parametrize("step", [1, 3, 600])
def test_stretching_piece_by_piece_equals_interpolation_of_the_whole(scale: float, step: int) -> None:
    rows = torch.randn(600, 3)
    whole = torch.nn.functional.interpolate(rows.T[None], scale_factor=scale, mode="linear")[0].T
    stretcher = Stretcher(scale)
    pieces = [stretcher.feed(rows[start : start + step], last=False) for start in range(0, 600, step)]
    ours = torch.cat([*pieces, stretcher.feed(rows[:0], last=True)])
    assert ours.shape == whole.shape
    assert difference(ours, whole) < 1e-6


@pytest.mark.parametrize(
    "parameters",
    [
        XttsParameters(),
        XttsParameters(temperature=0.3, top_k=5, top_p=0.5, repetition_penalty=2.0),
        XttsParameters(temperature=1.5, top_k=1000, top_p=1.0, repetition_penalty=1.0),
    ],
)
def test_a_token_is_as_likely_as_transformers_finds_it(model: Model, parameters: XttsParameters) -> None:
    sizes = model.gpt.sizes
    sampler = Sampler(sizes, 1, model.device)
    sampler.begin(0, Choice(parameters, seed=0))
    made = [
        int(sampler.pick(3 * torch.randn(1, sizes.audio_tokens), torch.tensor([place])))
        for place in range(30)
    ]
    logits = 3 * torch.randn(sizes.audio_tokens)
    logits[[1, sizes.start_audio, made[0]]] = logits.max() + torch.arange(3)
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(parameters.repetition_penalty),
            TemperatureLogitsWarper(parameters.temperature),
            TopKLogitsWarper(parameters.top_k),
            TopPLogitsWarper(parameters.top_p),
        ]
    )
    fake = torch.tensor([[1, 1, sizes.start_audio, *made]])
    theirs = processors(fake, logits[None].clone())  # type: ignore[arg-type]
    theirs = theirs[0].softmax(0)
    probabilities, tokens = sampler.likely(logits[None], slice(1))
    ours = torch.zeros(sizes.audio_tokens).index_add(0, tokens[0], probabilities[0] / probabilities.sum())
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_long_piece_takes_no_more_memory_at_a_time_than_a_short_one(
    model: Model, voice: tuple[Tensor, Tensor], latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, convolve = list[int](), Convolution.__call__

    def noted(layer: Convolution, given: Tensor, *others: Any) -> Tensor:  # noqa: ANN401  (passed on)
        rows.append(len(given))
        return convolve(layer, given, *others)

    monkeypatch.setattr(Convolution, "__call__", noted)
    stream(model, latents, voice[1], [len(latents)])
    assert max(rows) < 40 * HOP


def test_pieces_of_any_size_are_decoded_in_few_sizes(
    model: Model, voice: tuple[Tensor, Tensor], latents: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, decode = [], Decoding._feed

    def counted(decoding: Decoding, frames: Tensor, *, last: bool) -> Tensor:
        counts.append(len(frames))
        return decode(decoding, frames, last=last)

    monkeypatch.setattr(Decoding, "_feed", counted)
    stream(model, latents, voice[1], (7, 1, 9, 5, 2, 6))
    assert set(counts[1:-1]) <= {0, 8, 16, 24, 32}
    assert sum(counts) == pytest.approx(len(latents) * model.rate * 1024 / 22050 / HOP, abs=1)
