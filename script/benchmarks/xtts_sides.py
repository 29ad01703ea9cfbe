"""One side of the XTTS benchmark, as a process: `python -m ...xtts_sides SIDE FOLDER TOKENS BEGUN`.

It loads the model of FOLDER, speaks one text as so many audio tokens, and prints what that took as JSON.
BEGUN is the time at which the process was asked for.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import torch

from script.benchmarks.xtts_report import TEXT, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

VOICE = "Claribel Dervla"
STARTS = 5
"""How often the text is begun again, and left after its first sound."""
_SETTINGS = {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 10.0}
_READ = 1 << 29
"""Bytes that are read to learn how quick memory is: more than any processor keeps near itself."""
_READS = 8


class Stopwatch:
    """Measures the parts of a model from inside."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def tokens(self, make: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        """The same generator function, watched."""

        def watched(*arguments: Any, **options: Any) -> Iterator[Any]:  # noqa: ANN401  (whatever it takes)
            made, times = make(*arguments, **options), []
            while True:
                start = time.perf_counter()
                item = next(made, None)
                if item is None:
                    break
                times.append(time.perf_counter() - start)
                self._report.prompt, self._report.steps = times[0], times[1:]
                yield item

        return watched

    def vocoder(self, decode: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, watched."""

        def watched(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  (whatever it takes)
            start = time.perf_counter()
            try:
                return decode(*arguments, **options)
            finally:
                self._report.vocoder += time.perf_counter() - start

        return watched


def ours(folder: Path, tokens: int, begun: float, precision: str) -> Report:
    """Voicenode's engine, without what it does after the model: that upstream does not do."""
    from voicenode.engine import Segment  # noqa: PLC0415  (not a part of the other side's memory)
    from voicenode_xtts import XttsEngine, XttsOptions, XttsParameters  # noqa: PLC0415
    from voicenode_xtts.narrator import Take, Task  # noqa: PLC0415
    from voicenode_xtts.vocoder import VocoderStream  # noqa: PLC0415

    for module in XttsEngine.imports:
        import_module(module)
    engine = XttsEngine(XttsOptions(path=str(folder), device="cpu", precision=precision))  # type: ignore[arg-type]
    report = Report()
    with _Load(report):
        engine.load()
    model = engine._narrator._model  # noqa: SLF001  (a fixed length is no part of the contract)
    latents = engine._speakers.latents(Segment(TEXT, "claribel-dervla", "en"))  # noqa: SLF001
    task = Task(TEXT, "en", *latents, 1.0, XttsParameters(**_SETTINGS))  # type: ignore[arg-type]
    watch = Stopwatch(report)
    model.decoder.generate = watch.tokens(model.decoder.generate)  # type: ignore[method-assign, assignment]
    VocoderStream.feed = watch.vocoder(VocoderStream.feed)  # type: ignore[method-assign]
    report.text_tokens = len(model.tokenizer.encode(TEXT, "en"))
    positions = len(task.style) + report.text_tokens + tokens / 2
    report.read = step_bytes(model.config["model_args"], positions, 1 if precision == "fast" else 4)

    def speak() -> Iterator[int]:
        return map(len, Take(model, task, TEXT, 0, tokens, endless=True).samples(Event()))

    return _measured(report, speak, begun)


def upstream(folder: Path, tokens: int, begun: float) -> Report:
    """Coqui's own `load_checkpoint` and `inference_stream`."""
    from transformers import StoppingCriteria, StoppingCriteriaList  # noqa: PLC0415
    from TTS.tts.configs.xtts_config import XttsConfig  # noqa: PLC0415
    from TTS.tts.models.xtts import Xtts  # noqa: PLC0415

    class After(StoppingCriteria):
        made = 0

        def __call__(self, input_ids: torch.Tensor, _scores: object, **_more: object) -> torch.Tensor:
            self.made += 1
            return torch.full((len(input_ids),), self.made >= tokens)

    report = Report()
    config: Any = XttsConfig()
    config.load_json(str(folder / "config.json"))
    with _Load(report):
        model: Any = Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=folder)
    voice = model.speaker_manager.speakers[VOICE]
    report.text_tokens = len(model.tokenizer.encode(TEXT, "en"))
    positions = voice["gpt_cond_latent"].shape[1] + report.text_tokens + tokens / 2
    report.read = step_bytes(config.model_args, positions, 4)
    watch = Stopwatch(report)
    model.gpt.get_generator = watch.tokens(model.gpt.get_generator)
    model.hifigan_decoder.forward = watch.vocoder(model.hifigan_decoder.forward)

    def speak() -> Iterator[int]:
        torch.manual_seed(0)
        chunks = model.inference_stream(
            TEXT, "en", voice["gpt_cond_latent"], voice["speaker_embedding"], **_SETTINGS,
            suppress_tokens=[config.model_args.gpt_stop_audio_token],
            stopping_criteria=StoppingCriteriaList([After()]),
        )  # fmt: skip
        return map(len, chunks)

    return _measured(report, speak, begun)


def step_bytes(sizes: Mapping[str, int], positions: float, weight: int) -> float:
    """Bytes that a step reads when there are so many positions in its cache.

    Args:
        sizes: the `model_args` of config.json.
        positions: in the cache.
        weight: bytes of a weight of the blocks; a key or a value takes two where that is one.
    """
    layers, width = sizes["gpt_layers"], sizes["gpt_n_model_channels"]
    blocks = layers * 12 * width**2 * weight
    cache = 2 * layers * width * positions * max(weight, 2)
    return blocks + sizes["gpt_num_audio_tokens"] * width * 4 + cache


class _Load:
    """Measures what happens inside."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        _forget_peak()
        self._report.libraries = _memory("VmRSS")
        self._start = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        self._report.load = time.perf_counter() - self._start
        self._report.load_memory = _memory("VmHWM") - self._report.libraries


def _measured(report: Report, speak: Callable[[], Iterator[int]], begun: float) -> Report:
    next(size for size in speak() if size)
    report.wake = time.time() - begun
    before = _bandwidth()
    _forget_peak()
    report.vocoder, processor = 0, time.process_time()
    _listen(report, speak())
    report.processor = time.process_time() - processor
    report.speech_memory = max(report.load_memory, _memory("VmHWM") - report.libraries)
    report.bandwidth = (before + _bandwidth()) / 2
    kept = report.prompt, report.steps, report.vocoder
    for _ in range(STARTS):
        start = time.perf_counter()
        next(size for size in speak() if size)
        report.firsts.append(time.perf_counter() - start)
    report.prompt, report.steps, report.vocoder = kept
    return report


def _listen(report: Report, sizes: Iterable[int]) -> None:
    start = time.perf_counter()
    for size in sizes:
        if size:
            report.chunks.append(time.perf_counter() - start)
            report.samples.append(size)


def _bandwidth() -> float:
    block = torch.ones(_READ // 8, dtype=torch.int64)
    times = []
    for _ in range(_READS):
        start = time.perf_counter()
        block.sum()
        times.append(time.perf_counter() - start)
    return _READ / min(times)


def _forget_peak() -> None:
    """From here on the peak of memory counts."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


SIDES: dict[str, Callable[[Path, int, float], Report]] = {
    "fast": partial(ours, precision="fast"),
    "exact": partial(ours, precision="exact"),
    "upstream": upstream,
}

if __name__ == "__main__":
    side, folder, tokens, begun = sys.argv[1:]
    print(json.dumps(asdict(SIDES[side](Path(folder), int(tokens), float(begun)))))
