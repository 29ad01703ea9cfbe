"""Reads the settings of a node from all their sources and checks them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import getitem
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voicenode.engine import EngineError
from voicenode.errors import ErrorCode, SetupError
from voicenode.settings import document, keys, layers, problems, sources
from voicenode.settings.engines import settings_type
from voicenode.settings.layers import Layer
from voicenode.settings.model import Settings
from voicenode.workers.registry import installed


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Checked settings, and where each of them comes from."""

    settings: Settings
    file: Path | None
    """The settings file that was read."""
    unavailable: Mapping[str, EngineError]
    """The enabled engines that cannot be used and so are not in `settings`, and why."""
    sources: Mapping[str, str]
    """Dotted path of each setting -> `FILE:LINE`, `environment VARIABLE`, `command line` or `default`."""
    values: Mapping[str, Any]
    """Dotted path of each setting -> its value for people and JSON, in which a secret is `!secret NAME`."""

    def demands(self, engine: str) -> bool:
        """Whether the owner asks for this engine by name, so that it is a fault if it cannot be used."""
        settings = self.settings
        voices = [settings.default_voice, *settings.language_voices.values(), *settings.aliases.values()]
        return (
            settings.default_engine == engine
            or any(voice.startswith(f"{engine}-") for voice in voices)
            or any(
                path.startswith(f"engines.{engine}.") and source != "default"
                for path, source in self.sources.items()
            )
        )


def load(
    config: Path | None,
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
    engines: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """The settings: the command line's, else the environment's, else the file's, else the defaults.

    Args:
        config: the settings file; None to look for one.
        overrides: dotted path -> value from the command line; None stands for an option not given.
        environ: the environment variables.
        engines: name -> `module:Class` of each engine; None for those that are installed.

    Raises:
        SetupError: a source cannot be read (one line), or settings are wrong (a line for each).
        EngineError: two packages offer the same engine.
    """
    file = sources.find_file(config, environ)
    model, unavailable = settings_type(installed() if engines is None else engines)
    layer = _merge(
        model,
        sources.computed(file, environ),
        document.read(file) if file else {},
        sources.inherited(environ, model),
        sources.environment(environ, model),
        sources.command_line(overrides),
    )
    settings = _check(model, layer)
    origins = dict(_origins(model, layer))
    usable = {name: engine for name, engine in settings.engines.items() if name not in unavailable}
    return LoadedSettings(
        settings=settings.model_copy(update={"engines": usable}),
        file=file,
        unavailable={name: why for name, why in unavailable.items() if settings.engines[name].enabled},
        sources={".".join(path): source for path, source in origins.items()},
        values=_values(settings, origins, layer),
    )


def _merge(model: type[Settings], computed: Layer, *given: Layer) -> Layer:
    """One layer of all, the strongest last; null takes a key back to its default where that is computed."""
    merged = dict(computed)
    for path, value in chain.from_iterable(layer.items() for layer in given):
        if value.value is None and path in computed:
            merged[path] = computed[path]
        elif value.value not in (None, {}) or keys.shape(keys.type_at(model, path)) != "map":
            merged[path] = value  # else it is a section left empty
    return merged


def _check(model: type[Settings], layer: Layer) -> Settings:
    try:
        return model.model_validate(layers.nest(layer))
    except ValidationError as error:
        lines = problems.describe(error, model, layer)
    raise SetupError(ErrorCode.BAD_SETTINGS, "\n".join(lines))  # not from error, which shows secrets


def _origins(model: type[Settings], layer: Layer) -> Iterator[tuple[keys.Path, str]]:
    for path, kind in keys.keys(model):
        if not keys.is_section(kind):
            yield from list(layers.sources(layer, path)) or [(path, "default")]


def _values(settings: Settings, paths: Iterable[keys.Path], layer: Layer) -> dict[str, Any]:
    dump = settings.model_dump(mode="json")
    secret = {path: repr(value) for path, (value, _) in layer.items() if document.secrets_in(value)}
    return {".".join(path): secret.get(path) or reduce(getitem, path, dump) for path in paths}
