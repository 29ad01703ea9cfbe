"""Steps of several texts at once, in milliseconds: `python -m script.benchmarks.xtts_batch FOLDER`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from script.benchmarks.xtts_report import TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from voicenode_xtts.model import Model

ROWS = (1, 2, 4, 8)
STEPS = 30
_WARM = 5
_VOICE = "claribel-dervla"


def milliseconds(folder: Path, rows: Sequence[int] = ROWS) -> dict[int, float]:
    """Of a step of so many texts: the median, each step a token of every text."""
    import torch  # noqa: PLC0415  (not a part of who starts this as a process of its own)

    from voicenode.engine import Segment  # noqa: PLC0415
    from voicenode_xtts import XttsOptions, processor  # noqa: PLC0415
    from voicenode_xtts.files import ModelFolder  # noqa: PLC0415
    from voicenode_xtts.model import load  # noqa: PLC0415
    from voicenode_xtts.speakers import Speakers  # noqa: PLC0415

    torch.set_num_threads(processor.threads())
    model = load(ModelFolder(folder), XttsOptions())
    style, _ = Speakers(model, ModelFolder(folder), None).latents(Segment(TEXT, _VOICE, "en"))
    return {count: 1e3 * median(_steps(model, style, count)) for count in rows}


def _steps(model: Model, style: Tensor, count: int) -> list[float]:
    """Seconds of each step; the first ones, in which memory is laid out, are not counted."""
    from voicenode_xtts import XttsParameters  # noqa: PLC0415
    from voicenode_xtts.sampling import Choice  # noqa: PLC0415

    text = model.tokenizer.encode(TEXT, "en")
    with ExitStack() as texts:
        running = [
            texts.enter_context(
                closing(
                    model.decoder.generate(
                        style, text, Choice(XttsParameters(), seed=seed, endless=True), _WARM + STEPS + 2
                    )
                )
            )
            for seed in range(count)
        ]
        for made in running:
            next(made)
        times = []
        for _ in range(_WARM + STEPS):
            start = time.perf_counter()
            for made in running:
                next(made)
            times.append(time.perf_counter() - start)
    return times[_WARM:]


if __name__ == "__main__":
    print(json.dumps(milliseconds(Path(sys.argv[1]))))
