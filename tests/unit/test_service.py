"""What `voicenode service` would do, and each kind of step done for real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from voicenode.errors import SetupError
from voicenode.service import Place, installation, removal
from voicenode.service.places import template
from voicenode.service.steps import Link, Remove, Run, Write

UNITS = Path(__file__).parents[2] / "systemd"
EXPOSURE = {"with a GPU": 2.0, "without a GPU": 1.5}


def told(place: Place) -> str:
    return "\n".join(map(str, installation(place)))


def test_the_machine_s_service_needs_nothing_of_a_home(tmp_path: Path) -> None:
    place = Place.machine(tmp_path)
    said = told(place)
    assert re.search(rf"^run /\S+ -m venv {place.environment}$", said, re.MULTILINE)
    assert f"write {place.unit}" in said
    assert said.splitlines()[-1] == "run systemctl restart voicenode.service"
    assert "--user" not in said


def test_a_user_s_service_needs_no_root(tmp_path: Path) -> None:
    said = told(Place.user(tmp_path))
    assert "sysusers" not in said
    assert said.splitlines()[-1] == "run systemctl --user restart voicenode.service"
    written = re.findall(r"^(?:write|link|remove) (\S+)", said, re.MULTILINE)
    assert [path for path in written if not path.startswith(str(tmp_path))] == []


def test_settings_that_are_there_are_kept(tmp_path: Path) -> None:
    place = Place.user(tmp_path)
    assert f"write {place.settings}" in told(place)
    place.settings.parent.mkdir(parents=True)
    place.settings.touch()
    assert f"write {place.settings}" not in told(place)


def test_a_removal_leaves_settings_and_data(tmp_path: Path) -> None:
    place = Place.machine(tmp_path)
    removed = {step.path for step in removal(place) if isinstance(step, Remove)}
    assert removed == {place.unit, place.without_gpu, place.environment}


def test_a_place_and_its_unit_agree_where_the_program_is(tmp_path: Path) -> None:
    assert f"ExecStart={Place.machine().environment}/bin/voicenode serve" in template("voicenode.service")
    environment = Place.user(tmp_path).environment.relative_to(tmp_path)
    assert f"ExecStart=%h/{environment}/bin/voicenode serve" in template("voicenode-user.service")
    assert str(Place.machine().data) in template("voicenode.sysusers.conf")


def test_a_file_is_written_with_its_folders_and_its_mode(tmp_path: Path) -> None:
    step = Write(tmp_path / "new/secret", "text", 0o640)
    step.do()
    step.do()
    assert (step.path.read_text(), step.path.stat().st_mode & 0o777) == ("text", 0o640)


def test_a_link_takes_the_place_of_a_link_but_of_no_file(tmp_path: Path) -> None:
    Link(tmp_path / "link", tmp_path / "old").do()
    Link(tmp_path / "link", tmp_path / "new").do()
    assert (tmp_path / "link").readlink() == tmp_path / "new"
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"could not link .*/file to .*: File exists"):
        Link(tmp_path / "file", tmp_path / "new").do()


def test_what_is_not_there_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    for _ in range(2):
        Remove(tmp_path / "folder").do()
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_shown_with_what_it_said_and_what_to_do() -> None:
    with pytest.raises(SetupError, match=r"could not run sh -c 'echo no >&2; exit 3':\nno\nTry again\."):
        Run(["sh", "-c", "echo no >&2; exit 3"], advice="Try again.").do()
    with pytest.raises(SetupError, match=r"none-such: (No such file|Permission denied)"):
        Run(["none-such"]).do()
    Run(["false"], needed=False).do()


@pytest.mark.parametrize("kind", EXPOSURE)
def test_the_unit_is_sound_and_exposed_no_more_than_promised(tmp_path: Path, kind: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here; apt-get install systemd")
    unit = tmp_path / "voicenode.service"
    unit.write_text((UNITS / unit.name).read_text().replace("/opt/voicenode/bin/voicenode", sys.executable))
    if kind == "without a GPU":
        (tmp_path / "voicenode.service.d").mkdir()
        shutil.copy(UNITS / "no-gpu.conf", tmp_path / "voicenode.service.d")
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, text=True
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", str(unit)]
    exposure = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    assert float(exposure.split(":")[1].split()[0]) <= EXPOSURE[kind], exposure
