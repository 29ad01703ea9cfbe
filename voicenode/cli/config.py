"""The settings as the commands load them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from voicenode.settings.loading import LoadedSettings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The settings file. Without it: VOICENODE_CONFIG, then ~/.config/voicenode/voicenode.yaml, "
        "then /etc/voicenode/voicenode.yaml, else the defaults.",
    ),
]

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where the node keeps its data.")
]


def load_settings(
    config: Path | None,
    data_dir: Path | None = None,
    **overrides: Any,  # noqa: ANN401 (any setting)
) -> LoadedSettings:
    """The settings from all sources, those given here the strongest: `wyoming__uri` stands for `wyoming.uri`.

    Raises:
        SetupError: they are wrong.
    """
    from voicenode.settings.loading import load  # noqa: PLC0415 (most commands do without)

    given = {name.replace("__", "."): value for name, value in overrides.items()}
    given["data_dir"] = None if data_dir is None else str(data_dir.absolute())
    return load(config, given, os.environ)
