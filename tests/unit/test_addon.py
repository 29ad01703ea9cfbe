"""The Home Assistant add-on: what the supervisor reads, and what its scripts do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import voicenode
from tests.support.addon_schema import OPTION, AddonConfig, BuildConfig
from voicenode.settings import load

ADDON = Path(__file__).parents[2] / "addon"
SERVICES = ADDON / "rootfs/etc/s6-overlay/s6-rc.d"
CONFIG = yaml.safe_load((ADDON / "config.yaml").read_text())
OPTIONS = {"name": "Kitchen", "log_level": "debug", "mqtt": "true", "default_voice": "espeak-de"}
MQTT = {"host": "core-mosquitto", "port": "1883", "username": "addons", "password": "secret", "ssl": "false"}

BASHIO = """
bashio::config() { eval "echo \\$option_$1"; }
bashio::config.has_value() { [[ -n "$(bashio::config "$1")" ]]; }
bashio::config.true() { [[ "$(bashio::config "$1")" == true ]]; }
bashio::services.available() { [[ -n "${broker_host:-}" ]]; }
bashio::services() { eval "echo \\$broker_$2"; }
bashio::addon.port() { echo 10201; }
bashio::network.ipv4_address() { echo 192.168.1.20/24; }
bashio::log.warning() { echo "$@" >&2; }
mkdir() { :; }
chown() { :; }
exec() { echo "$@"; env; }
"""
"""What the base image brings, as far as the script uses it, and no changes to this machine."""


def environment(options: dict[str, str], broker: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The command that the node's script becomes, and the variables of voicenode that it is given."""
    given = {f"option_{name}": value for name, value in options.items()}
    given |= {f"broker_{name}": value for name, value in broker.items()}
    script = f"{BASHIO}\nsource {SERVICES / 'voicenode/run'}"
    done = subprocess.run(
        ["bash", "-euc", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **given},
    )
    command, *lines = done.stdout.splitlines()
    return command, dict(line.split("=", 1) for line in lines if line.startswith("VOICENODE_"))


def config(**changes: Any) -> AddonConfig:  # noqa: ANN401 - any YAML
    return AddonConfig.model_validate(CONFIG | changes)


def test_the_supervisor_takes_what_it_is_told() -> None:
    assert config().missing_options() == set()
    BuildConfig.model_validate(yaml.safe_load((ADDON / "build.yaml").read_text()))


@pytest.mark.parametrize(
    "changes", [{"arch": []}, {"services": ["mqtt"]}, {"ports": {"10200": "x"}}, {"colour": 1}]
)
def test_what_the_supervisor_would_not_take_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        config(**changes)


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        ("str?", True),
        ("str(1,50)", True),
        ("list(a|b)", True),
        ("int(0,)?", True),
        ("text", False),
        ("list()", False),
    ],
)
def test_the_types_of_options_are_those_of_the_supervisor(kind: str, good: bool) -> None:  # noqa: FBT001
    assert bool(OPTION.fullmatch(kind)) is good


def test_it_is_this_version() -> None:
    assert config().version == voicenode.__version__
    assert f"voicenode=={voicenode.__version__}" in (ADDON / "Dockerfile").read_text()
    assert f"## {voicenode.__version__}\n" in (ADDON / "CHANGELOG.md").read_text()


def test_every_option_and_every_port_is_explained() -> None:
    told = yaml.safe_load((ADDON / "translations/en.yaml").read_text())
    assert told["configuration"].keys() == config().schema_.keys()
    assert told["network"] == config().ports_description
    docs = (ADDON / "DOCS.md").read_text()
    assert [each["name"] for each in told["configuration"].values() if f"*{each['name']}*" not in docs] == []


def test_its_pictures_have_the_sizes_that_the_store_wants() -> None:
    sizes = {}
    for name in ("icon", "logo"):
        with Image.open(ADDON / f"{name}.png") as image:
            sizes[name] = image.size
    assert sizes == {"icon": (128, 128), "logo": (250, 100)}


def test_the_options_become_good_settings_of_the_node(tmp_path: Path) -> None:
    command, variables = environment(OPTIONS, MQTT)
    assert command == "s6-setuidgid voicenode voicenode serve"
    (tmp_path / "voicenode.yaml").touch()
    engines = {"espeak": "voicenode_espeak:EspeakEngine"}
    settings = load(tmp_path / "voicenode.yaml", {}, variables, engines).settings
    assert (settings.name, settings.default_voice, settings.log.level) == ("Kitchen", "espeak-de", "debug")
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.username) == (
        "core-mosquitto",
        1883,
        "addons",
    )
    assert settings.mqtt.password
    assert settings.mqtt.password.get_secret_value() == "secret"
    assert not settings.mqtt.tls.enabled
    assert settings.http.public_url == "http://192.168.1.20:10201"
    assert not settings.mdns.enabled


@pytest.mark.parametrize(("options", "broker"), [({"mqtt": "false"}, MQTT), ({}, {})])
def test_without_a_broker_or_a_wish_for_it_there_is_no_mqtt(
    options: dict[str, str], broker: dict[str, str]
) -> None:
    _, variables = environment(OPTIONS | options, broker)
    assert [name for name in variables if "MQTT" in name or "HTTP" in name] == []


def test_every_script_can_be_run_by_s6() -> None:
    for name in ("voicenode/run", "voicenode/finish", "discovery/run"):
        assert (SERVICES / name).stat().st_mode & 0o111
        assert (SERVICES / name).read_text().startswith("#!/command/with-contenv bashio\n")
    assert (SERVICES / "discovery/up").read_text().strip() == "/" + str(
        (SERVICES / "discovery/run").relative_to(ADDON / "rootfs")
    )
    assert {path.name for path in (SERVICES / "user/contents.d").iterdir()} == {"voicenode", "discovery"}
