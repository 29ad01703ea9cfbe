"""`voicenode voices` and `voicenode discover`: what there is to choose from."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.cli.nodes import NodeOption, find, listen
from voicenode.cli.output import JsonOption, as_json, note, table, waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicenode.client import NodeInfo, NodeVoice
    from voicenode.transports.mdns import FoundNode


def voices(
    context: typer.Context,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", metavar="TAG", help="Only this language, such as de or en-GB."),
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Every speaker by name, and voices that would be downloaded first.")
    ] = False,
    for_program: JsonOption = False,
    node: NodeOption = None,
) -> None:
    """List the voices of a node.

    The commands are for those that were cloned.
    """
    if context.invoked_subcommand is not None:
        return
    info = asyncio.run(_describe(node))
    chosen = [
        voice
        for voice in info.voices
        if (voice.installed or everything) and (language is None or _speaks(voice, language))
    ]
    if for_program:
        as_json([asdict(voice) for voice in chosen])
    elif chosen:
        rows = (_voice_row(voice, names=everything) for voice in _folded(chosen))
        table(("Voice", "Languages", "Description", "Speakers"), rows)
    else:
        note(f"No voice{f' for {language}' if language else ''} on {info.name}.")


def discover(
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to listen.")] = 3,
    *,
    for_program: JsonOption = False,
) -> None:
    """Find the nodes on the LAN.

    Other Wyoming services that answer are listed after them.
    """
    with waiting("Listening for nodes on the LAN"):
        found = asyncio.run(listen(timeout))
    if for_program:
        as_json([asdict(node) | {"uris": node.uris, "voicenode": node.is_voicenode} for node in found])
    elif found:
        table(("Name", "Address", "Version"), map(_node_row, _ours_first(found)))
    else:
        note(f"No nodes answered within {timeout:g} s. Is one running ('voicenode serve')?")


async def _describe(node: str | None) -> NodeInfo:
    from voicenode.client import connect  # noqa: PLC0415 (serve does without)

    with waiting("Asking the node"):
        async with connect(await find(node)) as connection:
            return await connection.describe()


def _speaks(voice: NodeVoice, language: str) -> bool:
    """Whether the voice speaks the language, any region of it when none is asked for."""
    wanted = language.replace("_", "-").casefold()
    spoken = (tag.replace("_", "-").casefold() for tag in voice.languages)
    return any(tag == wanted or tag.startswith(f"{wanted}-") for tag in spoken)


def _folded(voices: Iterable[NodeVoice]) -> Iterable[NodeVoice]:
    """The voices, but one that is listed as `<voice>-<language>` for each of its languages only once."""
    folded: dict[tuple[str, str], NodeVoice] = {}
    for voice in voices:
        ending = f"-{voice.languages[0].casefold()}" if len(voice.languages) == 1 else ""
        key = voice.name.removesuffix(ending), voice.description
        if key in folded:
            languages = (*folded[key].languages, *voice.languages)
            folded[key] = replace(voice, name=f"{key[0]}-*", languages=languages)
        else:
            folded[key] = voice
    return folded.values()


def _voice_row(voice: NodeVoice, *, names: bool) -> tuple[str, ...]:
    speakers = ", ".join(voice.speakers) if names else str(len(voice.speakers) or "")
    return voice.name, ", ".join(voice.languages), voice.description, speakers


def _ours_first(nodes: Iterable[FoundNode]) -> list[FoundNode]:
    return sorted(nodes, key=lambda node: not node.is_voicenode)


def _node_row(node: FoundNode) -> tuple[str, ...]:
    version = node.properties.get("version", "") if node.is_voicenode else "(another Wyoming service)"
    return node.name, ", ".join(node.uris), version
