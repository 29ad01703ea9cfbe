"""script/run and its kin, on a copy of this checkout with a stand-in for the program itself."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, copy_checkout

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

PROGRAM = """
import os, signal, sys
def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
    print(os.getpid(), os.getcwd(), *sys.argv[1:], flush=True)
    if sys.argv[1] == "wait":
        signal.pause()
    sys.exit(7)
"""

OFFLINE = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:9"}

TOOLS = "sh readlink dirname cat sha256sum cut grep flock rm"
"""All that the scripts use of a system, Python and apt-get aside."""

Result = subprocess.CompletedProcess[str]


def with_stand_in(checkout: Path) -> Path:
    """The same checkout, in which `voicenode` is `PROGRAM`."""
    (checkout / "stand_in.py").write_text(PROGRAM)
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"voicenode.__main__:main"', '"stand_in:main"'))
    return checkout


def start(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] = OFFLINE) -> Result:
    return subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that is set up: two first set-ups came at the same time."""
    copy = with_stand_in(copy_checkout(tmp_path_factory.mktemp("first") / "checkout"))
    both = [start(copy / "script/run", "hello"), start(copy / "script/run", "hello")]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [7, 7], said
    assert sum("making .venv" in stderr for _, stderr in said) == 1, said
    return copy


def kill_set_up(copy: Path, when: str) -> str:
    """Start a set-up, kill it and its children when it says `when`, and return what it said until then."""
    said = ""
    with subprocess.Popen(
        [copy / "script/setup"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr
        while when not in said:
            said += process.stderr.readline() or pytest.fail(f"the set-up ended early: {said}")
        os.killpg(process.pid, signal.SIGKILL)
    return said


def change(checkout: Path) -> None:
    with (checkout / "constraints.txt").open("a") as constraints:
        constraints.write("# changed\n")


@pytest.fixture
def bare_system(tmp_path: Path) -> Path:
    """A PATH on which nothing is but what the scripts use; `add` puts a program there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS.split():
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


def add(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_first_run_installs_the_exact_versions_and_serves(checkout: Path) -> None:
    frozen = run(checkout / ".venv/bin/python", "-m", "pip", "freeze", "--exclude-editable").stdout.split()
    exact = {line.split(" ;")[0] for line in (checkout / "constraints.txt").read_text().splitlines()}
    assert frozen
    assert {line for line in map(str.lower, frozen) if line.replace("_", "-") not in exact} == set()


def test_an_unchanged_checkout_starts_at_once_without_a_network(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "voicenode"
    link.symlink_to(checkout / "script/run")
    result = run(link, cwd=tmp_path)
    assert result.stdout.split()[1:] == [str(tmp_path), "serve"]
    assert (result.returncode, result.stderr) == (7, "")


def test_arguments_arrive_as_they_were_given(checkout: Path, tmp_path: Path) -> None:
    result = run(checkout / "script/run", "say", "two  words", "*", cwd=tmp_path)
    assert result.stdout.endswith("say two  words *\n")


def test_the_program_takes_the_place_of_the_script(checkout: Path) -> None:
    with start(checkout / "script/run", "wait") as process:
        assert process.stdout
        assert process.stdout.readline().split()[0] == str(process.pid)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 42


def test_a_changed_project_is_installed_again_into_the_same_venv(checkout: Path) -> None:
    change(checkout)
    result = run(checkout / "script/run", "hello", env={})
    assert result.returncode == 7
    assert "installing packages" in result.stderr
    assert "making .venv" not in result.stderr


def test_a_failed_installation_says_so_and_leaves_the_venv_for_the_next_try(checkout: Path) -> None:
    pyproject = checkout / "pyproject.toml"
    original = pyproject.read_text()
    pyproject.write_text(original.replace("dependencies = [", 'dependencies = ["voicenode-lacks-this",', 1))
    result = run(checkout / "script/run", "hello")
    assert result.returncode == 1
    assert result.stderr.endswith("set-up: packages could not be installed; the lines above say why\n")
    pyproject.write_text(original)
    assert "making .venv" not in run(checkout / "script/run", "hello", env={}).stderr


def test_a_checkout_that_was_moved_gets_a_new_venv(checkout: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(checkout, tmp_path / "moved", symlinks=True, copy_function=os.link)
    assert kill_set_up(moved, when="making .venv")


def test_an_installation_that_was_killed_is_begun_anew(checkout: Path) -> None:
    change(checkout)  # the last test that uses the copy: it leaves it half made
    assert "making .venv" not in kill_set_up(checkout, when="installing packages")
    assert kill_set_up(checkout, when="making .venv")


def test_an_old_python_is_one_clear_line(tmp_path: Path, bare_system: Path) -> None:
    add(bare_system, "python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    result = run(copy_checkout(tmp_path / "checkout") / "script/run", env={"PATH": str(bare_system)})
    assert result.returncode == 1
    assert result.stderr == (
        "set-up: Python 3.11 or newer is needed, and this is Python 3.9.2; "
        "install one, on Debian 12 or newer with: apt-get install python3\n"
    )


@pytest.fixture
def without_venv(bare_system: Path) -> Path:
    """The same system with a Python that has no ensurepip, as Debian's without python3-venv."""
    add(bare_system, "python3", f'case "$*" in *ensurepip*) exit 1 ;; esac; exec {sys.executable} "$@"')
    return bare_system


def test_a_missing_python_package_is_named_to_a_user(tmp_path: Path, without_venv: Path) -> None:
    add(without_venv, "id", "echo 1000")
    result = run(copy_checkout(tmp_path / "checkout") / "script/run", env={"PATH": str(without_venv)})
    assert result.returncode == 1
    assert result.stderr == (
        f"set-up: missing: python{PYTHON}-venv; "
        f"run: sudo apt-get install --yes --no-install-recommends python{PYTHON}-venv\n"
    )


def test_a_missing_python_package_is_installed_by_root(tmp_path: Path, without_venv: Path) -> None:
    add(without_venv, "id", "echo 0")
    add(without_venv, "apt-get", f'echo "$@" >>{tmp_path}/asked; exit 1')
    result = run(copy_checkout(tmp_path / "checkout") / "script/run", env={"PATH": str(without_venv)})
    install = f"install --yes --no-install-recommends python{PYTHON}-venv"
    assert (tmp_path / "asked").read_text().splitlines() == [install, "update"]
    assert result.returncode == 1
    assert result.stderr.endswith(f"set-up: apt-get {install} failed; the lines above say why\n")


def test_missing_servers_fail_the_tests_and_are_named(tmp_path: Path, bare_system: Path) -> None:
    add(bare_system, "id", "echo 1000")
    result = run(copy_checkout(tmp_path / "checkout") / "script/test", env={"PATH": str(bare_system)})
    assert result.returncode == 1
    assert result.stderr.startswith("set-up: missing: ")
    assert result.stderr.endswith("mosquitto-clients redis-server\n")


def test_a_machine_without_python_is_told_how_to_get_one(tmp_path: Path, bare_system: Path) -> None:
    result = run(copy_checkout(tmp_path / "checkout") / "script/run", env={"PATH": str(bare_system)})
    assert result.returncode == 1
    assert result.stderr == (
        "set-up: Python 3.11 or newer is needed, and there is none; "
        "install one, on Debian 12 or newer with: apt-get install python3\n"
    )
