"""A pickle can run code, so nothing that came from elsewhere is read as one without limits."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ASKED_BY_THE_NODE = {"voicenode/recordings/__main__.py"}
"""What reads only what the node itself hands it."""
READERS = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def calls(code: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))


def dangers(code: str) -> list[str]:
    """The calls that may run what is in a file."""
    found = []
    for call in calls(code):
        name = ast.unparse(call.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        module, _, function = name.rpartition(".")
        if function == "load" and module == "torch" and keywords.get("weights_only") != "True":
            found.append(ast.unparse(call))
        if function in {"load", "loads", "Unpickler", "open"} and module in READERS:
            found.append(ast.unparse(call))
        if function == "load" and module in {"np", "numpy"} and keywords.get("allow_pickle") == "True":
            found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize("folder", ["voicenode", "engines"])
def test_no_file_is_read_as_a_pickle_without_limits(folder: str) -> None:
    paths = [
        path for path in (ROOT / folder).rglob("*.py") if str(path.relative_to(ROOT)) not in ASKED_BY_THE_NODE
    ]
    assert {str(path): found for path in paths if (found := dangers(path.read_text()))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.loads(data)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_would_read_one_is_found(code: str) -> None:
    assert dangers(code) == [code]
