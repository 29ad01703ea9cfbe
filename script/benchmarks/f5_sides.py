"""One side of the F5 benchmark, in a process of its own: `python -m ...f5_sides SIDE FOLDER SIZE`.

It loads the model of FOLDER, speaks one text after a reference of three seconds, leaves the samples in
FOLDER/SIDE.npy, and prints what that took as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

MODEL = "F5TTS_v1_Base"
TEXT = "The light in the kitchen is on."
OTHER_TEXT = "You have a visitor, it seems..."
STEPS = 4
_TRANSCRIPT = "Some call me nature, others call me. "
_RATE = 24_000
_SEED = 1


@dataclass
class Report:
    """What one side took; seconds and bytes."""

    load: float = 0
    load_memory: int = 0
    """The peak above the process with its libraries imported."""
    speech: float = 0
    """From the text to its samples: the first time, when mapped weights are first touched."""
    speech_processor: float = 0
    """The same in time of processors, which a busy machine does not change."""
    speech_memory: int = 0
    """As `load_memory`, up to here."""


class Load:
    """Measures what happens inside: its time, and the peak of memory since, above what there was before."""

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts
        self._before = _memory("VmRSS")
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.seconds = time.perf_counter() - self._start

    @property
    def peak(self) -> int:
        return _memory("VmHWM") - self._before


def reference() -> Samples:
    """Three seconds, loud enough to be used as they are."""
    return np.random.default_rng(0).normal(0, 0.15, 3 * _RATE).astype(np.float32)


def ours(folder: Path, _size: str, text: str = TEXT, name: str = "ours") -> Report:
    """Voicenode's engine, without its guards: upstream has none."""
    from voicenode_f5 import F5Engine, F5Options, F5Parameters  # noqa: PLC0415  (no part of the other side)
    from voicenode_f5.engine import _model_type  # noqa: PLC0415
    from voicenode_f5.length import upstream_frames  # noqa: PLC0415
    from voicenode_f5.reference import Reference  # noqa: PLC0415

    _model_type()  # imports
    voice = Reference.of_samples(reference(), _RATE, _TRANSCRIPT)
    engine = F5Engine(F5Options(path=str(folder), device="cpu", precision="fp32"))
    with Load() as load:
        engine.load()
    report = Report(load=load.seconds, load_memory=load.peak)

    with _Speech(report):
        run = engine._model.speak(  # noqa: SLF001  (samples before they are rounded are no part of the contract)
            voice,
            text,
            frames=upstream_frames(voice, text, 1),
            parameters=F5Parameters(nfe_step=STEPS),
            seed=_SEED,
            stop=Event(),
        )
        samples = _result(run)
    report.speech_memory = load.peak
    np.save(folder / f"{name}.npy", samples)
    return report


def upstream(folder: Path, size: str) -> Report:
    """F5-TTS's own `load_model`, `load_vocoder` and `infer_batch_process`."""
    from f5_tts.infer.utils_infer import (  # type: ignore[import-untyped]  # noqa: PLC0415
        infer_batch_process,
    )

    from tests.support import f5_checkpoints, f5_upstream  # noqa: PLC0415

    sizes = {"SMALL": f5_checkpoints.SMALL, "FULL": f5_checkpoints.FULL}[size]
    with Load() as load:
        model, vocoder = f5_upstream.load(str(folder), MODEL, sizes)
    report = Report(load=load.seconds, load_memory=load.peak)

    sound = torch.from_numpy(reference())[None]
    torch.manual_seed(_SEED)
    with _Speech(report):
        samples, *_ = next(
            infer_batch_process(
                (sound, _RATE), _TRANSCRIPT, [TEXT], model, vocoder,
                progress=None, nfe_step=STEPS, device="cpu",
            )
        )  # fmt: skip
    report.speech_memory = load.peak
    np.save(folder / "upstream.npy", samples)
    return report


class _Speech:
    """Measures how long what happens inside takes."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def __exit__(self, *_error: object) -> None:
        start, start_processor = self._start
        self._report.speech = time.perf_counter() - start
        self._report.speech_processor = time.process_time() - start_processor


def _result(run: Generator[bytes, None, Samples | None]) -> Samples:
    while True:
        try:
            next(run)
        except StopIteration as end:
            samples: Samples = end.value
            return samples


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


SIDES: dict[str, Callable[[Path, str], Report]] = {
    "ours": ours,
    "other": partial(ours, text=OTHER_TEXT, name="other"),
    "upstream": upstream,
}

if __name__ == "__main__":
    print(json.dumps(asdict(SIDES[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))))
