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


def load_settings(config: Path | None, **overrides: Any) -> LoadedSettings:  # noqa: ANN401 (any setting)
    """The settings from all sources, `overrides` the strongest: `wyoming__uri` stands for `wyoming.uri`.

    Raises:
        SetupError: they are wrong.
    """
    from voicenode.settings.loading import load  # noqa: PLC0415 (most commands do without)

    given = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(config, given, os.environ)
