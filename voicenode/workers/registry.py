"""Finds engines by name: an installed package offers them as entry points of the group `voicenode.engines`.

Light on purpose: a worker process imports this before anything else.
"""

from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

from voicenode.engine import EngineError, EngineInfo, ErrorCode, TTSEngine

GROUP = "voicenode.engines"


def installed() -> dict[str, str]:
    """Every installed engine: its name -> where its class is, as `module:Class`; sorted by name.

    Raises:
        EngineError: two packages offer different engines under one name.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415  a worker is told its path and needs no metadata

    engines: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        path = f"{entry.module}:{entry.attr}"
        if engines.setdefault(entry.name, path) != path:
            raise EngineError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"two installed packages offer an engine {entry.name!r}, {engines[entry.name]} and {path}; "
                "uninstall one of them",
            )
    return engines


def engine_path(name: str) -> str:
    """Where the class of the engine `name` is, as `module:Class`.

    Raises:
        EngineError: no such engine is installed (`unknown-engine`).
    """
    engines = installed()
    if name not in engines:
        raise EngineError(
            ErrorCode.UNKNOWN_ENGINE,
            f"no engine {name!r} is installed; install its package, or use {', '.join(engines) or 'none'}",
        )
    return engines[name]


def engine_class(path: str) -> type[TTSEngine[Any]]:
    """Import the class at `path`, written `module:Class`.

    Raises:
        EngineError: it cannot be imported, or is not an engine (`engine-unavailable`).
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # a stranger's module runs here, and may raise anything
        raise _unavailable(path, f"cannot be imported ({type(error).__name__}: {error})") from error
    if not (isinstance(found, type) and issubclass(found, TTSEngine)):
        raise _unavailable(path, "is not a subclass of voicenode.engine.TTSEngine")
    if found.__abstractmethods__:
        raise _unavailable(path, f"does not define {', '.join(sorted(found.__abstractmethods__))}")
    if not isinstance(getattr(found, "info", None), EngineInfo):
        raise _unavailable(path, "has no `info`, an EngineInfo")
    if not is_dataclass(getattr(found, "options_type", None)):
        raise _unavailable(path, "has no `options_type`, a dataclass")
    return found


def _unavailable(path: str, problem: str) -> EngineError:
    return EngineError(
        ErrorCode.ENGINE_UNAVAILABLE,
        f"the engine at {path} {problem}; install its package again, or uninstall it",
    )
