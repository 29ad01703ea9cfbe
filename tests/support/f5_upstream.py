"""What upstream's own library speaks: run in a process of its own, for it brings its weight in imports.

`python -m tests.support.f5_upstream CASES.json OUT.npz`
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
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


def spoken(cases: list[Case], folder: Path) -> list[NDArray[np.float32]]:
    """The samples of every case."""
    asked, answered = folder / "cases.json", folder / "spoken.npz"
    asked.write_text(json.dumps([asdict(case) for case in cases]))
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.f5_upstream", str(asked), str(answered)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(answered) as arrays:
        return [arrays[str(number)] for number in range(len(cases))]


def main() -> None:
    import torch  # noqa: PLC0415

    leave_out_what_does_not_speak()
    from f5_tts.infer.utils_infer import (  # type: ignore[import-untyped]  # noqa: PLC0415
        infer_batch_process,
        load_vocoder,
    )

    torch.set_num_threads(1)
    models: dict[tuple[str, str], Any] = {}
    out = {}
    for number, one in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        case = Case(**one)
        key = (case.folder, case.model)
        if key not in models:
            vocos = f"{case.folder}/vocos-mel-24khz"
            models[key] = (
                load(case.folder, case.model, Size()),
                load_vocoder(is_local=True, local_path=vocos, device="cpu"),
            )
        model, vocoder = models[key]
        torch.manual_seed(case.seed)
        wave, _, _ = next(
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
        out[str(number)] = wave
    np.savez(sys.argv[2], **out)


def leave_out_what_does_not_speak() -> None:
    """Stand in for transcription and training, whose libraries take most of the time to import."""
    for name, attribute in (("transformers", "pipeline"), ("f5_tts.model.trainer", "Trainer")):
        module = ModuleType(name)
        setattr(module, attribute, None)
        sys.modules[name] = module


def load(folder: str, model: str, size: Size) -> Any:  # noqa: ANN401 - untyped
    """Upstream's own way to a loaded model."""
    from f5_tts.infer.utils_infer import load_model  # noqa: PLC0415
    from f5_tts.model import DiT, UNetT  # type: ignore[import-untyped]  # noqa: PLC0415

    return load_model(
        UNetT if model == "E2TTS_Base" else DiT,
        arch(model, size),
        f"{folder}/{model}/model_1250000.safetensors",
        vocab_file=f"{folder}/{model}/vocab.txt",
        device="cpu",
    )


if __name__ == "__main__":
    main()
