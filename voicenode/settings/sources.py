"""Where settings come from: which file is read, what the environment and the command line say."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voicenode.errors import ErrorCode, SetupError
from voicenode.settings import keys
from voicenode.settings.keys import Type
from voicenode.settings.layers import Given, Layer, Value, flatten

PREFIX = "VOICENODE_"
_CONFIG = "VOICENODE_CONFIG"
_DEVICES = {"XTTS_DEVICE": "xtts", "F5TTS_DEVICE": "f5"}
_LOW_VRAM, _DEFAULT_ENGINE = "LOW_VRAM", "TTS_ENGINE_DEFAULT"
_REDIS = "REDIS_URL"
_ENGINES = {"f5tts": "f5"}
"""Engines that the system before voicenode called otherwise."""


def find_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file to read: the one that is named, else the user's, else the machine's, else none."""
    if config or environ.get(_CONFIG):
        return config or Path(environ[_CONFIG])
    folders = [_home(environ, "XDG_CONFIG_HOME", ".config"), Path("/etc")]
    usual = [folder / "voicenode" / "voicenode.yaml" for folder in folders]
    return next((path for path in usual if _exists(path)), None)


def computed(file: Path | None, environ: Mapping[str, str]) -> Layer:
    """The defaults that depend on the machine: they hold where nothing, or null, is given."""
    layer: Layer = {("data_dir",): Given(str(_data_dir(environ)), "default")}
    if file and _exists(lexicon := file.absolute().with_name("lexicon.yaml")):
        layer["text", "lexicon"] = Given(str(lexicon), "default")
    return layer


def environment(environ: Mapping[str, str], settings: Type) -> Layer:
    """What the variables VOICENODE_A__B say about the key `a.b` of the type `settings`, the deepest last.

    Raises:
        SetupError: a variable that should be JSON is not.
    """
    layer: Layer = {}
    for name, text in sorted(environ.items(), key=lambda item: (item[0].count("__"), item[0])):
        if name.upper().startswith(PREFIX) and name.upper() != _CONFIG:
            path = tuple(name[len(PREFIX) :].lower().split("__"))
            value = _parse(name, text, keys.type_at(settings, path))
            layer |= flatten(path, value, f"environment {name}")
    return layer


def inherited(environ: Mapping[str, str], settings: Type) -> Layer:
    """What the variables say that the system before voicenode had; of engines, only where they are installed.

    Args:
        environ: the environment variables.
        settings: the type of the settings.
    """
    given = {name: environ.get(name, "").strip().lower() for name in (*_DEVICES, _LOW_VRAM, _DEFAULT_ENGINE)}
    given[_REDIS] = environ.get(_REDIS, "").strip()  # capitals count in a password
    engine = _ENGINES.get(given[_DEFAULT_ENGINE], given[_DEFAULT_ENGINE])
    values: dict[str, tuple[keys.Path, Value]] = {
        name: (("engines", engine, "device"), "auto" if given[name] == "none" else given[name])
        for name, engine in _DEVICES.items()
        if keys.type_at(settings, ("engines", engine, "device")) is not None
    }
    values[_LOW_VRAM] = (("pool", "low_vram"), given[_LOW_VRAM])
    values[_REDIS] = (("store", "url"), given[_REDIS])
    if keys.type_at(settings, ("engines", engine)) is not None:
        values[_DEFAULT_ENGINE] = (("default_engine",), engine)
    return {
        path: Given(value, f"environment {name}") for name, (path, value) in values.items() if given[name]
    }


def command_line(overrides: Mapping[str, Any]) -> Layer:
    """What the command line says, as dotted path -> value; None stands for an option that was not given."""
    layer: Layer = {}
    for path, value in overrides.items():
        if value is not None:
            layer |= flatten(tuple(path.split(".")), value, "command line")
    return layer


def _parse(name: str, text: str, kind: Type) -> Value:
    """The text of a variable as a value for the type `kind`."""
    shape = keys.shape(kind)
    if keys.is_nullable(kind) and text in {"", "null"}:
        return None
    if shape == "map" or (shape == "list" and text.lstrip().startswith("[")):
        return _parse_json(name, text, shape)
    if shape == "list":
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _parse_json(name: str, text: str, shape: str) -> Value:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict if shape == "map" else list):
        expected = (
            f'{{"KEY": "VALUE"}} (or use {name}__KEY)' if shape == "map" else '["ONE", "TWO"] (or ONE,TWO)'
        )
        problem = f"environment {name}: expected JSON such as {expected}"
        raise SetupError(ErrorCode.BAD_SETTINGS, problem)  # without the value, which may hold a password
    return value


def _data_dir(environ: Mapping[str, str]) -> Path:
    if environ.get("STATE_DIRECTORY"):  # set by systemd; a colon stands between several
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    if os.geteuid() == 0:
        return Path("/var/lib/voicenode")
    return _home(environ, "XDG_DATA_HOME", ".local/share") / "voicenode"


def _home(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    """A user's folder after the XDG base directory specification, which has relative values ignored."""
    named = Path(environ.get(variable, ""))
    return named if named.is_absolute() else Path(environ.get("HOME") or "/", usual)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that this user may not look into
        return False
