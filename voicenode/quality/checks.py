"""Holds what users and stores give to what engines take."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from pydantic import TypeAdapter, ValidationError

from voicenode.errors import ErrorCode, RequestError
from voicenode.quality.profile import SPEED
from voicenode.words import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

_SPEED: TypeAdapter[float] = TypeAdapter(Annotated[float, Ge(0.25), Le(4)])
"""The bounds of what a request may ask for."""
_SHOWN_CHARS = 40
"""Of a wrong value that an error message repeats."""


def parameters(engine: str, kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON has them, checked against an engine's `parameters_type`.

    Raises:
        RequestError: the engine has no such parameter, or does not take the value.
    """
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            what = f"parameter of engine '{engine}'"
            raise unknown(ErrorCode.BAD_REQUEST, what, name, [*known, SPEED])
    adapter = TypeAdapter(kind)
    dumped = adapter.dump_python(checked(adapter, dict(values), "parameters"), mode="json")
    return {name: dumped[name] for name in values}


def speed(value: object) -> float:
    """A profile's speed.

    Raises:
        RequestError: it will not do.
    """
    return float(checked(_SPEED, value, SPEED))


def checked(adapter: TypeAdapter[Any], value: object, name: str) -> Any:  # noqa: ANN401 - of the adapter's type
    """`value` as the adapter's type; `name` is what an error calls it.

    Raises:
        RequestError: it is not of that type.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problems = (_sentence(problem, name) for problem in error.errors(include_url=False))
        raise RequestError(ErrorCode.BAD_REQUEST, "; ".join(problems)) from None


def _sentence(problem: ErrorDetails, name: str) -> str:
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{'.'.join(map(str, problem['loc'])) or name} {reason}, not {shown(problem['input'])}"


def shown(value: object) -> str:
    """A value as an error message repeats it."""
    text = repr(value[:_SHOWN_CHARS] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "\u2026"
