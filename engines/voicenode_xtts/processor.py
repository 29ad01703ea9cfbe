"""What this machine's processor is quick at."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch

_MOST_THREADS = 8
"""More wait for each other at every layer, and memory is no faster for them."""


def wide() -> torch.dtype:
    """What rows are multiplied soonest in: bfloat16 where the processor has instructions for it."""
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001  (have no other names)
    return torch.bfloat16 if native else torch.float32


def threads() -> int:
    """Cores that this process may use: one thread each, and no more than a container's share."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = {_siblings(number) for number in mine}
    return max(1, min(len(cores), _MOST_THREADS, int(_share())))


def _siblings(number: int) -> str:
    """The hardware threads of the core that has this one."""
    with suppress(OSError):
        return Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text()
    return str(number)


def _share() -> float:
    """Processors that the control group of a container allows."""
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1.0, int(quota) / int(period))
    return _MOST_THREADS
