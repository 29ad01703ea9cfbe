"""The image, built by buildah on a Debian of debootstrap's; only with --long, for it takes minutes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.checkout import copy_checkout
from tests.support.machine import debian, what_is_missing
from tests.support.wheels import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE, IMAGE = "localhost/debian:12", "localhost/voicenode"
MOST_MB = 400
NEEDED = {"debootstrap": "debootstrap", "buildah": "buildah"}
LEFT_OUT = (
    "dev/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
    "var/cache/apt/archives/*.deb",
    "var/cache/apt/*.bin",
    "var/lib/apt/lists/*",
)
"""What Debian's slim images leave out, too."""

pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class Buildah:
    """Images and containers in a folder of their own, without a daemon and without namespaces."""

    folder: Path

    def run(self, *arguments: str) -> str:
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = [
            f"--root={self.folder / 'root'}",
            f"--runroot={self.folder / 'run'}",
            "--storage-driver=vfs",
        ]
        return subprocess.run(
            ["buildah", *places, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def config(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("inspect", "--type=image", IMAGE))
        return dict(told["Docker"]["config"])

    def size(self, image: str) -> int:
        """MB, as people count images."""
        (told,) = json.loads(self.run("images", "--json", image))
        number, unit = re.fullmatch(r"([\d.]+) ([MG])B", told["size"]).groups()  # type: ignore[union-attr]
        return round(float(number) * (1000 if unit == "G" else 1))


@pytest.fixture(scope="module")
def buildah(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """A place with the image that anybody gets who builds it without arguments."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("builds an image, which takes minutes: only with --long")
    if missing := what_is_missing(NEEDED):
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("image")
    buildah = Buildah(folder / "storage")
    tree, tar = debian(Path(str(pytestconfig.cache.mkdir("debian"))), ""), folder / "debian.tar"
    left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
    subprocess.run(["tar", "--create", f"--file={tar}", f"--directory={tree}", *left_out, "."], check=True)
    base = buildah.run("from", "scratch")
    buildah.run("add", base, str(tar), "/")
    buildah.run("commit", "--rm", base, BASE)
    (folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    mounts = [f"--volume={wheels(folder)}:/wheels:ro", f"--volume={folder / 'pip.conf'}:/etc/pip.conf:ro"]
    build = [
        "--isolation=chroot",
        "--network=host",
        "--format=docker",
        "--pull-never",
        f"--build-arg=BASE={BASE}",
    ]
    buildah.run("bud", *build, *mounts, f"--tag={IMAGE}", str(copy_checkout(folder / "checkout")))
    yield buildah
    shutil.rmtree(folder)


def test_it_is_small(buildah: Buildah) -> None:
    sizes = buildah.size(IMAGE), buildah.size(BASE)
    assert sizes[0] <= MOST_MB, f"{sizes[0]} MB, of which Debian {sizes[1]} MB"


def test_it_runs_as_nobody_s_user_and_keeps_what_is_in_data(buildah: Buildah) -> None:
    config = buildah.config()
    assert config["User"] == "10200:10200"
    assert config["Volumes"] == {"/data": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.title"] == "voicenode"


def test_a_container_speaks_and_its_health_check_tells_so(buildah: Buildah) -> None:
    config = buildah.config()
    serve = shlex.join([*config["Entrypoint"], *config["Cmd"], "--no-mdns", "--uri", "tcp://127.0.0.1:10219"])
    assert config["Healthcheck"]["Test"] == ["CMD", "voicenode", "health"]
    health = "voicenode health --node tcp://127.0.0.1:10219"
    script = f"""
        {serve} 2>/data/log & node=$!
        until grep -q ' is ready: ' /data/log; do sleep 0.1; kill -0 $node; done
        {health}
        voicenode say --node tcp://127.0.0.1:10219 --output /data/hello.wav Hello
        kill -{config["StopSignal"].removeprefix("SIG")} $node
        wait $node; echo "status $?"
        if {health}; then echo "still healthy"; fi
        stat --format '%n %U' /data/node-id
    """
    container = buildah.run("from", "--pull-never", IMAGE)
    try:
        said = buildah.run("run", "--isolation=chroot", container, "--", "sh", "-euc", script)
    finally:
        buildah.run("rm", container)
    assert said.splitlines() == ["status 0", "/data/node-id voicenode"]
