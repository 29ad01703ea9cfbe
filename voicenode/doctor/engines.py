"""Looks at each engine in a process of its own, and at what is there for it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicenode import gpu
from voicenode.doctor.probe import Report
from voicenode.doctor.row import Row, absent, wrong, wrong_as_said
from voicenode.doctor.verdict import Patient, judge, reinstall
from voicenode.parts import create_engines
from voicenode.workers.registry import installed

if TYPE_CHECKING:
    from voicenode.engine import TTSEngine
    from voicenode.settings import LoadedSettings

_PROBE_SECONDS = 60.0
"""Importing PyTorch from a slow disk takes half a minute."""
_MIB = 1024 * 1024
_WORKER = b"voicenode.workers.worker"


async def engines(loaded: LoadedSettings) -> list[Row]:
    """A row or two for each installed engine."""
    broken = [wrong_as_said(f"engine {name}", str(error)) for name, error in loaded.unavailable.items()]
    off = [
        absent(f"engine {name}", "switched off in the settings")
        for name, section in loaded.settings.engines.items()
        if not section.enabled
    ]
    found = [_patient(loaded, name, engine) for name, engine in create_engines(loaded).items()]
    rows = await asyncio.gather(*map(_examine, found))
    return [*broken, *off, *(row for several in rows for row in several)]


async def _examine(patient: Patient) -> list[Row]:
    try:
        report = await _probe(patient)
    except _ProbeError as error:
        return [wrong(patient.check, str(error), reinstall(patient))]
    gpus = await asyncio.to_thread(_gpus) if patient.device != "cpu" else None
    return judge(patient, report, gpus, is_running=await asyncio.to_thread(_is_running, patient.path))


class _ProbeError(Exception):
    """The process that looked at an engine did not report."""


async def _probe(patient: Patient) -> Report:
    """Look at an engine in a process of its own.

    Raises:
        _ProbeError: that crashed, or hung.
    """
    arguments = (patient.path, patient.name, json.dumps(patient.options))
    try:
        process = await asyncio.create_subprocess_exec(
            *(patient.python, "-m", "voicenode.doctor.probe", *arguments),
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
    except OSError as error:
        raise _ProbeError(f"{patient.python} cannot be started: {error.strerror}") from error
    try:
        told, complaints = await asyncio.wait_for(process.communicate(), _PROBE_SECONDS)
    except TimeoutError:
        raise _ProbeError(f"its libraries were not imported within {_PROBE_SECONDS:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        return Report(**json.loads(told))
    except (ValueError, TypeError):
        last = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        raise _ProbeError(f"looking at it crashed with {_status(process.returncode)}: {last}") from None


def _patient(loaded: LoadedSettings, name: str, engine: TTSEngine[Any]) -> Patient:
    settings = loaded.settings
    section, budget = settings.engines[name], settings.pool.memory
    return Patient(
        name=name,
        path=installed()[name],
        python=str(section.python or sys.executable),
        options=asdict(engine.options),
        memory=engine.info.memory,
        budget=None if budget is None else budget * _MIB,
        demanded=loaded.demands(name),
    )


def _gpus() -> gpu.Gpus | None:
    try:
        return gpu.look()
    except gpu.NvmlError:
        return None


def _is_running(path: str) -> bool:
    """Whether a process on this machine has the engine loaded."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            arguments = command.read_bytes().split(b"\0")
            if _WORKER in arguments and path.encode() in arguments:
                return True
    return False


def _status(code: int | None) -> str:
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"status {code}"
