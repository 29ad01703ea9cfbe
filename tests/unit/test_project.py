"""The project's own papers agree with each other."""

import ast
import importlib.metadata
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

import voicenode

ROOT = Path(__file__).parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def name_of(requirement: str) -> str:
    """The normalised name of what `requirement` asks for."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == voicenode.__version__


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Such as (?:a|b)++: the Python of Debian 12 matches nothing with it (CPython's issue 106052)."""
    for path in chain((ROOT / "voicenode").rglob("*.py"), (ROOT / "engines").rglob("*.py")):
        assert not re.search(r"\)(?:[*+?]|\{[\d,]+\})\+[^+]", path.read_text()), path


def imported(folder: str) -> set[str]:
    """The names of the distributions that the code of a folder imports, voicenode and Python itself aside."""
    statements = [
        node for path in (ROOT / folder).rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
    ]
    modules = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in statements if isinstance(node, ast.ImportFrom)}
    distributions = importlib.metadata.packages_distributions()
    names = {name_of(name) for module in modules for name in distributions.get(module.split(".")[0], [])}
    return names - {"voicenode"}


def test_every_package_that_is_imported_is_a_dependency_of_ours() -> None:
    own, extras = project()["project"]["dependencies"], project()["project"]["optional-dependencies"]
    declared = {name_of(requirement) for requirement in [*own, *chain.from_iterable(extras.values())]}
    part_of_pydantic = {"pydantic-core"}
    assert (imported("voicenode") | imported("engines")) - declared - part_of_pydantic == set()


def test_every_dependency_is_held_at_one_version() -> None:
    wanted = [*project()["project"]["dependencies"], *project()["dependency-groups"]["dev"]]
    held = {name_of(line) for line in constraints()}
    assert {name_of(requirement) for requirement in wanted} - held == set()


def test_constraints_are_names_and_exact_versions() -> None:
    pattern = re.compile(r"[a-z0-9-]+==[0-9a-z.]+( ; .*)?")
    assert [line for line in constraints() if not pattern.fullmatch(line)] == []


def test_every_ruff_rule_that_is_off_has_its_reason() -> None:
    lint = (
        (ROOT / "pyproject.toml")
        .read_text()
        .partition("[tool.ruff.lint]")[2]
        .partition("\n[tool.ruff.lint.py")[0]
    )
    rules = [line for line in lint.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    assert rules
    assert [rule for rule in rules if "  # " not in rule] == []


def test_pre_commit_needs_nothing_from_elsewhere() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}
