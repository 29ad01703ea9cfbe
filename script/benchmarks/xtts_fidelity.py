"""How near our sound is to upstream's on the same weights, as a process that prints JSON.

`python -m ...xtts_fidelity FOLDER SIZES STEPS` first writes a checkpoint of these sizes to the folder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchaudio
from transformers import MaxLengthCriteria, StoppingCriteriaList

from script.benchmarks.xtts_fidelity_report import GREEDY_TOKENS, Fidelity
from script.benchmarks.xtts_report import TEXT
from tests.support.xtts_checkpoint import FULL, SMALL, upstream, write
from voicenode.engine import Segment
from voicenode_xtts import XttsOptions, XttsParameters
from voicenode_xtts.cache import Cache, Prompt
from voicenode_xtts.files import ModelFolder
from voicenode_xtts.model import Model, load
from voicenode_xtts.sampling import Choice
from voicenode_xtts.speakers import Speakers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

OTHER_TEXT = "You have a visitor, it seems, and the parcel that you have been waiting for is here."
_SIZES = (10, 5, 7, 13, 30, 64)
"""Pieces that grow, as a listener gets them."""


@torch.inference_mode()
def compare(folder: Path, steps: int) -> Fidelity:
    """Every comparison, over so many tokens."""
    reference = upstream(folder)  # which rewrites model.pth, so it comes before ours converts it
    exact = load(ModelFolder(folder), XttsOptions(device="cpu", precision="exact"))
    fast = load(ModelFolder(folder), XttsOptions(device="cpu", precision="fast"))
    style, voice = Speakers(exact, ModelFolder(folder), None).latents(Segment("", "claribel-dervla", "en"))
    theirs = _upstream_tokens(reference, exact, style)
    greedy, _ = _generated(exact, style, TEXT, GREEDY_TOKENS, XttsParameters(top_k=1))
    tokens, latents = _generated(exact, style, TEXT, steps)
    _, other = _generated(exact, style, OTHER_TEXT, steps)
    whole = reference.hifigan_decoder(latents[None], g=voice[None]).squeeze()
    forced, rounded = (_forced(model, style, tokens) for model in (exact, fast))
    logits, rounded_logits = exact.gpt.mel_head(forced), fast.gpt.mel_head(rounded)
    sounds = [_stream(exact, rows, voice) for rows in (forced, rounded, other)]
    return Fidelity(
        same_tokens=next(
            (place for place, pair in enumerate(zip(greedy, theirs, strict=True)) if len(set(pair)) > 1),
            len(greedy),
        ),
        stream=_difference(_stream(exact, latents, voice), whole),
        texts=_difference(sounds[2], whole),
        cosine=float(torch.cosine_similarity(logits, rounded_logits, dim=1).min()),
        mel=_mel_difference(sounds[0], sounds[1]),
        mel_texts=_mel_difference(sounds[0], sounds[2]),
    )


def _generated(
    model: Model, style: Tensor, text: str, count: int, parameters: XttsParameters | None = None
) -> tuple[list[int], Tensor]:
    choice = Choice(parameters or XttsParameters(), seed=0, endless=parameters is None)
    made = list(model.decoder.generate(style, model.tokenizer.encode(text, "en"), choice, count))
    return [token for token, _ in made], torch.stack([latent for _, latent in made])


def _upstream_tokens(reference: Any, model: Model, style: Tensor) -> list[int]:  # noqa: ANN401  (a library without types)
    greedy = XttsParameters(top_k=1)
    prompt = reference.gpt.compute_embeddings(style[None], torch.tensor([model.tokenizer.encode(TEXT, "en")]))
    made = reference.gpt.get_generator(
        fake_inputs=prompt,
        top_k=1,
        do_sample=True,
        temperature=greedy.temperature,
        top_p=greedy.top_p,
        repetition_penalty=greedy.repetition_penalty,
        output_hidden_states=True,
        return_dict_in_generate=True,
        stopping_criteria=StoppingCriteriaList([MaxLengthCriteria(prompt.shape[1] + GREEDY_TOKENS)]),
    )
    return [int(token) for token, _ in made]


def _forced(model: Model, style: Tensor, tokens: Sequence[int]) -> Tensor:
    """The latents where these are the tokens, whatever the model would have chosen."""
    gpt, dtype = model.gpt, model.decoder.dtype
    cache = Cache(gpt.sizes, dtype, model.device)
    start = gpt.embed_audio(torch.tensor([gpt.sizes.start_audio]), torch.tensor([0]))
    prompt = torch.cat((style, gpt.embed_text(model.tokenizer.encode(TEXT, "en")), start))
    cache.reserve(1, len(prompt) + len(tokens))
    latents = [gpt(prompt[None], Prompt(cache, 0, 0, len(prompt)))]
    for place, token in enumerate(tokens[:-1], start=1):
        embedded = gpt.embed_audio(torch.tensor([token]), torch.tensor([place]))
        latents.append(gpt.step(embedded, cache, torch.tensor([len(prompt) + place - 1])))
    return torch.cat(latents)


def _stream(model: Model, latents: Tensor, voice: Tensor) -> Tensor:
    vocoder, pieces, start = model.vocoder(voice, 1.0), [], 0
    for size in (*_SIZES, len(latents)):
        pieces.append(vocoder.feed(latents[start : start + size]))
        start += size
    return torch.cat([*pieces, vocoder.feed(latents[:0], last=True)])


def _difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _mel_difference(ours: Tensor, theirs: Tensor) -> float:
    spectrum = torchaudio.transforms.MelSpectrogram(24000, n_fft=1024, hop_length=256, n_mels=80)
    first, second = (10 * spectrum(sound).clamp(min=1e-5).log10() for sound in (ours, theirs))
    return float((first - second).abs().mean())


if __name__ == "__main__":
    target = write(Path(sys.argv[1]), {"SMALL": SMALL, "FULL": FULL}[sys.argv[2]])
    print(json.dumps(asdict(compare(target, int(sys.argv[3])))))
