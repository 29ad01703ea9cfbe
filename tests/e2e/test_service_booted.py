"""`voicenode service` on a Debian 12 that was really booted; only with --long, for it takes minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.machine import Machine, booted, debian, what_is_missing
from tests.support.wheels import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = "voicenode.service"
EXPOSURE = 1.5

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def machine(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that knows voicenode only by `voicenode service install`."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("boots a Debian, which takes minutes: only with --long")
    if missing := what_is_missing():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("machine")
    tree = debian(Path(str(pytestconfig.cache.mkdir("debian"))))
    with booted(tree, folder / "console", wheels=wheels(folder)) as machine:
        machine.run("python3 -m venv /root/venv")
        machine.run("/root/venv/bin/pip install --quiet --no-index --find-links /wheels voicenode")
        machine.run(
            "PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels /root/venv/bin/voicenode service install; rm -r /root/venv"
        )
        yield machine


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The machine, its service running anew."""
    machine.run(f"systemctl daemon-reload; systemctl reset-failed {UNIT}; systemctl restart {UNIT}")
    return machine


def shown(machine: Machine, *properties: str) -> dict[str, str]:
    """Properties of the service."""
    said = machine.run(f"systemctl show {UNIT} --property={','.join(properties)}")
    return dict(line.split("=", 1) for line in said.splitlines())


def test_an_installed_service_is_ready_and_speaks_as_a_user_of_its_own(service: Machine) -> None:
    assert shown(service, "ActiveState", "User") == {"ActiveState": "active", "User": "voicenode"}
    service.run("voicenode health; voicenode say --output /tmp/hello.wav Hello; test -s /tmp/hello.wav")
    assert service.run("stat --format '%U %a' /var/lib/voicenode/node-id") == "voicenode 600"


def test_its_status_is_told(service: Machine) -> None:
    assert "active" in service.run("voicenode service status")


def test_it_starts_with_the_machine(service: Machine) -> None:
    assert service.run(f"systemctl is-enabled {UNIT}") == "enabled"


def test_a_node_that_hangs_is_restarted_by_the_watchdog(service: Machine) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.d"
    service.run(f"mkdir -p {drop_in}; printf '[Service]\\nWatchdogSec=2\\n' >{drop_in}/watchdog.conf")
    service.run(f"systemctl daemon-reload; systemctl restart {UNIT}")
    hung = shown(service, "MainPID")
    service.run(f"systemctl kill --signal=STOP --kill-whom=main {UNIT}")
    service.wait_until(f"systemctl show {UNIT} --property=NRestarts --value", "1")
    service.wait_until(f"systemctl is-active {UNIT}", "active")
    assert shown(service, "MainPID") != hung
    assert "Watchdog timeout" in service.run(f"journalctl --no-pager --unit {UNIT}")
    service.run(f"rm -r {drop_in}; voicenode health")


def test_it_stops_cleanly(service: Machine) -> None:
    service.run(f"voicenode say --output /tmp/hello.wav Hello; systemctl stop {UNIT}")
    assert shown(service, "ActiveState", "Result", "ExecMainStatus") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
    }
    assert "Traceback" not in service.run(f"journalctl --no-pager --unit {UNIT}")


def test_wrong_settings_are_told_once_and_not_tried_again(service: Machine) -> None:
    settings = "/etc/voicenode/voicenode.yaml"
    service.run(f"cp --preserve {settings} /root/kept; echo 'colour: blue' >>{settings}")
    assert service.attempt(f"systemctl restart {UNIT}").returncode != 0
    assert shown(service, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "2", "NRestarts": "0"}
    assert f"{settings}:4: colour" in service.run(f"journalctl --no-pager --unit {UNIT}")
    service.run(f"cp --preserve /root/kept {settings}")


def test_it_sees_the_proc_that_torch_needs_and_no_home(service: Machine) -> None:
    seen = f"/proc/{shown(service, 'MainPID')['MainPID']}/root"
    service.run(f"grep -q processor {seen}/proc/cpuinfo; grep -q MemTotal {seen}/proc/meminfo")
    assert service.run(f"ls {seen}/root {seen}/home") == f"{seen}/home:\n\n{seen}/root:"
    assert service.attempt(f"touch {seen}/etc/voicenode/x").returncode != 0


def test_it_is_exposed_no_more_than_promised(service: Machine) -> None:
    said = service.run(f"systemd-analyze security {UNIT} | tail -n 1; systemd-analyze verify {UNIT}")
    assert float(said.split(":")[1].split()[0]) <= EXPOSURE, said


def test_what_is_removed_leaves_settings_and_data(machine: Machine) -> None:
    machine.run("voicenode service remove")
    assert machine.attempt(f"systemctl cat {UNIT}").returncode != 0
    machine.run("test ! -e /opt/voicenode; test ! -L /usr/local/bin/voicenode")
    machine.run("test -e /etc/voicenode/voicenode.yaml; test -e /var/lib/voicenode/node-id")
