"""Wheels for machines that have no package index of their own: this machine asks its index for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ("--only-binary", ":all:", "--python-version", "3.11", "--constraint", str(ROOT / "constraints.txt"))
"""Debian 12's Python, and the versions that everybody gets."""
MORE = ("hatchling", "async-timeout")
"""What builds voicenode, and what Debian's 3.11.2 needs besides: pip asks this Python for its patch level."""


def wheels(folder: Path) -> Path:
    """A folder with this voicenode, with all that it needs, and with what builds it."""
    made = folder / "wheels"
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(made), str(ROOT)]
    subprocess.run(build, check=True)
    ours = next(made.glob("voicenode-*.whl"))
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(made), *TARGET]
    subprocess.run([*download, str(ours), *MORE], check=True, capture_output=True, timeout=600)
    return made
