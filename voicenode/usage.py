"""What Linux tells of the machine's memory, and of who holds it."""

from __future__ import annotations

import os
from pathlib import Path

_KIB = 1024


def available_memory() -> int | None:
    """Bytes that a new program could have without swapping; None where Linux does not tell.

    https://www.kernel.org/doc/html/latest/filesystems/proc.html, MemAvailable.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kib) * _KIB for kib in found), None)


def resident_memory(pid: int) -> int | None:
    """Bytes of memory that a process uses, shared ones included; None when there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
