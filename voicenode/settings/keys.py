"""Walks the types of the settings: which keys there are, and what stands at a key."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

Path = tuple[str, ...]
"""The keys from the top to a setting, such as ("wyoming", "uri")."""
Type: TypeAlias = Any
"""The type of a setting or a section: a class, or a form such as `tuple[str, ...]`; None for no type."""


def keys(section: Type, above: Path = ()) -> Iterator[tuple[Path, Type]]:
    """The path and the type of every key below the type `section`, each section before what it holds."""
    for name, child in _children(section).items():
        path = (*above, name)
        yield path, child
        yield from keys(child, path)


def type_at(section: Type, path: Path) -> Type:
    """The type of what stands at `path` below the type `section`; None where nothing may stand."""
    for key in path:
        inside = bare(section)
        section = get_args(inside)[1] if _origin(inside) is dict else _children(inside).get(key)
    return section


def shape(kind: Type) -> Literal["map", "list", "text"]:
    """How a value of the type `kind` is written."""
    kind = bare(kind)
    if is_section(kind) or _origin(kind) is dict:
        return "map"
    return "list" if _origin(kind) in {tuple, list, set, frozenset} else "text"


def is_section(kind: Type) -> bool:
    """Whether `kind` is a map with keys of its own, other than one with keys that the user makes up."""
    return is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def is_nullable(kind: Type) -> bool:
    """Whether a value of the type `kind` may be null."""
    return NoneType in get_args(kind)


def bare(kind: Type) -> Type:
    """The type `kind` without its constraints, and without the null that it may be."""
    if _origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    if _origin(kind) in {Union, UnionType}:
        others = [arm for arm in get_args(kind) if arm is not NoneType]
        return bare(others[0]) if len(others) == 1 else kind
    return kind


def _origin(kind: Type) -> object:
    return get_origin(kind)


def _children(section: Type) -> dict[str, Type]:
    if is_typeddict(section):
        return dict(section.__annotations__)
    if is_section(section):
        return {name: field.annotation for name, field in section.model_fields.items()}
    return {}
