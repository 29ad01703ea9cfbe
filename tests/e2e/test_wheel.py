"""What people install who do not run from a checkout."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

import voicenode

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel, built by way of the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=240)
    with ZipFile(folder / f"voicenode-{voicenode.__version__}-py3-none-any.whl") as archive:
        yield archive


def test_the_wheel_holds_the_code_and_nothing_else(wheel: ZipFile) -> None:
    engines = {path.name for path in (ROOT / "engines").glob("voicenode_*")}
    dist_info = f"voicenode-{voicenode.__version__}.dist-info"
    assert {name.split("/")[0] for name in wheel.namelist()} == {"voicenode", dist_info, *engines}


def test_every_module_that_the_wheel_announces_is_in_it(wheel: ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    announced = [*project["scripts"].values(), *project["entry-points"]["voicenode.engines"].values()]
    paths = {target.partition(":")[0].replace(".", "/") for target in announced}
    assert {
        path for path in paths if not {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist())
    } == set()
