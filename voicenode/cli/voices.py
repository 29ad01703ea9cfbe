"""`voicenode voices`: who can speak, and what is kept of those who were cloned."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicenode.cli.config import ConfigOption, load_settings
from voicenode.cli.lists import voices
from voicenode.cli.nodes import NodeOption, TokenOption, find
from voicenode.cli.output import JsonOption, as_json, examples, note, table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicenode.cloning.profiles import VoiceProfiles

app = typer.Typer(rich_markup_mode=None)
app.callback(
    invoke_without_command=True,
    epilog=examples(
        ("voicenode voices -l de", "only German ones"),
        ("voicenode voices --json", "for a program"),
        ("voicenode voices list", "those that were cloned"),
    ),
)(voices)

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The voice's name.")]
_PAGE = 1000


@app.command("list", epilog=examples(("voicenode voices list --json", "for a program")))
def list_voices(*, for_program: JsonOption = False, node: NodeOption = None) -> None:
    """List the voices that were cloned."""
    found = asyncio.run(_all(node))
    if for_program:
        as_json(found)
    elif found:
        columns = ("Voice", "Engines", "Languages", "Revision", "Expires", "Description")
        table(columns, map(_row, found))
    else:
        note("No voice was cloned yet; 'voicenode clone NAME FILE' makes one.")


@app.command(epilog=examples(("voicenode voices show Anna", "figures, consent and all else")))
def show(
    name: _NameArgument,
    *,
    token: TokenOption = None,
    for_program: JsonOption = False,
    node: NodeOption = None,
) -> None:
    """Show all that is kept of a cloned voice."""
    answer = asyncio.run(_ask(node, "get-voice", {"name": name}, "voice", token))
    if for_program:
        as_json(answer)
        return
    rows = {**answer, **answer.pop("figures")}
    rows.pop("figures", None)
    table(("Of the voice", "Value"), [(key, _shown(value)) for key, value in rows.items()])


@app.command(epilog=examples(("voicenode voices delete Anna", "its recordings, too")))
def delete(name: _NameArgument, *, token: TokenOption = None, node: NodeOption = None) -> None:
    """Forget a cloned voice, and all that was made of it."""
    answer = asyncio.run(_ask(node, "delete-voice", {"name": name}, "voice-deleted", token))
    note(f"Voice {answer['name']} is deleted.")


@app.command(epilog=examples(("voicenode voices rename Anna 'Anna Smith'", "the sound stays")))
def rename(
    name: _NameArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    *,
    token: TokenOption = None,
    node: NodeOption = None,
) -> None:
    """Give a cloned voice another name."""
    answer = asyncio.run(_ask(node, "update-voice", {"name": name, "rename": new}, "voice-updated", token))
    for warning in answer["warnings"]:
        note(f"Warning: {warning}.")
    note(f"Voice {name} is {answer['name']} now.")


@app.command(epilog=examples(("voicenode voices export Anna -o anna.voice", "recordings, profile and all")))
def export(
    name: _NameArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else NAME.voice here.")
    ] = None,
    *,
    config: ConfigOption = None,
) -> None:
    """Write a cloned voice of this machine's store into one file."""
    path = output or Path(f"{name}.voice")
    asyncio.run(_export(config, name, path))
    note(f"Voice {name} is in {path}; it holds the recordings of a person, so keep it safe.")


@app.command(
    "import",
    epilog=examples(
        ("voicenode voices import anna.voice", "what export wrote, perhaps elsewhere"),
        ("voicenode voices import anna.voice --as Berta", "under another name"),
    ),
)
def import_voice(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'voicenode voices export' wrote.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Another name for it.")] = None,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a voice of this name.")] = False,
    config: ConfigOption = None,
) -> None:
    """Put an exported voice into this machine's store.

    A running node offers it within seconds.
    """
    kept = asyncio.run(_import(config, file, name, replace=replace))
    note(f"Voice {kept} is there.")


async def _all(node: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = {"offset": len(found), "limit": _PAGE}
        answer = await _ask(node, "list-voices", page, "voices", None)
        found += answer["voices"]
        if not answer["voices"] or len(found) >= answer["total"]:
            return found


async def _ask(
    node: str | None, request: str, data: dict[str, Any], answer: str, token: str | None
) -> dict[str, Any]:
    from voicenode.client import connect  # noqa: PLC0415 (serve does without)

    async with connect(await find(node)) as connection:
        return await connection.ask(request, data | ({"token": token} if token else {}), answer)


async def _export(config: Path | None, name: str, path: Path) -> None:
    from voicenode.cloning import archive  # noqa: PLC0415 (serve does without)
    from voicenode.cloning.files import read_file  # noqa: PLC0415 (likewise)
    from voicenode.errors import ErrorCode, StoreError  # noqa: PLC0415 (likewise)
    from voicenode.voice import name_key  # noqa: PLC0415 (likewise)
    from voicenode.words import unknown  # noqa: PLC0415 (likewise)

    async with _opened(config) as kept_voices:
        kept = await kept_voices.refreshed(name)
        if kept is None:
            raise unknown(ErrorCode.UNKNOWN_VOICE, "cloned voice", name, await kept_voices.names())
        files = {
            each: await read_file(kept_voices.store, name_key(name), each) for each in kept.profile.files
        }
    content = archive.pack(kept.profile, files)
    try:
        await asyncio.to_thread(_write, path, content)
    except OSError as error:
        raise StoreError.of(error, f"{path} cannot be written") from error


async def _import(config: Path | None, path: Path, name: str | None, *, replace: bool) -> str:
    from dataclasses import replace as changed  # noqa: PLC0415 (the name is taken)

    from voicenode.cloning import archive, names  # noqa: PLC0415 (serve does without)
    from voicenode.errors import ConflictError  # noqa: PLC0415 (likewise)
    from voicenode.workers.registry import installed  # noqa: PLC0415 (likewise)

    profile, files = await asyncio.to_thread(archive.unpack, path)
    profile = changed(profile, name=names.checked_name(name or profile.name), last_used=None, uses=0)
    names.check_free(profile.name, installed(), ())
    async with _opened(config) as kept_voices:
        there = await kept_voices.refreshed(profile.name)
        if there is not None and not replace:
            what = f"there is a voice '{there.profile.name}' already; --replace it, or give this --as another"
            raise ConflictError(what)
        gone = there.profile.files if there else ()
        if there is not None:
            profile = changed(profile, id=there.profile.id, revision=there.profile.revision + 1)
        attached: dict[str, bytes | None] = {**dict.fromkeys(gone), **files}
        await kept_voices.put(profile, there.version if there else 0, attached)
    return profile.name


@asynccontextmanager
async def _opened(config: Path | None) -> AsyncIterator[VoiceProfiles]:
    from voicenode import parts  # noqa: PLC0415 (other commands do without)
    from voicenode.cloning.profiles import VoiceProfiles  # noqa: PLC0415 (likewise)

    async with parts.shared_store(load_settings(config).settings) as store:
        yield VoiceProfiles(store, lambda *_: None)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)
        file.write(content)


def _row(voice: dict[str, Any]) -> tuple[str, ...]:
    expires = "never" if voice["expires"] is None else voice["expires"][:10]
    languages = ", ".join(voice["languages"]) or "all of its engine"
    return (
        voice["name"],
        ", ".join(voice["engines"]),
        languages,
        str(voice["revision"]),
        expires,
        voice["description"],
    )


def _shown(value: Any) -> str:  # noqa: ANN401 (any JSON)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
