"""Where speech goes: a file, standard output, or a program that plays it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, BinaryIO, cast

import typer

from voicenode.encoding import AudioFormat
from voicenode.errors import ErrorCode, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

PLAYERS = (
    ("aplay", "-q", "-"),
    ("paplay",),
    ("pw-play", "-"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"),
)
"""Programs that play a WAV file while it arrives on their standard input."""


@dataclass(frozen=True, slots=True)
class Sink:
    """What to write and how to open what it is written to; leaving waits until the last sound is out."""

    audio_format: AudioFormat
    open: Callable[[], AbstractAsyncContextManager[BinaryIO]]


def open_sink(output: str | None) -> Sink:
    """The file `output`, or `-` for standard output, or without it a player.

    Raises:
        typer.BadParameter: the output cannot be meant.
        RequestError: there is nothing to play with.
    """
    if output is None:
        return Sink(AudioFormat.WAV, partial(_playing, _player()))
    if output == "-":
        if sys.stdout.isatty():
            raise _misuse("audio on a terminal cannot be read; send it on, as in '--output - | aplay'")
        return Sink(AudioFormat.WAV, _standard_output)
    path = Path(output)
    try:
        return Sink(AudioFormat(path.suffix.removeprefix(".").lower()), partial(_file, path))
    except ValueError as error:
        endings = ", ".join(f".{audio_format}" for audio_format in AudioFormat)
        raise _misuse(f"'{output}' does not tell a format; end it in one of {endings}") from error


def _player() -> list[str]:
    for name, *arguments in PLAYERS:
        if path := shutil.which(name):
            return [path, *arguments]
    names = ", ".join(name for name, *_ in PLAYERS)
    raise _refusal(f"no player was found ({names}); install one, or use --output hello.wav")


@asynccontextmanager
async def _file(path: Path) -> AsyncIterator[BinaryIO]:
    with _writing(str(path)), path.open("wb") as file:
        yield file


@asynccontextmanager
async def _standard_output() -> AsyncIterator[BinaryIO]:
    with _writing("standard output"):
        yield sys.stdout.buffer
        sys.stdout.flush()


@asynccontextmanager
async def _playing(command: list[str]) -> AsyncIterator[BinaryIO]:
    """Leaving waits until all is played; an error on the way silences it at once. It complains on stderr."""
    # asyncio's own processes have no file that an encoder could write to
    player = subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL)  # noqa: ASYNC220
    pipe = cast("BinaryIO", player.stdin)
    try:
        yield pipe
        pipe.close()
        status = await asyncio.to_thread(player.wait)
    except BrokenPipeError as error:
        raise _refusal(f"{command[0]} stopped before everything was played") from error
    finally:
        player.kill()
        with suppress(BrokenPipeError):
            pipe.close()
        player.wait()
    if status:
        raise _refusal(f"{command[0]} could not play (status {status})")


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # whoever read it has had enough
        raise
    except OSError as error:
        raise _refusal(f"cannot write {name}: {error.strerror}") from error


def _refusal(message: str) -> RequestError:
    return RequestError(ErrorCode.BAD_REQUEST, message)


def _misuse(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--output")
