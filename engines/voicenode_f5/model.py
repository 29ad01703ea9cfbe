"""The loaded model: a text in the voice of a reference becomes samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import torch

from voicenode_f5.device import choose, memory_told
from voicenode_f5.mel import RATE, log_mel
from voicenode_f5.solver import conditions, noise, solve, times
from voicenode_f5.text import Vocabulary, tokens
from voicenode_f5.weights import load_backbone, load_vocoder

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from voicenode.engine import Event
    from voicenode_f5.backbones import Backbone
    from voicenode_f5.files import Files
    from voicenode_f5.options import F5Options, F5Parameters
    from voicenode_f5.reference import Reference
    from voicenode_f5.vocos import Vocos


class Model:
    """Backbone and vocoder on one device, and the vocabulary that the backbone was trained with."""

    rate: ClassVar[int] = RATE

    def __init__(
        self, vocabulary: Vocabulary, backbone: Backbone, vocoder: Vocos, device: torch.device
    ) -> None:
        self._vocabulary = vocabulary
        self._backbone = backbone
        self._vocoder = vocoder
        self._device = device

    @classmethod
    def load(cls, files: Files, options: F5Options) -> Self:
        """Read the weights; the vocoder's are always in single precision.

        Raises:
            EngineError: there is no such device, it is full, or a file is not what it should be.
        """
        if options.threads:
            torch.set_num_threads(options.threads)
        device, dtype = choose(options.device, options.precision)
        vocabulary = Vocabulary(files.vocabulary)
        with memory_told():
            backbone = load_backbone(files.checkpoint, options.model, len(vocabulary), device, dtype)
            return cls(vocabulary, backbone, load_vocoder(files.vocoder, device), device)

    def strange(self, text: str) -> float:
        """The share of a text's letters that the model has never seen."""
        letters = [token for token in tokens(text) if token.strip()]
        return len(self._vocabulary.unknown(letters)) / max(1, len(letters))

    def speak(
        self,
        reference: Reference,
        text: str,
        *,
        frames: int,
        parameters: F5Parameters,
        seed: int,
        stop: Event,
    ) -> Generator[bytes, None, NDArray[np.float32] | None]:
        """Speak a text in `frames` frames, as loud as the reference.

        Yields an empty chunk after every step, and returns the samples, or None once `stop` is set.
        """
        with memory_told():
            raised = max(1, parameters.target_rms / reference.rms)
            known = log_mel(reference.mel, raised).to(self._device)
            words = self._ids(reference, text)
            total = max(reference.frames + frames, max(len(words), len(known)) + 1)
            given = conditions(self._backbone, known, words, total, parameters.cfg_strength)
            mel = noise(total, known.shape[1], seed, self._device)
            schedule = times(parameters.nfe_step, parameters.sway_sampling_coef)
            for step in solve(self._backbone, given, mel, schedule, parameters.cfg_strength):
                mel = step
                yield b""
                if stop.is_set():
                    return None
            with torch.inference_mode():
                new = torch.cat((known, mel[len(known) :]))[reference.frames :]
                samples: NDArray[np.float32] = (self._vocoder(new) / raised).cpu().numpy()
                return samples

    def _ids(self, reference: Reference, text: str) -> torch.Tensor:
        words = [*reference.tokens, *tokens(text, before=reference.tokens[-1])]
        return torch.tensor(self._vocabulary.ids(words), device=self._device)
