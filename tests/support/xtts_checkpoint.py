"""Checkpoints of XTTS v2 with random weights, in the layout in which the real one is published."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig
from TTS.tts.models import xtts

from tests.support.checkout import ROOT
from voicenode_xtts.vocoder import HOP, Decoding

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from torch import Tensor

LANGUAGE_TOKENS = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi",
)  # fmt: skip
SPEAKERS = ("Claribel Dervla", "Camilla Holmström", "Eugenio Mataracı")  # noqa: RUF001  (a real name)
_LETTERS = [
    chr(code)
    for first, last in ((0x21, 0x7E), (0xA1, 0x17F), (0x400, 0x45F), (0x600, 0x6FF), (0x900, 0x97F))
    for code in range(first, last + 1)
]
_FEW_MERGES = ("t h", "th e", "a n", "an d", "e r", "o u", "i n", "in g")


@dataclass(frozen=True)
class Sizes:
    """How large a checkpoint is."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    text_tokens: int = 0
    """Entries of the vocabulary; no fewer than there are letters."""
    merges: int = 0
    """Byte-pair merges that are learnt of English; without them there are a few that never change."""


SMALL, FULL = Sizes(), Sizes(layers=30, width=1024, heads=16, text_tokens=6681, merges=500)
"""The published vocabulary keeps its merges language after language, some 500 of them for English."""


def write(folder: Path, sizes: Sizes = SMALL, seed: int = 0) -> Path:
    """Write model.pth, config.json, vocab.json and speakers_xtts.pth."""
    vocabulary = json.loads(write_vocabulary(folder, sizes).read_text())
    config = _config(sizes, len(vocabulary["model"]["vocab"]))
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    torch.manual_seed(seed)
    model = xtts.Xtts(config)
    _spread(model)
    save_model(folder / "model.pth", model.state_dict(), config)
    torch.save({name: latents(sizes.width) for name in SPEAKERS}, folder / "speakers_xtts.pth")
    return folder


def write_vocabulary(folder: Path, sizes: Sizes = SMALL) -> Path:
    """Write vocab.json."""
    path = folder / "vocab.json"
    path.write_text(json.dumps(_vocabulary(sizes), ensure_ascii=False))
    return path


def save_model(path: Path, state: dict[str, Tensor], config: XttsConfig | None = None) -> None:
    """Write a checkpoint as it is published: with its configuration as objects of classes that have moved."""
    config = config or XttsConfig()
    for moved in (XttsArgs, XttsAudioConfig):
        moved.__module__ = xtts.__name__
    try:
        torch.save({"config": config, "model": state}, path)
    finally:
        for moved in (XttsArgs, XttsAudioConfig):
            moved.__module__ = XttsConfig.__module__


def latents(width: int) -> dict[str, Tensor]:
    """A voice."""
    embedding = torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1)
    return {"gpt_cond_latent": torch.randn(1, 32, width), "speaker_embedding": embedding}


def upstream(folder: Path) -> Any:  # noqa: ANN401  (a library without types)
    """The same checkpoint in upstream's own model."""
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = xtts.Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=folder)
    return model


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our vocoder make any sound that tells latents apart, where sound is not what a test is about."""

    def feed(_decoding: Decoding, frames: Tensor, *, last: bool) -> Tensor:
        del last
        return (0.2 * frames[:, 0]).repeat_interleave(HOP)

    monkeypatch.setattr(Decoding, "feed", feed)


def _config(sizes: Sizes, text_tokens: int) -> XttsConfig:
    config = XttsConfig()
    config.gpt_cond_len = config.max_ref_len = 30
    arguments = config.model_args
    arguments.gpt_layers, arguments.gpt_n_heads = sizes.layers, sizes.heads
    arguments.gpt_n_model_channels = arguments.decoder_input_dim = sizes.width
    arguments.gpt_number_text_tokens = text_tokens
    arguments.gpt_start_text_token, arguments.gpt_stop_text_token = 3, 0
    arguments.gpt_num_audio_tokens = 1026
    arguments.gpt_start_audio_token, arguments.gpt_stop_audio_token = 1024, 1025
    arguments.gpt_use_perceiver_resampler = True
    return config


def _vocabulary(sizes: Sizes) -> dict[str, Any]:
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{code}]" for code in LANGUAGE_TOKENS)]
    merges = _english_merges(sizes.merges) if sizes.merges else list(_FEW_MERGES)
    known = [*special, *_LETTERS, *(merge.replace(" ", "") for merge in merges)]
    known += [f"<{number}>" for number in range(sizes.text_tokens - len(known))]
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **added} for number, name in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "[UNK]",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": {name: number for number, name in enumerate(known)},
            "merges": merges,
        },
    }


def _english_merges(count: int) -> list[str]:
    """What joins the letters of English soonest, learnt of this project's own documentation."""
    texts = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    words = re.findall("[a-z]+", " ".join(texts).lower())
    letters = len(set("".join(words)))
    learning = Tokenizer(models.BPE())
    learning.pre_tokenizer = pre_tokenizers.Whitespace()
    learning.train_from_iterator(words, trainers.BpeTrainer(vocab_size=letters + count, show_progress=False))
    return [" ".join(merge) for merge in json.loads(learning.to_str())["model"]["merges"]]


@torch.no_grad()
def _spread(model: Any) -> None:  # noqa: ANN401  (a library without types)
    """Scale random weights so that what goes in is heard: with the usual ones all texts sound the same."""
    for name, weight in model.gpt.gpt.named_parameters():
        if name.endswith("weight") and weight.ndim == 2:
            weight.normal_(std=weight.shape[0] ** -0.5)
    for embedding in (model.gpt.text_embedding, model.gpt.mel_embedding):
        embedding.weight.normal_()
    model.gpt.mel_head.weight.normal_(std=3 * model.gpt.mel_head.weight.shape[1] ** -0.5)
    decoder = model.hifigan_decoder.waveform_decoder
    for name, weight in decoder.named_parameters():
        if name.endswith("original0"):
            weight.mul_(1.6)
    frames = torch.randn(1, decoder.conv_pre.in_channels, 40)
    loud = decoder(frames, g=torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1)).abs().max()
    decoder.conv_post.weight.mul_(0.5 / float(loud))
    model.mel_stats.uniform_(0.5, 1.5)
