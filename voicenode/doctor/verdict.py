"""What was found of an engine, as rows: each reason why it cannot speak has an answer of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from voicenode.doctor.requirements import why_no_pair
from voicenode.doctor.row import Row, absent, ok, wrong, wrong_as_said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicenode import gpu
    from voicenode.doctor.probe import Report

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Patient:
    """An engine as the settings want it."""

    name: str
    path: str
    python: str
    options: Mapping[str, Any]
    memory: int
    """Bytes that it needs where it runs."""
    budget: int | None
    """Bytes of device memory that the settings allow; None for no bound."""
    demanded: bool
    """Whether the settings ask for this engine by name."""

    @property
    def check(self) -> str:
        return f"engine {self.name}"

    @property
    def pip(self) -> str:
        """The command that installs packages for it."""
        return "pip" if self.python == sys.executable else f"{self.python} -m pip"

    @property
    def device(self) -> str:
        """Where the settings want it: auto, cpu, cuda or cuda:N."""
        return str(self.options.get("device", "cpu"))


def judge(patient: Patient, report: Report, gpus: gpu.Gpus | None, *, is_running: bool) -> list[Row]:
    """What a report means: the packages, if there is anything to say of them, and the engine.

    Args:
        patient: the engine.
        report: what was found of it.
        gpus: what NVML sees; None for nothing.
        is_running: whether a node has it loaded now.
    """
    missing = [name for name, version in report.versions.items() if version is None]
    if missing:
        return [_not_installed(patient, missing)]
    problems = [
        _no_load(patient, report),
        _no_device(patient, report, gpus),
        _no_memory(patient, report, gpus, is_running=is_running),
    ]
    able = ok(patient.check, _able(patient, report, gpus, is_running=is_running))
    return [*_packages(patient, report), *([row for row in problems if row] or [able])]


def _not_installed(patient: Patient, missing: Sequence[str]) -> Row:
    found = f"not installed (no {', '.join(missing)})"
    install = f"`{patient.pip} install 'voicenode[{patient.name}]'`"
    if patient.demanded:
        return wrong(patient.check, found, f"run {install}, or set engines.{patient.name}.enabled: false")
    return absent(patient.check, found, f"{install} adds it")


def _packages(patient: Patient, report: Report) -> list[Row]:
    if not report.versions:
        return []
    check = f"{patient.name} packages"
    problems = [*filter(None, [why_no_pair(report.versions)]), *report.misfits]
    if problems:
        return [wrong(check, "; ".join(problems), reinstall(patient))]
    return [ok(check, ", ".join(f"{name} {version}" for name, version in report.versions.items()))]


def reinstall(patient: Patient) -> str:
    """What to do where its packages do not work."""
    return f"run `{patient.python} -m pip install --force-reinstall 'voicenode[{patient.name}]'`"


def _no_load(patient: Patient, report: Report) -> Row | None:
    """The cross of an engine that cannot be imported, or whose files are not there."""
    return wrong_as_said(patient.check, report.problem) if report.problem else None


def _no_device(patient: Patient, report: Report, gpus: gpu.Gpus | None) -> Row | None:
    """The cross of an engine that cannot run where the settings, or the GPU that is there, want it."""
    if report.gpus is None:
        return None
    option = f"engines.{patient.name}.device"
    if patient.device.startswith("cuda") and _index(patient) >= len(report.gpus):
        why = report.no_gpu or f"PyTorch finds {len(report.gpus)}, counted from 0"
        found = f"no GPU, though {option} is {patient.device}: {why}"
        return wrong(patient.check, found, f"mend the driver, or set {option}: cpu")
    if patient.device == "auto" and gpus and gpus.gpus and report.no_gpu:
        found = f"it would run on the processor, for PyTorch cannot use {gpus.gpus[0].name}: {report.no_gpu}"
        return wrong(patient.check, found, f"mend the driver, or set {option}: cpu")
    return None


def _no_memory(patient: Patient, report: Report, gpus: gpu.Gpus | None, *, is_running: bool) -> Row | None:
    needed = decimal(patient.memory)
    if patient.budget is not None and patient.budget < patient.memory:
        found = f"not enough memory: it needs {needed}, and pool.memory allows {decimal(patient.budget)}"
        return wrong(patient.check, found, f"set pool.memory to {-(-patient.memory // _MIB)} or more")
    free, where = _free(patient, report, gpus)
    if is_running or free is None or free >= patient.memory:
        return None
    found = f"not enough memory: it needs {needed}, and {where} has {decimal(free)} free"
    return wrong(patient.check, found, "end what else runs there, or let the engine run elsewhere (`device`)")


def _able(patient: Patient, report: Report, gpus: gpu.Gpus | None, *, is_running: bool) -> str:
    voices = f"{report.voices} voices"
    if not patient.memory:
        return voices
    free, where = _free(patient, report, gpus)
    room = "loaded now" if is_running else f"needs {decimal(patient.memory)}"
    return f"{voices}, on {where}, {room}" + ("" if free is None else f", {decimal(free)} free")


def _free(patient: Patient, report: Report, gpus: gpu.Gpus | None) -> tuple[int | None, str]:
    """Bytes that are free where it runs, as far as that is known; and where that is."""
    if patient.device == "cpu" or (patient.device == "auto" and not report.gpus):
        return _free_memory(), "the processor"
    uuids = report.gpus or []
    if _index(patient) >= len(uuids):
        return None, patient.device
    uuid = uuids[_index(patient)]
    seen = next((one for one in (gpus.gpus if gpus else ()) if one.uuid.endswith(uuid)), None)
    return (seen.free, seen.name) if seen else (None, f"GPU {_index(patient)}")


def _index(patient: Patient) -> int:
    return int(patient.device.partition(":")[2] or 0)


def _free_memory() -> int | None:
    """Bytes of the machine's memory that a new process can have."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kib is None else int(kib) * 1024
