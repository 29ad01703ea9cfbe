"""Turns the options of the engines, plain dataclasses, into settings that are checked like all others."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from dataclasses import Field as Option
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, create_model
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12

from voicenode.engine import EngineError, ErrorCode
from voicenode.settings.fields import Name
from voicenode.settings.keys import Type
from voicenode.settings.model import EngineSettings, Section, Settings
from voicenode.workers.registry import engine_class


def settings_type(engines: Mapping[str, str]) -> tuple[type[Settings], dict[str, EngineError]]:
    """`Settings` that know the engines by name and have a section for each, and those that cannot be used.

    The options of an engine that cannot be used are not known, and so are not checked.

    Args:
        engines: name -> where its class is, as `module:Class`.
    """
    sections: dict[str, type[EngineSettings]] = {}
    unavailable: dict[str, EngineError] = {}
    for name, path in engines.items():
        try:
            sections[name] = _section(path)
        except EngineError as error:
            sections[name], unavailable[name] = _Unchecked, error
    by_name = TypedDict("Engines", sections)  # type: ignore[misc]  # the names are known only now
    by_name.__pydantic_config__ = Section.model_config  # type: ignore[attr-defined]
    named = BeforeValidator(lambda given: _for_all(sections, given))
    engine = Annotated[str, AfterValidator(lambda name: _one_of(sections, name))]
    known: Any = {
        "engines": (Annotated[by_name, named], Field({}, validate_default=True)),
        "default_engine": (engine | None, None),
        "default_quality": (dict[engine, Name], {}),
    }
    return create_model("Settings", __base__=Settings, **known), unavailable


def _one_of(engines: Iterable[str], name: str) -> str:
    if name not in engines:
        raise ValueError(f"expected an installed engine: {', '.join(engines)}")
    return name


def _for_all(names: Iterable[str], given: Any) -> Any:  # noqa: ANN401  not yet checked
    return {name: {} for name in names} | given if isinstance(given, dict) else given


class _Unchecked(EngineSettings, extra="ignore"):
    """An engine that cannot be used: its options are not known."""


def _section(path: str) -> type[EngineSettings]:
    engine = engine_class(path)
    options = engine.options_type
    try:
        hints = get_type_hints(options, include_extras=True)
        section: type[EngineSettings] = create_model(  # type: ignore[call-overload]  # any names may be keywords
            options.__name__,
            __base__=EngineSettings,
            **{option.name: _field(option, hints[option.name]) for option in fields(options)},
        )
        section.options_type = options
        section()
    except Exception as error:  # whatever pydantic thinks of a stranger's types
        problem = f"the options of the engine at {path} cannot be used: {type(error).__name__}: {error}"
        raise EngineError(ErrorCode.ENGINE_UNAVAILABLE, " ".join(problem.split())) from error
    return section


def _field(option: "Option[Any]", hint: Type) -> tuple[Type, Any]:
    if option.name in EngineSettings.model_fields or hasattr(EngineSettings, option.name):
        raise ValueError(f"the name {option.name!r} is taken")
    if option.default_factory is not MISSING:
        return hint, Field(default_factory=option.default_factory)
    if option.default is MISSING:
        raise ValueError(f"{option.name!r} has no default")
    return hint, option.default
