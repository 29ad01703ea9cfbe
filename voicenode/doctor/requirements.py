"""Whether the packages that voicenode asks for are installed, in versions that go together."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from operator import eq, ge, lt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(\[.*?\])?(?P<wanted>[^;]*)(;.*extra == ['\"](?P<extra>.*)['\"])?"
)
_COMPARE = {">=": ge, "<": lt, "==": eq}
"""The comparisons that pyproject.toml makes."""
_SECONDS = 20.0
"""Within which another interpreter must have started."""
_PAIR = ("torch", "torchaudio")


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is asked for."""

    name: str
    wanted: str
    """The versions, such as `>=0.28,<0.29`; empty for any."""
    version: str | None
    """The installed version; None where it is not installed."""

    def fits(self) -> bool:
        """Whether it is installed in a version that is wanted."""
        if self.version is None:
            return False
        clauses = re.findall(r"(>=|<|==)\s*([\d.]+)", self.wanted)
        return all(_COMPARE[sign](*_same_length(self.version, limit)) for sign, limit in clauses)


def packages(extra: str | None = None) -> list[Package]:
    """What voicenode itself asks for, or one of its extras; empty where there is no such extra."""
    try:
        asked = metadata.requires("voicenode") or []
    except metadata.PackageNotFoundError:  # it runs from a folder
        return []
    found = [match for requirement in asked if (match := _REQUIREMENT.match(requirement))]
    return [
        Package(match["name"], match["wanted"].strip(), _version(match["name"]))
        for match in found
        if match["extra"] == extra
    ]


def not_installed(extra: str) -> str | None:
    """What an engine whose extra is not installed lacks, and how to install it; None where it is."""
    missing = [package.name for package in packages(extra) if package.version is None]
    if not missing:
        return None
    return f"it is not installed (no {', '.join(missing)}); run `pip install 'voicenode[{extra}]'`"


def not_installed_for(python: str, extra: str) -> str | None:
    """The same of another interpreter, which is asked; that takes a tenth of a second."""
    install = f"run `{python} -m pip install 'voicenode[{extra}]'`"
    command = [python, "-c", f"from {__name__} import not_installed as ask; print(ask({extra!r}) or '')"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} is no interpreter that answers ({error}); correct engines.{extra}.python"
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return f"{python} does not know voicenode ({last}); {install}"
    said = done.stdout.strip()
    return said and f"{said.rpartition('; ')[0]}; {install}"


def why_no_pair(versions: Mapping[str, str | None]) -> str | None:
    """Why torch and torchaudio do not go together, which then fails on import; None where they do."""
    torch, audio = (versions.get(name) for name in _PAIR)
    if not torch or not audio:
        return None
    if _release(torch)[:2] != _release(audio)[:2]:
        return f"torch {torch} and torchaudio {audio} are not of one version, and so not of one CUDA"
    if "+cpu" in torch and "+cpu" not in audio:
        return f"torch {torch} is for processors alone, and lacks libc10_cuda, which torchaudio {audio} needs"
    return None


def misfits(asked: Iterable[Package]) -> list[str]:
    """A few words for each package that is installed in another version than the one wanted."""
    return [
        f"{package.name} {package.version} is not {package.wanted}"
        for package in asked
        if package.version is not None and not package.fits()
    ]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", re.split(r"[^\d.]", version)[0])))


def _same_length(version: str, limit: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both as numbers, so that 2.11 is 2.11.0."""
    first, second = _release(version), _release(limit)
    length = max(len(first), len(second))
    return first + (0,) * (length - len(first)), second + (0,) * (length - len(second))
