"""One side of the XTTS benchmark, in a process of its own: `python -m ...xtts_sides SIDE FOLDER`.

It loads the model of FOLDER, speaks one text of a fixed length, and prints what that took as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT = (
    "The light in the kitchen is on, the window in the bedroom is open, and it is going to rain before noon. "
    "Somebody has left the door of the garage ajar, too, so please have a look at it when you come home, "
    "and remember to bring the umbrella along now."
)
TOKENS = len(TEXT) * 15 // 10
"""Random weights never end a sentence: both sides make as many as natural speech would take."""
VOICE = "Claribel Dervla"
_SETTINGS = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 10.0}


@dataclass
class Report:
    """What one side took; seconds and bytes."""

    load: float = 0
    load_memory: int = 0
    """The peak above the process with its libraries imported."""
    speech_memory: int = 0
    """The same after everything has been spoken, when every weight has been used."""
    chunks: list[float] = field(default_factory=list)
    """Seconds until each chunk, from the start."""
    samples: list[int] = field(default_factory=list)
    """Samples of each chunk."""


def ours(folder: Path) -> Report:
    """Voicenode's engine, without what it does after the model: that upstream does not do."""
    from voicenode.engine import Segment  # noqa: PLC0415  (not a part of the other side's memory)
    from voicenode_xtts import XttsEngine, XttsOptions, XttsParameters  # noqa: PLC0415
    from voicenode_xtts.engine import _import_libraries  # noqa: PLC0415
    from voicenode_xtts.narrator import Take, Task  # noqa: PLC0415
    from voicenode_xtts.speakers import Speakers  # noqa: F401, PLC0415

    _import_libraries()
    engine = XttsEngine(XttsOptions(path=str(folder), device="cpu", precision="fp32"))
    report = Report()
    with _Load(report):
        engine.load()
    model = engine._narrator._model  # noqa: SLF001  (a fixed length is no part of the contract)
    latents = engine._speakers.latents(Segment(TEXT, "claribel-dervla", "en"))  # noqa: SLF001
    task = Task(TEXT, "en", *latents, 1.0, XttsParameters(**_SETTINGS))  # type: ignore[arg-type]
    chunks = Take(model, task, TEXT, 0, TOKENS, endless=True).samples(Event())
    return _listen(report, (len(chunk) for chunk in chunks))


def upstream(folder: Path) -> Report:
    """Coqui's own `load_checkpoint` and `inference_stream`."""
    from transformers import StoppingCriteria, StoppingCriteriaList  # noqa: PLC0415
    from TTS.tts.configs.xtts_config import XttsConfig  # noqa: PLC0415
    from TTS.tts.models.xtts import Xtts  # noqa: PLC0415

    class After(StoppingCriteria):
        made = 0

        def __call__(self, input_ids: torch.Tensor, _scores: object, **_more: object) -> torch.Tensor:
            self.made += 1
            return torch.full((len(input_ids),), self.made >= TOKENS)

    report = Report()
    config: Any = XttsConfig()
    config.load_json(str(folder / "config.json"))
    with _Load(report):
        model = Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=folder)
    voice = model.speaker_manager.speakers[VOICE]
    torch.manual_seed(0)
    chunks = model.inference_stream(
        TEXT, "en", voice["gpt_cond_latent"], voice["speaker_embedding"], **_SETTINGS,
        suppress_tokens=[config.model_args.gpt_stop_audio_token],
        stopping_criteria=StoppingCriteriaList([After()]),
    )  # fmt: skip
    return _listen(report, (len(chunk) for chunk in chunks))


class _Load:
    """Measures what happens inside."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts
        self._before = _memory("VmRSS")
        self._start = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        self._report.load = time.perf_counter() - self._start
        self._report.load_memory = _memory("VmHWM") - self._before
        self._report.speech_memory = -self._before


def _listen(report: Report, sizes: Iterable[int]) -> Report:
    start = time.perf_counter()
    for size in sizes:
        if size:
            report.chunks.append(time.perf_counter() - start)
            report.samples.append(size)
    report.speech_memory += _memory("VmHWM")
    return report


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


if __name__ == "__main__":
    _SIDES = {"ours": ours, "upstream": upstream}
    print(json.dumps(asdict(_SIDES[sys.argv[1]](Path(sys.argv[2])))))
