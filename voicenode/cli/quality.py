"""`voicenode quality`: the profiles that there are, and those of the owner's own."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicenode.cli.config import ConfigOption, load_settings
from voicenode.cli.output import JsonOption, as_json, examples, note, table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from voicenode.quality import QualityProfile, QualityProfiles
    from voicenode.stores.store import Store

app = typer.Typer(
    help="List and change how engines speak.",
    epilog=examples(
        ("voicenode quality list", "all there are"),
        ("voicenode quality set calm --engine xtts temperature=0.6", "one of your own"),
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]


@app.command(
    "list",
    epilog=examples(
        ("voicenode quality list --engine xtts", "those of one engine"),
        ("voicenode quality list --json", "for a program"),
    ),
)
def list_profiles(
    engine: Annotated[
        str | None, typer.Option("--engine", "-e", metavar="NAME", help="Only those of this engine.")
    ] = None,
    *,
    for_program: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the quality profiles of the engines that can be used."""
    found = [each for each in asyncio.run(_all(config)) if engine in {None, each.engine}]
    if for_program:
        as_json([_document(profile) for profile in found])
    elif found:
        table(("Profile", "Engine", "Values", "Description", "Made by"), map(_row, found))
    else:
        note(f"There are no quality profiles{f' of engine {engine}' if engine else ''}.")


@app.command(
    epilog=examples(
        ("voicenode quality show xtts_stable", "its values, and the engine's for the rest"),
        ("voicenode quality show xtts_stable --json", "for a program"),
    )
)
def show(name: _NameArgument, *, for_program: JsonOption = False, config: ConfigOption = None) -> None:
    """Show one quality profile."""
    profile, defaults = asyncio.run(_one(config, name))
    if for_program:
        as_json(_document(profile))
        return
    about = f": {profile.description}" if profile.description else ""
    note(f"{profile.name}, for engine {profile.engine}{about}")
    rest = ((key, value, "engine") for key, value in defaults.items() if key not in profile.values)
    rows = [*((key, value, "profile") for key, value in profile.values.items()), *rest]
    table(("Parameter", "Value", "From"), [(key, _shown(value), source) for key, value, source in rows])


@app.command(
    "set",
    epilog=examples(
        ("voicenode quality set calm -e xtts temperature=0.6 speed=0.9", "make it"),
        ("voicenode quality set quick -e f5 nfe_step=7 -d 'In a hurry'", "say what it is for"),
    ),
)
def put(
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)],
    values: Annotated[list[str], typer.Argument(metavar="KEY=VALUE", hidden=True)],
    engine: Annotated[str, typer.Option("--engine", "-e", metavar="NAME", help="The engine that it is for.")],
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is for.")
    ] = "",
    *,
    config: ConfigOption = None,
) -> None:
    """Make a quality profile, or replace one of your own.

    NAME is of letters, digits, - and _, and each KEY is a parameter of the engine, or speed. A running node
    follows at once.
    """
    profile, idle = asyncio.run(_put(config, name, engine, _parsed(values), description))
    note(f"Quality profile {profile.name} is set.")
    if idle:
        note(f"Warning: {' and '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect in {engine}.")


@app.command(epilog=examples(("voicenode quality delete calm", "forget it")))
def delete(name: _NameArgument, *, config: ConfigOption = None) -> None:
    """Delete a quality profile of your own."""
    asyncio.run(_delete(config, name))
    note(f"Quality profile {name} is deleted.")


@asynccontextmanager
async def _opened(config: Path | None) -> AsyncIterator[tuple[QualityProfiles, Store]]:
    from voicenode import parts  # noqa: PLC0415 (other commands do without)

    loaded = load_settings(config)
    profiles = parts.build_quality(loaded.settings, parts.create_engines(loaded))
    async with parts.shared_store(loaded.settings) as store:
        await profiles.load(store)
        yield profiles, store


async def _all(config: Path | None) -> list[QualityProfile]:
    async with _opened(config) as (profiles, _):
        return list(profiles)


async def _one(config: Path | None, name: str) -> tuple[QualityProfile, Mapping[str, Any]]:
    """The profile, and the engine's defaults."""
    async with _opened(config) as (profiles, _):
        profile = profiles.find(name)
        return profile, profiles.engine_defaults(profile.engine)


async def _put(
    config: Path | None, name: str, engine: str, values: Mapping[str, Any], description: str
) -> tuple[QualityProfile, list[str]]:
    """The profile as it was kept, and the parameters that do nothing."""
    async with _opened(config) as (profiles, store):
        profile = profiles.made(name, engine, values, description)
        await profiles.put(store, profile)
        return profile, list(profiles.without_effect(profile))


async def _delete(config: Path | None, name: str) -> None:
    async with _opened(config) as (profiles, store):
        await profiles.delete(store, name)


def _parsed(pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` with JSON's numbers, booleans and null; everything else is text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, such as temperature=0.6, not {pair!r}")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def _document(profile: QualityProfile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "engine": profile.engine,
        "parameters": profile.values,
        "description": profile.description,
        "built_in": profile.built_in,
    }


def _row(profile: QualityProfile) -> tuple[str, ...]:
    values = ", ".join(f"{key}={_shown(value)}" for key, value in profile.values.items())
    return (
        profile.name,
        profile.engine,
        values,
        profile.description,
        "voicenode" if profile.built_in else "you",
    )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
