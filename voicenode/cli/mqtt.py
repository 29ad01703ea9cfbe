"""`voicenode mqtt`: what there is to do at a broker besides being a node."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.cli.config import ConfigOption, DataDirOption, load_settings
from voicenode.cli.output import examples, note, waiting
from voicenode.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    from collections.abc import Collection

    from voicenode.settings import Settings

_EXAMPLES = examples(
    ("voicenode mqtt remove", "this machine's node, once it is stopped"),
    ("voicenode mqtt remove 4f2a9c01", "one whose machine is gone"),
)

app = typer.Typer(
    help="Clean up at the MQTT broker.", epilog=_EXAMPLES, no_args_is_help=True, rich_markup_mode=None
)


@app.command(epilog=_EXAMPLES)
def remove(
    node: Annotated[
        str | None, typer.Argument(metavar="ID", help="The node's id; without it, this machine's node.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the broker still takes the node for online.")
    ] = False,
) -> None:
    """Remove a node from the broker and from Home Assistant.

    Stop the node first. It comes back when it is started again.
    """
    settings = load_settings(config, data_dir).settings
    if settings.mqtt.host is None:
        raise SetupError(
            ErrorCode.BAD_SETTINGS,
            "mqtt.host is not set, so there is no broker to clean up; set it to the broker's",
        )
    node_id = node or _own_id(settings)
    with waiting("Asking the broker"):
        kept = asyncio.run(_remove(settings, node_id, force=force))
    if kept:
        note(f"Removed the node {node_id}: the broker kept {len(kept)} topics of it.")
    else:
        note(f"The broker kept nothing of the node {node_id}.")


async def _remove(settings: Settings, node_id: str, *, force: bool) -> Collection[str]:
    from voicenode import parts  # noqa: PLC0415 (serve imports them when it runs)
    from voicenode.transports.mqtt.removal import remove  # noqa: PLC0415 (likewise)

    mqtt = settings.mqtt
    return await remove(
        parts.broker(settings),
        node_id,
        base_topic=mqtt.base_topic,
        prefix=mqtt.discovery_prefix,
        force=force,
    )


def _own_id(settings: Settings) -> str:
    from voicenode.identity import FILE_NAME  # noqa: PLC0415 (serve imports it when it runs)

    path = settings.data_dir / FILE_NAME
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SetupError(
            ErrorCode.BAD_SETTINGS,
            f"no node has run here ({path}: {error.strerror}); give the node's id, as its topics have it",
        ) from error
