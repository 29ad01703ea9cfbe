"""Where each value comes from. A source of settings is a layer, and a stronger layer covers a weaker one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from voicenode.settings.keys import Path

Value = Any
"""What a source gives: text, a list, a map or null; numbers and booleans where the source has them."""


class Given(NamedTuple):
    """One value as a source gives it, and the source in words, such as `environment VOICENODE_NAME`."""

    value: Value
    source: str


Layer = dict[Path, Given]
"""What one source gives: no maps, but the path of every value in them. An empty map stands as itself."""


def flatten(path: Path, value: Value, source: str) -> Layer:
    """The layer that gives `value` at `path`."""
    if not isinstance(value, dict) or not value:
        return {path: Given(value, source)}
    layer: Layer = {}
    for key, inner in value.items():
        layer |= flatten((*path, str(key)), inner, source)
    return layer


def nest(layer: Layer) -> dict[str, Any]:
    """The maps that `flatten` took apart; where a text stands in the way of a map, the text stays."""
    tree: dict[str, Any] = {}
    for path, given in sorted(layer.items(), key=lambda item: len(item[0])):
        inner: Any = tree
        for key in path[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[path[-1]] = given.value
    return tree


def sources(layer: Layer, path: Path) -> Iterator[tuple[Path, str]]:
    """The source of what stands at `path`, or of what it is in; else the path and source of each part."""
    for end in range(len(path), 0, -1):
        if path[:end] in layer:
            yield path, layer[path[:end]].source
            return
    for inner, given in layer.items():
        if inner[: len(path)] == path:
            yield inner, given.source
