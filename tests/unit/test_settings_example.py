"""`config/` says what the code says."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from voicenode.settings import EngineSettings, Settings, load
from voicenode.text import Lexicon
from voicenode.workers.registry import engine_class

CONFIG = Path(__file__).parents[2] / "config"
ENGINES = {"espeak": "voicenode_espeak:EspeakEngine"}


def comments(lines: list[str]) -> dict[str, str]:
    """Dotted path of each key of a YAML file -> the comment above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    comment = ""
    for line in filter(None, lines):
        indent = (len(line) - len(line.lstrip())) // 2
        if line.lstrip().startswith("#"):
            comment = line.lstrip(" #")
        else:
            above[indent:] = [line.split(":")[0].strip()]
            found[".".join(above)], comment = comment, ""
    return found


def field_docs(owner: type) -> dict[str, str]:
    """The docstring under each field of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: str(doc.value.value)
        for field, doc in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
    }


def section_docs(section: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    docs = field_docs(section)
    for name, field in section.model_fields.items():
        kind = field.annotation
        inner = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        yield above + name, (inner.__doc__ or "" if inner else docs[name])
        if inner:
            yield from section_docs(inner, f"{above}{name}.")


def engine_docs(name: str, path: str) -> Iterator[tuple[str, str]]:
    engine = engine_class(path)
    yield f"engines.{name}", f"{engine.info.description}."
    docs = field_docs(EngineSettings) | field_docs(engine.options_type)
    yield from ((f"engines.{name}.{key}", doc) for key, doc in docs.items())


def test_the_example_holds_every_default(tmp_path: Path) -> None:
    (tmp_path / "voicenode.yaml").touch()
    example, defaults = (
        load(folder / "voicenode.yaml", {"text.lexicon": "/lexicon"}, {}, ENGINES)
        for folder in (CONFIG, tmp_path)
    )
    assert example.values == defaults.values


def test_the_example_holds_every_key_and_what_it_means() -> None:
    docs = dict(section_docs(Settings))
    for name, path in ENGINES.items():
        docs |= engine_docs(name, path)
    text = (CONFIG / "voicenode.yaml").read_text()
    assert comments(text.partition("\n\n")[2].splitlines()) == docs


def test_the_lexicon_beside_the_example_is_found_and_can_be_read() -> None:
    lexicon = load(CONFIG / "voicenode.yaml", {}, {}, ENGINES).settings.text.lexicon
    assert lexicon
    assert Lexicon.read(lexicon).apply("The HVAC is on.", "en-US") == "The H vac is on."
