"""The service's own virtual environment: the same packages, in the same versions, as run this command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import voicenode
from voicenode.doctor.requirements import packages
from voicenode.errors import ErrorCode, SetupError
from voicenode.service.steps import Run, Write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicenode.service.places import Place
    from voicenode.service.steps import Step

_EXTRAS = ("xtts", "f5")
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - nothing is put there
"""Where a service of the machine sees nothing: ProtectHome and PrivateTmp of systemd.exec(5)."""
_OLDEST = (3, 11)
"""As `requires-python` in pyproject.toml."""
_ABLE = f"import ensurepip, sys, venv; sys.exit(sys.version_info < {_OLDEST})"


def environment(place: Place) -> Iterator[Step]:
    """The steps that make it, or bring it up to date."""
    versions = place.environment / "constraints.txt"
    python = str(place.environment / "bin/python")
    yield Run([_interpreter(place), "-m", "venv", str(place.environment)])
    yield Write(versions, "".join(f"{line}\n" for line in sorted(_versions())))
    yield Run(
        [python, "-m", "pip", "install", "--quiet", "--upgrade", "--constraint", str(versions), _wanted()],
        advice="Where the network or the disk was at fault, the same command goes on from here.",
    )


def _wanted() -> str:
    """What pip is asked for: voicenode with the extras that are here, from where this one came."""
    extras = ",".join(extra for extra in _EXTRAS if _has(extra))
    name = f"voicenode[{extras}]" if extras else "voicenode"
    origin = _origin()
    if origin is None:
        return f"{name}=={voicenode.__version__}"
    return f"{name} @ {origin.as_uri()}"


def _has(extra: str) -> bool:
    asked = packages(extra)
    return bool(asked) and all(package.version is not None for package in asked)


def _origin() -> Path | None:
    """The checkout or the file that this voicenode was installed from; None for a package index."""
    try:
        told = metadata.distribution("voicenode").read_text("direct_url.json")
    except metadata.PackageNotFoundError as error:
        message = "voicenode is not installed here and cannot be copied; run script/setup, or pip install it"
        raise SetupError(ErrorCode.CANNOT_START, message) from error
    url = urlsplit(json.loads(told)["url"]) if told else None
    path = Path(unquote(url.path)) if url and url.scheme == "file" else None
    return path if path and path.exists() else None


def _versions() -> Iterator[str]:
    """All that is installed here, as constraints."""
    for found in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.name).lower()
        if name not in {"voicenode", "pip", "setuptools"} and not found.version.count("+"):
            yield f"{name}=={found.version}"


def _interpreter(place: Place) -> str:
    """A Python that the service can see, preferably the one that runs this."""
    own = str(Path(sys.executable).resolve())
    candidates = [own, "/usr/bin/python3", "/usr/local/bin/python3"]
    seen = [path for path in candidates if not place.of_machine or not path.startswith(_HIDDEN)]
    for path in seen:
        if _works(path):
            return path
    message = (
        f"the service needs a Python {'.'.join(map(str, _OLDEST))} or newer with venv, outside of any home, "
        f"and {' and '.join(seen)} is none; on Debian: apt-get install python3 python3-venv"
    )
    raise SetupError(ErrorCode.CANNOT_START, message)


def _works(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", _ABLE], check=False, capture_output=True).returncode == 0
    except OSError:
        return False
