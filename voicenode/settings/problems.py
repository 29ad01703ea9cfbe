"""Says what is wrong with settings: a line for each wrong key, with its source and what was expected."""

from difflib import get_close_matches

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from voicenode.settings import keys
from voicenode.settings.document import secrets_in
from voicenode.settings.keys import Path, Type
from voicenode.settings.layers import Layer, Value, sources
from voicenode.settings.sources import PREFIX

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "model_type": "keys and values",
    "path_type": "a path",
    "string_too_short": "some text",
    "string_type": "text",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""Words for the types of pydantic's errors; the rare others are said in pydantic's own."""


def describe(error: ValidationError, settings: Type, layer: Layer) -> list[str]:
    """A line for each wrong key; `layer` is what was checked against the type `settings`."""
    known = [path for path, _ in keys.keys(settings)]
    problems: dict[tuple[str, Path], list[str]] = {}
    values: dict[tuple[str, Path], str] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "extra_forbidden":
            path = tuple(map(str, detail["loc"]))
            source = _source(layer, path)
            problem, value = _unknown(path, known, source), ""
        else:
            path = _known_part(detail["loc"], settings)
            source = _source(layer, path)
            problem, value = _expected(detail, layer), _value(detail["input"], settings, path)
        problems.setdefault((source, path), []).append(problem)
        values[source, path] = value
    return [
        f"{source}: {_dotted(path)}: {_alternatives(texts)}{values[source, path]}"
        for (source, path), texts in problems.items()
    ]


def _source(layer: Layer, path: Path) -> str:
    return next((source for _, source in sources(layer, path)), "default")


def _known_part(location: tuple[int | str, ...], settings: Type) -> Path:
    """`location` without what pydantic adds: the arm of a union, or that the key itself is wrong."""
    end = 0
    for part in location:
        if isinstance(part, str) and keys.type_at(settings, tuple(map(str, location[: end + 1]))) is None:
            break
        end += 1
    return tuple(map(str, location[:end]))


def _expected(detail: ErrorDetails, layer: Layer) -> str:
    context = detail.get("ctx", {})
    if detail["type"] in _EXPECTED:
        return "expected " + _EXPECTED[detail["type"]].format(**context)
    text = " ".join(str(context.get("error") or detail["msg"]).split())
    for secret in secrets_in([given.value for given in layer.values()]):
        text = text.replace(secret, repr(secret)) if secret else text
    return text


def _value(value: Value, settings: Type, path: Path) -> str:
    kind = keys.bare(keys.type_at(settings, path))
    if kind is SecretStr or keys.is_section(kind):
        return ""
    match value:
        case None:
            return ", got nothing"
        case dict():
            return ", got keys and values"
        case list() | tuple():
            return f", got {'a' if value else 'an empty'} list"
        case _:
            return f", got {_short(repr(value))}"


def _alternatives(texts: list[str]) -> str:
    return " or ".join([texts[0], *(text.removeprefix("expected ") for text in texts[1:])])


def _unknown(path: Path, known: list[Path], source: str) -> str:
    siblings = [other for other in known if other[:-1] == path[:-1]]
    names = ", ".join(other[-1] for other in siblings) or "none"
    if path[:-1] == ("engines",):
        return f"no such engine is installed; installed: {names}"
    nearest = (
        {"_".join(other): other for other in known}.get("_".join(path))  # VOICENODE_WYOMING_URI
        or _nearest(path[-1], siblings, 0.6)
        or _nearest(path[-1], known, 0.8)
    )
    if not nearest:
        return f"unknown key; known here: {names}"
    variable = PREFIX + "__".join(nearest).upper()
    return f"unknown key; did you mean {variable if source.startswith('environment') else _dotted(nearest)}?"


def _nearest(name: str, choices: list[Path], cutoff: float) -> Path | None:
    by_name = {path[-1]: path for path in choices}
    return next((by_name[match] for match in get_close_matches(name, by_name, n=1, cutoff=cutoff)), None)


def _dotted(path: Path) -> str:
    text = ".".join(path)
    return text if text.isprintable() else _short(repr(text))


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
