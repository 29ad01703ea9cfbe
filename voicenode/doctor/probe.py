"""Looks at one engine in a process and an interpreter of its own, where a crash harms nobody.

`python -m voicenode.doctor.probe PATH EXTRA OPTIONS`: the engine's class as `module:Class`, the extra that
installs it, and its options as JSON. What it writes to standard output is a report, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from voicenode.doctor.requirements import misfits, packages
from voicenode.errors import EngineError
from voicenode.workers.registry import engine_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of an engine."""

    versions: Mapping[str, str | None]
    """Each package of the engine's extra, and its installed version."""
    misfits: Sequence[str]
    problem: str | None
    """Why it could not be loaded."""
    voices: int = 0
    gpus: Sequence[str] | None = None
    """The UUIDs of the GPUs that PyTorch can use, in its order; None where it was not imported."""
    no_gpu: str | None = None
    """Why PyTorch can use none."""


def look(path: str, extra: str, options: Mapping[str, Any]) -> Report:
    """Look at an engine; what goes wrong is in the report."""
    asked = packages(extra)
    problem, voices = None, 0
    try:
        engine_type = engine_class(path)
        engine = engine_type(engine_type.options_type(**options))
        engine.check()
        voices = len(engine.voices())
    except EngineError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 (a stranger's engine may raise anything)
        problem = f"its check failed ({type(error).__name__}: {error}); install the engine again"
    gpus, no_gpu = _gpus()
    return Report({one.name: one.version for one in asked}, misfits(asked), problem, voices, gpus, no_gpu)


def main() -> None:
    """Report on standard output, which libraries have no part in."""
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    path, extra, options = sys.argv[1:]
    print(json.dumps(asdict(look(path, extra, json.loads(options)))), file=report, flush=True)
    os._exit(0)  # some libraries crash when they are torn down, which nobody needs here


def _gpus() -> tuple[list[str] | None, str | None]:
    """What PyTorch can use, if the engine has imported it; no memory of a GPU is taken."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None, None
    try:
        torch.cuda.init()
        found = range(torch.cuda.device_count())
        return [str(torch.cuda.get_device_properties(index).uuid) for index in found], None
    except Exception as error:  # noqa: BLE001 (a driver that does not fit may raise anything)
        return [], str(error).partition("\n")[0].rstrip(".")


if __name__ == "__main__":
    main()
