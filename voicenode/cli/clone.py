"""`voicenode clone`: a voice from recordings."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated, Any

import typer

from voicenode.cli.nodes import NodeOption, TokenOption, find
from voicenode.cli.output import JsonOption, as_json, note, waiting
from voicenode.errors import ErrorCode, RequestError

_LIMIT = 300.0
"""Seconds for a node that has to load its engines first."""


def clone(
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE", hidden=True)],
    *,
    transcript: Annotated[
        str | None,
        typer.Option("--transcript", "-t", metavar="TEXT", help="The words of the first recording."),
    ] = None,
    languages: Annotated[
        list[str] | None,
        typer.Option("--language", "-l", metavar="TAG", help="What it shall speak, once or more; else all."),
    ] = None,
    engines: Annotated[
        list[str] | None,
        typer.Option(
            "--engine", "-e", metavar="NAME", help="Who shall speak in it, once or more; else all that clone."
        ),
    ] = None,
    description: Annotated[str, typer.Option("--description", "-d", metavar="TEXT", help="For people.")] = "",
    quality: Annotated[
        str | None, typer.Option("--quality", "-q", metavar="NAME", help="Its quality profile.")
    ] = None,
    consent: Annotated[
        str | None, typer.Option("--consent", metavar="WHO", help="Who agreed to this.")
    ] = None,
    pin: Annotated[bool, typer.Option("--pin", help="Keep it also where nobody uses it.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a voice of this name.")] = False,
    rename: Annotated[bool, typer.Option("--rename", help="Number a name that is taken.")] = False,
    token: TokenOption = None,
    for_program: JsonOption = False,
    node: NodeOption = None,
) -> None:
    """Make a voice of recordings.

    NAME is what the voice shall be called, and each FILE is a recording: WAV, FLAC, MP3 or OGG. Ten to thirty
    seconds of one person in a quiet room are enough.
    """
    request = {
        "name": name,
        "transcript": transcript,
        "languages": languages or None,
        "engines": engines or None,
        "description": description or None,
        "quality": quality,
        "consent": consent,
        "pinned": pin or None,
        "replace": "rename" if rename else replace or None,
        "token": token,
    }
    recordings = [_content(path) for path in files]
    given = {key: value for key, value in request.items() if value is not None}
    with waiting("Cloning the voice"):
        answer = asyncio.run(_clone(node, given, recordings))
    if for_program:
        as_json(answer)
        return
    for warning in answer["warnings"]:
        note(f"Warning: {warning.rstrip('.')}.")
    note(f"Voice {answer['name']} is there, for {' and '.join(answer['engines'])}. Hear it:")
    note(f"  voicenode say -v '{answer['name']}' Good evening")


async def _clone(node: str | None, request: dict[str, Any], recordings: list[bytes]) -> dict[str, Any]:
    from voicenode.client import connect  # noqa: PLC0415 (serve does without)

    lengths = [len(each) for each in recordings]
    async with connect(await find(node)) as connection:
        return await connection.ask(
            "clone-voice",
            {**request, "recordings": lengths},
            "voice-cloned",
            b"".join(recordings),
            limit=_LIMIT,
        )


def _content(path: Path) -> bytes:
    from voicenode.cloning.request import MAX_BYTES  # noqa: PLC0415 (serve does without)

    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequestError(
            ErrorCode.NOT_FOUND, f"{path} cannot be read: {error.strerror or error}"
        ) from error
    if len(content) > MAX_BYTES:
        what = f"{path} has over {MAX_BYTES >> 20} MiB; half a minute of clear speech is all it takes"
        raise RequestError(ErrorCode.AUDIO_TOO_LARGE, what)
    return content
