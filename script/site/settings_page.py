"""Makes docs/settings.md of the settings' own classes and their docstrings."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from voicenode.settings import EngineSettings, Settings, load
from voicenode.workers.registry import engine_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
HEAD = """\
# Settings

<!-- Made by `script/docs` of the settings' own classes: change those, and run it. -->

Every key, its default and what it means. Your own file holds only what you change:
`~/.config/voicenode/voicenode.yaml` or `/etc/voicenode/voicenode.yaml`, or the one that `--config` or
`VOICENODE_CONFIG` names. The environment wins over it: `VOICENODE_LOG__LEVEL=debug` is `log.level`, and
lists and maps are written as JSON there. What is secret stands in `secrets.yaml` beside the file, as
`!secret NAME`.

`voicenode check-config` tells what holds on your machine, and where each value comes from. A key that does
not exist is an error, which also tells of a file that was written for a later version.
"""


def field_docs(owner: type) -> dict[str, str]:
    """The docstring under each field of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for the type checker
    return {
        field.target.id: " ".join(str(doc.value.value).split())
        for field, doc in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
    }


def section_docs(section: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """The dotted path of each key and what it means; a section comes before what it holds."""
    docs = field_docs(section)
    for name, field in section.model_fields.items():
        kind = field.annotation
        inner = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        yield above + name, (inner.__doc__ or "" if inner else docs[name])
        if inner:
            yield from section_docs(inner, f"{above}{name}.")


def engine_docs(name: str, path: str) -> Iterator[tuple[str, str]]:
    """The same of an engine, given as `module:Class`."""
    engine = engine_class(path)
    yield f"engines.{name}", f"{engine.info.description}."
    docs = field_docs(EngineSettings) | field_docs(engine.options_type)
    yield from ((f"engines.{name}.{key}", doc) for key, doc in docs.items())


def render() -> str:
    """The page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    engines = project["entry-points"]["voicenode.engines"]
    docs = dict(section_docs(Settings))
    for name, path in engines.items():
        docs |= engine_docs(name, path)
    of_this_machine = {"data_dir": None, "text.lexicon": None}
    defaults = {**load(Path("/dev/null"), {}, {}, engines).values, **of_this_machine}
    return "\n".join([HEAD, *_page(docs, defaults)])


def _page(docs: Mapping[str, str], defaults: Mapping[str, Any]) -> Iterator[str]:
    sections = [path for path in docs if any(other.startswith(f"{path}.") for other in docs)]
    yield from _table([path for path in docs if "." not in path and path not in sections], docs, defaults)
    for section in sections:
        inner = [path for path in docs if path.rpartition(".")[0] == section and path not in sections]
        yield f"## `{section}`\n\n{docs[section]}\n"
        if inner:
            yield from _table(inner, docs, defaults)


def _table(paths: list[str], docs: Mapping[str, str], defaults: Mapping[str, Any]) -> Iterator[str]:
    yield "| Key | Default | Meaning |\n|---|---|---|"
    for path in paths:
        default = json.dumps(defaults[path], ensure_ascii=False)
        yield f"| `{path}` | `{default}` | {docs[path].replace('|', '&#124;')} |"
    yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
