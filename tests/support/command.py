"""Runs the command line as a user does: a process of its own, with a home and settings of the test's own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.limits import LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """What a command left."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()


@dataclass(frozen=True)
class CommandLine:
    """`voicenode` for a user whose home, and current folder, is `home`."""

    home: Path
    path: str = os.defpath
    """Where the user's programs are."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the environment holds besides."""

    async def start(
        self, *arguments: str, stdin: int = PIPE, stdout: int = PIPE, stderr: int = PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicenode", *arguments),
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": self.path, "TERM": "xterm", **self.variables},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    async def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        process = await self.start(*arguments)
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(stdin), LIMIT)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Result(process.returncode, stdout, stderr.decode())
