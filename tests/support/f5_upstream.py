"""What upstream's own library makes of the same: run in a process of its own, for its imports are heavy.

`python -m tests.support.f5_upstream QUESTIONS.json ANSWERS.npz`
"""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.f5_checkpoints import Size, arch

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """One call of `infer_batch_process` with one batch."""

    folder: str
    model: str
    audio: str
    """A .npy file with mono samples."""
    rate: int
    transcript: str
    text: str
    seed: int = 1
    nfe_step: int = 4
    cfg_strength: float = 2.0
    sway_sampling_coef: float = -1.0
    speed: float = 1.0


@dataclass(frozen=True)
class Questions:
    """What upstream is asked."""

    cases: list[Case] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """To be made into tokens."""
    recordings: list[str] = field(default_factory=list)
    """WAV files to be made into references."""


@dataclass(frozen=True)
class Answers:
    """What upstream said."""

    samples: list[NDArray[np.float32]]
    tokens: list[list[str]]
    seconds: list[float]
    """How long each reference is."""


def ask(questions: Questions, folder: Path) -> Answers:
    """Let upstream answer, with `folder` for what goes between the processes."""
    asked, answered = folder / "questions.json", folder / "answers.npz"
    asked.write_text(json.dumps(asdict(questions)))
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.f5_upstream", str(asked), str(answered)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(answered) as arrays:
        return Answers(
            [arrays[f"samples{number}"] for number in range(len(questions.cases))],
            json.loads(str(arrays["tokens"])),
            list(arrays["seconds"]),
        )


def main() -> None:
    import torch  # noqa: PLC0415

    leave_out_what_does_not_speak()
    from f5_tts.infer.utils_infer import preprocess_ref_audio_text  # type: ignore[import-untyped]  # noqa: PLC0415
    from f5_tts.model.utils import convert_char_to_pinyin  # type: ignore[import-untyped]  # noqa: PLC0415

    torch.set_num_threads(1)
    asked = json.loads(Path(sys.argv[1]).read_text())
    models: dict[tuple[str, str], Any] = {}
    samples = [_spoken(Case(**case), models) for case in asked["cases"]]
    references = [preprocess_ref_audio_text(path, "words")[0] for path in asked["recordings"]]
    answers: dict[str, Any] = {f"samples{number}": made for number, made in enumerate(samples)}
    answers["tokens"] = json.dumps([convert_char_to_pinyin([text])[0] for text in asked["texts"]])
    answers["seconds"] = [_seconds(path) for path in references]
    np.savez(sys.argv[2], **answers)


def leave_out_what_does_not_speak() -> None:
    """Stand in for transcription and training, whose libraries take most of the time to import."""
    for name, attribute in (("transformers", "pipeline"), ("f5_tts.model.trainer", "Trainer")):
        module = ModuleType(name)
        setattr(module, attribute, None)
        sys.modules[name] = module


def load(folder: str, model: str, size: Size) -> tuple[Any, Any]:
    """Upstream's own way to a loaded model and vocoder."""
    from f5_tts.infer.utils_infer import load_model, load_vocoder  # noqa: PLC0415
    from f5_tts.model import DiT, UNetT  # type: ignore[import-untyped]  # noqa: PLC0415

    loaded = load_model(
        UNetT if model == "E2TTS_Base" else DiT,
        arch(model, size),
        f"{folder}/{model}/model_1250000.safetensors",
        vocab_file=f"{folder}/{model}/vocab.txt",
        device="cpu",
    )
    return loaded, load_vocoder(is_local=True, local_path=f"{folder}/vocos-mel-24khz", device="cpu")


def _spoken(case: Case, models: dict[tuple[str, str], Any]) -> NDArray[np.float32]:
    import torch  # noqa: PLC0415
    from f5_tts.infer.utils_infer import infer_batch_process  # noqa: PLC0415

    key = (case.folder, case.model)
    model, vocoder = models[key] if key in models else models.setdefault(key, load(*key, Size()))
    torch.manual_seed(case.seed)
    made, _, _ = next(
        infer_batch_process(
            (torch.from_numpy(np.load(case.audio))[None], case.rate),
            case.transcript,
            [case.text],
            model,
            vocoder,
            progress=None,
            nfe_step=case.nfe_step,
            cfg_strength=case.cfg_strength,
            sway_sampling_coef=case.sway_sampling_coef,
            speed=case.speed,
            device="cpu",
        )
    )
    samples: NDArray[np.float32] = made
    return samples


def _seconds(path: str) -> float:
    with wave.open(path) as file:
        frames, rate = file.getnframes(), file.getframerate()
    Path(path).unlink()
    return float(frames / rate)


if __name__ == "__main__":
    main()
