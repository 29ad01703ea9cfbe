"""The papers of the container agree with the code and with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

import voicenode
from voicenode.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def compose(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text())
    return loaded


def test_the_image_says_the_version_that_is_in_it() -> None:
    assert f'image.version="{voicenode.__version__}"' in DOCKERFILE


def test_the_image_has_what_the_wheel_is_made_of() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    taken = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == taken
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_ports_of_the_image_are_the_node_s() -> None:
    settings = Settings()
    wyoming = settings.wyoming.uri[0].rpartition(":")[2]
    assert f"\nEXPOSE {wyoming} {settings.http.port}\n" in DOCKERFILE


def test_compose_keeps_data_and_brings_others_only_when_asked() -> None:
    services = compose("compose.yaml")["services"]
    assert [name for name, service in services.items() if "profiles" not in service] == ["voicenode"]
    assert "data:/data" in services["voicenode"]["volumes"]
    strangers = {service["image"] for name, service in services.items() if name != "voicenode"}
    assert all(re.fullmatch(r"[a-z-]+:\d+\.\d+", image) for image in strangers)


def test_compose_reserves_a_gpu_only_where_it_is_asked_to() -> None:
    (device,) = compose("compose.gpu.yaml")["services"]["voicenode"]["deploy"]["resources"]["reservations"][
        "devices"
    ]
    assert device["capabilities"] == ["gpu"]
    assert "deploy" not in compose("compose.yaml")["services"]["voicenode"]
