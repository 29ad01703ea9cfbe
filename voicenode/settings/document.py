"""Reads YAML that is text, lists and maps, with `!secret` as in Home Assistant and nothing else.

Whether a text is a number or a switch is decided by the setting, not by YAML: so `no` is a language, `0123`
keeps its zero, and a value means the same in the file, in the environment and in `secrets.yaml`.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from voicenode.errors import ErrorCode, SetupError
from voicenode.settings.keys import Path as KeyPath
from voicenode.settings.layers import Given, Layer, Value

_NULLS = {"", "~", "null", "Null", "NULL"}
_STANDARD = "tag:yaml.org,2002:"
_TEXT, _LIST, _MAP = (_STANDARD + kind for kind in ("str", "seq", "map"))
_TOP = yaml.Mark("", 0, 0, 0, None, 0)


def read(path: Path) -> Layer:
    """What the file at `path` gives, each value with its file and line.

    Raises:
        SetupError: the file cannot be read, or is not the YAML that is allowed here.
    """
    return _Document(path, _Secrets(path.with_name("secrets.yaml"))).layer()


class SecretText(str):
    """A value from `secrets.yaml`, which no message shows."""

    __slots__ = ("name",)
    name: str

    def __repr__(self) -> str:
        return f"!secret {self.name}"


def secrets_in(value: Value) -> list[SecretText]:
    """The secrets that `value` is or, a list, holds."""
    if isinstance(value, list):
        return [secret for item in value for secret in secrets_in(item)]
    return [value] if isinstance(value, SecretText) else []


class _Secrets:
    """The secrets beside a settings file, read when the first one is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> SecretText | None:
        if name not in self._values:
            return None
        secret = SecretText(self._values[name])
        secret.name = name
        return secret

    def missing(self, name: str) -> str:
        """Says why there is no secret `name`."""
        return f"!secret {name} is not in {self.path}" + (
            "" if self.path.exists() else ", which does not exist"
        )

    @cached_property
    def _values(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        layer = _Document(self.path, secrets=None).layer()
        return {
            path[0]: given.value
            for path, given in layer.items()
            if len(path) == 1 and isinstance(given.value, str)
        }


class _Document:
    """One file; without `secrets` it holds secrets itself, and its errors show nothing of what it says."""

    def __init__(self, path: Path, secrets: _Secrets | None) -> None:
        self.path = path
        self.secrets = secrets

    def layer(self) -> Layer:
        root = self._compose(self._text())
        if root is None or self._is_null(root):
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise self._error(root.start_mark, "expected keys and values at the top")
        return dict(self._leaves(root, ()))

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise _bad_settings(f"{self.path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise _bad_settings(f"{self.path}: is not UTF-8 text: byte {error.start} is wrong") from None

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            return yaml.compose(text, _Loader)
        except yaml.MarkedYAMLError as error:
            problem = error.problem or "not YAML"
            full = f"{error.context}, {problem}" if problem.startswith("but ") else problem
            raise self._error(error.problem_mark or _TOP, full) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position)
            column = error.position - text.rfind("\n", 0, error.position) - 1
            mark = yaml.Mark(str(self.path), 0, line, column, None, 0)
            raise self._error(mark, f"the character {chr(error.character)!r} is not allowed") from None
        except RecursionError:
            raise self._error(_TOP, "too deeply nested") from None

    def _leaves(self, node: yaml.MappingNode, above: KeyPath) -> Iterator[tuple[KeyPath, Given]]:
        for key, value in self._pairs(node):
            path = (*above, key.value)
            if isinstance(value, yaml.MappingNode) and value.value:
                yield from self._leaves(value, path)
            else:
                yield path, Given(self._value(value), f"{self.path}:{key.start_mark.line + 1}")

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        self._check_tag(node, _MAP)
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key.start_mark, "expected a name before the colon")
            self._check_tag(key, _TEXT)
            if line := first.get(key.value):
                raise self._error(key.start_mark, f"{key.value!r} stands here again, after line {line}")
            first[key.value] = key.start_mark.line + 1
            yield key, value

    def _value(self, node: yaml.Node) -> Value:
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, _LIST)
            return [self._value(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {key.value: self._value(value) for key, value in self._pairs(node)}
        if node.tag == "!secret" and self.secrets:
            return self._secret(node, self.secrets)
        self._check_tag(node, _TEXT)
        return None if self._is_null(node) else node.value

    def _secret(self, node: yaml.Node, secrets: _Secrets) -> SecretText:
        secret = secrets.get(node.value)
        if secret is None:
            raise self._error(node.start_mark, secrets.missing(node.value))
        return secret

    def _check_tag(self, node: yaml.Node, expected: str) -> None:
        if node.tag != expected:
            raise self._error(
                node.start_mark,
                f"the tag {node.tag.replace(_STANDARD, '!!')} is not allowed; only !secret NAME is",
            )

    def _is_null(self, node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NULLS

    def _error(self, mark: yaml.Mark, problem: str) -> SetupError:
        if not self.secrets:
            problem = "not a name and its value; a value with special characters needs quotes"
        return _bad_settings(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {problem}")


class _Loader(yaml.BaseLoader):
    """Composes nodes, never objects; without aliases a small file stays small."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401  as PyYAML
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed", problem_mark=self.current_event.start_mark
            )
        return super().compose_node(parent, index)


def _bad_settings(line: str) -> SetupError:
    return SetupError(ErrorCode.BAD_SETTINGS, line)
