"""`voicenode serve`: the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from voicenode.cli.config import ConfigOption, DataDirOption, load_settings


def serve(
    config: ConfigOption = None,
    uri: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="Where to listen: tcp://HOST:PORT, tcp://:PORT, unix:///PATH or stdio://. May be repeated. "
            "Without it, port 10200 of every address.",
        ),
    ] = None,
    data_dir: DataDirOption = None,
    *,
    no_mdns: Annotated[bool, typer.Option("--no-mdns", help="Do not announce the node on the LAN.")] = False,
    advertise_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IP",
            help="Announce this address, not this machine's own, as for a container. May be repeated.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything that happens.")] = False,
) -> None:
    """Start a node.

    Home Assistant on the same network finds it by itself. Ctrl-C ends it.
    """
    loaded = load_settings(
        config,
        data_dir,
        wyoming__uri=uri or None,
        mdns__enabled=False if no_mdns else None,
        mdns__advertise_host=advertise_host or None,
        log__level="debug" if debug else None,
    )
    from voicenode import app, logs  # noqa: PLC0415 (only this command is the daemon)

    log = loaded.settings.log
    logs.configure(log.level, log.format, text=log.text)
    app.run(loaded)
