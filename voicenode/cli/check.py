"""`voicenode check-config` and `voicenode health`: whether all is well, by exit status."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicenode.cli.config import ConfigOption, load_settings
from voicenode.cli.nodes import LOCAL_URI, checked
from voicenode.cli.output import JsonOption, as_json, note, table
from voicenode.errors import EngineError, ErrorCode, SetupError, VoiceServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from voicenode.settings import LoadedSettings


def check_config(config: ConfigOption = None, *, for_program: JsonOption = False) -> None:
    """Check the settings and show where each comes from.

    Wrong settings are named with their place, and the exit status is 2; so are voices that there are not, as
    far as that can be told without loading an engine.
    """
    loaded = load_settings(config)
    for name, error in loaded.unavailable.items():
        note(f"Warning: the engine {name} cannot be used: {error}")
    asyncio.run(_check_voices(loaded))
    changed = asyncio.run(_changed(loaded.settings.data_dir))
    settings = [
        (path, changed[path], "changed while the node ran")
        if path in changed
        else (path, value, loaded.sources.get(path, "default"))
        for path, value in loaded.values.items()
    ]
    if for_program:
        as_json({path: {"value": value, "source": source} for path, value, source in settings})
    else:
        note(f"Settings file: {loaded.file}" if loaded.file else "There is no settings file.")
        table(
            ("Setting", "Value", "From"), [(path, _shown(value), source) for path, value, source in settings]
        )


def health(
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            metavar="URI",
            callback=checked,
            help="Which node: tcp://HOST:PORT or unix:///PATH. Without it, the one on this machine.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the node may take to answer.")
    ] = 5,
) -> None:
    """Tell whether a node can speak, by the exit status.

    It is 0 when the node answers and has a voice, else 1 and a line says why.
    """
    asyncio.run(_check_health(node or LOCAL_URI, timeout))


async def _check_voices(loaded: LoadedSettings) -> None:
    """Raise SetupError where settings name voices that there are not; what cannot be told is a warning."""
    from voicenode.doctor.voices import missing_voices  # noqa: PLC0415 (other commands do without)

    wrong: list[str] = []
    for setting, error in (await missing_voices(loaded)).items():
        if isinstance(error, EngineError):
            note(f"Warning: {setting}: {error}")
        elif loaded.settings.store.url is not None:
            note(f"Warning: {setting}: {error}; voices in Redis were not looked at")
        else:
            wrong.append(f"{setting}: {error}")
    if wrong:
        raise SetupError(ErrorCode.BAD_SETTINGS, "\n".join(wrong))


async def _changed(data_dir: Path) -> dict[str, Any]:
    """What clients have changed while the node ran, which wins over every other source."""
    from voicenode.parts import STORE_FOLDER  # noqa: PLC0415 (other commands do without)
    from voicenode.runtime import SETTINGS, changes  # noqa: PLC0415 (likewise)
    from voicenode.stores.file import FileStore  # noqa: PLC0415 (likewise)

    folder = data_dir / STORE_FOLDER
    if not folder.is_dir():
        return {}
    async with FileStore(folder) as store:
        kept = await changes(store)
    return {path: kept[name] for name, path in SETTINGS.items() if name in kept}


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _check_health(uri: str, timeout: float) -> None:  # noqa: ASYNC109 (handed on)
    from voicenode.client import connect  # noqa: PLC0415 (serve does without)

    async with connect(uri, timeout) as connection:
        info = await connection.describe(timeout)
    if not any(voice.installed for voice in info.voices):
        raise VoiceServiceError(ErrorCode.NO_NODE, f"{uri} answers, but has no voice")
