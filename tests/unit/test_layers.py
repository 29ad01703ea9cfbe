"""Imports point down, so that each part can be understood, tested and started without those above it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Layer:
    """Parts of voicenode that may import every layer below them."""

    parts: frozenset[str]
    siblings: bool
    """Whether one part of the layer may import another."""


def layer(parts: str, *, siblings: bool = True) -> Layer:
    return Layer(frozenset(parts.split()), siblings)


LAYERS = [
    layer(
        "cli app node parts availability control lan inline logs signals systemd watchdog doctor models "
        "service settings speech_to_text"
    ),
    layer("transports.wyoming transports.http transports.mdns transports.mqtt", siblings=False),
    layer("jobs cloning health runtime"),
    layer("processor"),
    layer("transcription"),
    layer("cast manuscript quality recordings"),
    layer("workers stores encoding client identity", siblings=False),
    layer(
        "voice voices words text framing engine guard audio breaker buffer report metrics request sockets "
        "gpu usage child"
    ),
    layer("errors"),
]

ENGINES_MAY_IMPORT = {"voicenode.engine", "voicenode.guard", "voicenode.audio", "voicenode.errors"}
LIGHT = {"annotated_types", *sys.stdlib_module_names}
"""What an engine may import before it is loaded."""


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"there is no code in {folder}"
    return [path.relative_to(ROOT / folder) for path in found]


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """The modules that a file imports; `deferred` says whether those count that do not run with the file."""
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            assert node.module
            yield from imported_from(node.module, [alias.name for alias in node.names])
        elif deferred or not is_deferred(node):
            nodes += ast.iter_child_nodes(node)


def is_deferred(node: ast.AST) -> bool:
    """Whether the inside of a statement does not run when its file is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def imported_from(module: str, names: list[str]) -> Iterator[str]:
    """`from package import module` names a module, `from module import name` does not."""
    submodules = [name for name in names if (ROOT / module.replace(".", "/") / f"{name}.py").exists()]
    yield from (f"{module}.{name}" for name in submodules)
    if len(submodules) < len(names):
        yield module


def position(module: str) -> tuple[int, str] | None:
    """The index of a module's layer and the part that it belongs to; None for voicenode itself."""
    inside = module.removeprefix("voicenode").removeprefix(".")
    for index, one in enumerate(LAYERS):
        for part in one.parts:
            if f"{inside}.".startswith(f"{part}."):
                return index, part
    if inside in {"", "transports", "__main__"}:
        return None
    raise AssertionError(f"{module} has no layer: give it one in the table of this test")


def may_import(importer: str, imported: str) -> bool:
    above, below = position(importer), position(imported)
    if above is None or below is None or above[1] == below[1]:
        return True
    if above[0] == below[0]:
        return LAYERS[above[0]].siblings
    return above[0] < below[0]


@pytest.mark.parametrize("path", modules("voicenode"), ids=str)
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    module = dotted("voicenode" / path)
    ours = {name for name in imports(ROOT / "voicenode" / path) if name.split(".")[0] == "voicenode"}
    assert {name for name in ours if not may_import(module, name)} == set()


@pytest.mark.parametrize("path", modules("engines"), ids=str)
def test_an_engine_imports_nothing_of_voicenode_but_its_contract(path: Path) -> None:
    ours = {name for name in imports(ROOT / "engines" / path) if name.split(".")[0] == "voicenode"}
    assert ours <= ENGINES_MAY_IMPORT


@pytest.mark.parametrize("engine", sorted({path.parts[0] for path in modules("engines")}))
def test_an_engine_imports_heavy_libraries_only_when_it_loads(engine: str) -> None:
    """A module of an engine may be heavy, where no module that comes with the package imports it."""
    files = {dotted(path): ROOT / "engines" / path for path in modules("engines")}
    waiting, seen = [engine], set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting += {module for module in imports(files[name], deferred=False) if module in files} - seen
    at_once = {module.split(".")[0] for name in seen for module in imports(files[name], deferred=False)}
    assert at_once - LIGHT - {"voicenode", engine} == set()


@pytest.mark.parametrize("module", ["voicenode.engine", "voicenode.framing", "voicenode.workers.worker"])
def test_what_a_worker_starts_with_is_light(module: str) -> None:
    script = f"import sys, {module}; print(*(sys.modules.keys() & {{'pydantic', 'asyncio', 'numpy'}}))"
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert shown.stdout.split() == []


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("voicenode.app", "voicenode.settings.model", True),
        ("voicenode.processor", "voicenode.settings.model", False),
        ("voicenode.transports.mqtt.client", "voicenode.transports.mqtt.messages", True),
        ("voicenode.transports.mqtt.client", "voicenode.transports.http", False),
        ("voicenode.workers.pool", "voicenode.workers.process", True),
        ("voicenode.workers.pool", "voicenode.stores.file", False),
        ("voicenode.errors", "voicenode.audio", False),
    ],
)
def test_the_table_means_what_it_says(importer: str, imported: str, allowed: bool) -> None:  # noqa: FBT001
    assert may_import(importer, imported) is allowed


def test_a_module_that_the_table_does_not_know_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"voicenode\.surprise has no layer"):
        position("voicenode.surprise")
