"""The supervisor's rules for a Home Assistant add-on, as far as ours uses them, and stricter than its own.

Made from its source (supervisor/addons/validate.py and options.py, 2025). What it rejects is rejected here;
beyond that, a key that it would silently drop is an error, because then it is a slip of the pen.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_RANGE = r"(\(-?[\d.]*,-?[\d.]*\))?"
OPTION = re.compile(
    rf"(bool|email|url|port|device|str{_RANGE}|password{_RANGE}|int{_RANGE}|float{_RANGE}"
    r"|match\(.*\)|list\(.+\))\??"
)
"""How the type of an option is written; a question mark says that it may be left out."""


def _option(kind: str) -> str:
    assert OPTION.fullmatch(kind), kind
    return kind


Slug = Annotated[str, StringConstraints(pattern=r"^[-_.A-Za-z0-9]+$")]
Port = Annotated[str, StringConstraints(pattern=r"^\d+(/tcp|/udp)?$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
Service = Annotated[str, StringConstraints(pattern=r"^(mqtt|mysql):(provide|want|need)$")]
Arch = Literal["armhf", "armv7", "aarch64", "amd64", "i386"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Map(_Strict):
    """A folder of the machine that the add-on sees."""

    type: Literal[
        "data",
        "ssl",
        "addons",
        "backup",
        "share",
        "media",
        "homeassistant_config",
        "all_addon_configs",
        "addon_config",
    ]
    read_only: bool = True
    path: str | None = None


class AddonConfig(_Strict):
    """`config.yaml` of an add-on."""

    name: str
    version: Version
    slug: Slug
    description: str
    arch: Annotated[list[Arch], Field(min_length=1)]
    init: bool = True
    startup: Literal["initialize", "system", "services", "application", "once"] = "application"
    discovery: list[str] = []
    services: list[Service] = []
    hassio_api: bool = False
    map: list[Map] = []
    ports: dict[Port, Annotated[int, Field(gt=0, lt=65536)] | None] = {}
    ports_description: dict[Port, str] = {}
    options: dict[str, Any] = {}
    schema_: Annotated[dict[str, Annotated[str, AfterValidator(_option)]], Field(alias="schema")] = {}
    backup_exclude: list[str] = []

    def missing_options(self) -> set[str]:
        """Options without a default that may not be left out, which keep the add-on from starting."""
        return {name for name, kind in self.schema_.items() if not kind.endswith("?")} - self.options.keys()


class BuildConfig(_Strict):
    """`build.yaml` of an add-on."""

    build_from: dict[
        Arch, Annotated[str, StringConstraints(pattern=r"^([\w.:-]+/)*[\w-]+/[\w-]+(:[\w.-]+)?$")]
    ]
