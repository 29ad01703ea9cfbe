"""What the machine gives to every node: Python, packages, a GPU, the right time, a sound card."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

import voicenode
from voicenode import gpu
from voicenode.doctor.requirements import misfits, packages
from voicenode.doctor.row import Row, absent, ok, wrong, wrong_as_said

if TYPE_CHECKING:
    from voicenode.settings import LoadedSettings

_PYTHON = (3, 11)
"""As `requires-python` in pyproject.toml."""
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_DAY = 86400


def python() -> list[Row]:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _PYTHON:
        return [wrong("Python", found, f"install Python {'.'.join(map(str, _PYTHON))} or newer")]
    return [ok("Python", found)]


def libraries() -> list[Row]:
    """The packages that voicenode itself needs."""
    asked = packages()
    missing = [package.name for package in asked if package.version is None]
    problems = [f"{name} is not installed" for name in missing] + misfits(asked)
    if problems:
        return [wrong("packages", "; ".join(problems), "run `pip install --force-reinstall voicenode`")]
    return [ok("packages", f"voicenode {voicenode.__version__} and the {len(asked)} packages that it needs")]


def clock() -> list[Row]:
    """The time, by which certificates are checked and what is kept expires."""
    now, known = time.time(), Path(voicenode.__file__).stat().st_mtime
    found = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))
    if now < known - _DAY:
        return [wrong("time", f"{found}, before voicenode was installed", "set the clock, or switch on NTP")]
    return [ok("time", f"{found}, synchronised" if _SYNCHRONISED.exists() else found)]


def graphics(loaded: LoadedSettings) -> list[Row]:
    """GPUs, their driver and their memory; nothing is wrong without, unless the settings want one."""
    engines = loaded.settings.engines.values()
    demanded = any(
        section.enabled and str(getattr(section, "device", "")).startswith("cuda") for section in engines
    )
    try:
        seen = gpu.look()
    except gpu.NoNvmlError as error:
        if demanded:
            return [wrong_as_said("GPU", str(error))]
        found, _, advice = str(error).rpartition("; ")
        return [absent("GPU", found, advice)]
    except gpu.NvmlError as error:
        return [wrong_as_said("GPU", str(error))]
    return [_gpu(one, seen) for one in seen.gpus] or [absent("GPU", f"none (driver {seen.driver})")]


def sound(loaded: LoadedSettings) -> list[Row]:
    """The command that plays requests on this machine."""
    command = loaded.settings.jobs.player[0]
    if path := shutil.which(command):
        return [ok("sound", path)]
    found, advice = (
        f"there is no command {command}",
        "install alsa-utils, or set jobs.player to another player",
    )
    if loaded.sources.get("jobs.player", "default") != "default":
        return [wrong("sound", found, advice)]
    return [absent("sound", found, f"to hear requests on this machine, {advice}")]


def _gpu(one: gpu.Gpu, seen: gpu.Gpus) -> Row:
    driver = f"driver {seen.driver}, CUDA {seen.cuda[0]}.{seen.cuda[1]}"
    return ok("GPU", f"{one.name}, {decimal(one.free)} of {decimal(one.total)} free, {driver}")
