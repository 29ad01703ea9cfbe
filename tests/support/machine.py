"""A Debian 12 that is really booted, by systemd-nspawn, on a disk that forgets everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
LIMIT = 120.0
"""Seconds within which a machine boots, or a command in it ends."""


NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}


def what_is_missing(needed: Mapping[str, str] = NEEDED) -> str | None:
    """What to do before the needed programs (name -> Debian's package) can be used; None for nothing."""
    if os.geteuid() != 0:
        return "this takes root"
    missing = [package for name, package in needed.items() if not shutil.which(name)]
    return f"missing here; apt-get install {' '.join(missing)}" if missing else None


def debian(folder: Path, packages: str = PACKAGES) -> Path:
    """The files of a Debian 12 below `folder`, the smallest one with `packages`; made once, in minutes."""
    tree = folder / ("bookworm" if packages else "slim")
    if not tree.exists():
        making = folder / f"{tree.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        include = [f"--include={packages}"] if packages else []
        command = ["debootstrap", "--variant=minbase", *include, "bookworm", str(making), MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=900)
        making.rename(tree)
    return tree


@dataclass(frozen=True)
class Machine:
    """A booted machine, without a network but its own loopback."""

    leader: int
    """Its process 1, as this machine counts."""

    def run(self, command: str) -> str:
        """What a shell command prints, as root; it must succeed."""
        done = self.attempt(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout.strip()

    def attempt(self, command: str) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "--all", f"--target={self.leader}", "env", "-i"]
        return subprocess.run(
            [*inside, "PATH=/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "sh", "-euc", command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )

    def wait_until(self, command: str, *answers: str) -> None:
        """Wait until a command prints one of the answers."""
        deadline = time.monotonic() + LIMIT
        while (said := self.attempt(command).stdout.strip()) not in answers:
            assert time.monotonic() < deadline, f"{command}: {said}"
            time.sleep(0.1)  # nothing tells out of there


@contextmanager
def booted(tree: Path, log: Path, **binds: Path) -> Iterator[Machine]:
    """A machine with the files of `tree`, in which `binds` stand in the top folder, read-only."""
    command = [
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--volatile=overlay"),
        *("--private-network", "--console=pipe", f"--directory={tree}"),
        *(f"--bind-ro={path}:/{name}" for name, path in binds.items()),
    ]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            machine = Machine(_leader(process))
            machine.wait_until("systemctl is-system-running || true", "running", "degraded")
            yield machine
            process.terminate()
            process.wait(LIMIT)
        finally:
            process.kill()


def _leader(process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        children = psutil.Process(process.pid).children()
        if children and children[0].name() == "systemd":
            return children[0].pid
        time.sleep(0.1)  # nothing tells
    raise AssertionError("the machine does not boot")
