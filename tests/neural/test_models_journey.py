"""A download from its first byte to the engine that speaks with it, by the command line."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("huggingface_hub")
pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from tests.support import f5_checkpoints, xtts_checkpoint
from tests.support.hub import Hub
from voicenode.models import MODELS, LocalModel, manifest
from voicenode_xtts import XttsEngine, XttsOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicenode.models.catalogue import ModelName

pytestmark = pytest.mark.neural

LIMIT = 120.0
"""Seconds in which the heavy libraries are imported on a busy machine."""


WEIGHTS = MODELS["f5"].files[0]


@dataclass(frozen=True)
class Node:
    """A data directory, the hub that it is filled from, and the command that does it."""

    data: Path
    hub: Hub
    env: dict[str, str]

    def local(self, name: ModelName) -> LocalModel:
        return LocalModel.of(MODELS[name], self.data)

    def offer(self, name: ModelName, folder: Path) -> None:
        contents = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.hub.publish(MODELS[name], contents)

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "voicenode", "models", *arguments]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=stderr)

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and what was said on stderr."""
        with self.start(*arguments) as process:
            _, said = process.communicate(timeout=LIMIT)
        return process.returncode, said.decode()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    metadata = tmp_path / "engines" / "engines-1.dist-info"  # an installation may be older than an engine
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: engines\nVersion: 1\n")
    engines = "xtts = voicenode_xtts:XttsEngine\nf5 = voicenode_f5:F5Engine\n"
    (metadata / "entry_points.txt").write_text(f"[voicenode.engines]\n{engines}")
    with Hub() as hub:
        env = {
            "HOME": str(tmp_path),
            "PATH": os.defpath,
            "PYTHONPATH": str(metadata.parent),
            "TERM": "xterm",
            "HF_ENDPOINT": hub.url,
            "VOICENODE_DATA_DIR": str(tmp_path / "data"),
        }
        yield Node(tmp_path / "data", hub, env)


def offer_large(node: Node) -> None:
    """F5 with a vocoder that arrives damaged, so that a command ends before an engine loads it."""
    *_, vocoder = (file for file in MODELS["f5"].files)
    contents = {file.path: bytes(1_000_000 if file is WEIGHTS else 100) for file in MODELS["f5"].files}
    node.hub.publish(MODELS["f5"], contents)
    node.hub.damaged = {f"/{vocoder.repository}/resolve/{vocoder.revision}/{vocoder.source}"}


def test_f5_is_downloaded_converted_verified_repaired_and_removed(node: Node, tmp_path: Path) -> None:
    node.offer("f5", f5_checkpoints.make(tmp_path / "published"))
    local = node.local("f5")
    assert node.run("download", "f5", "--accept-license")[0] == 0
    converted = local.root / "vocos-mel-24khz" / "pytorch_model.safetensors"
    made = converted.stat().st_mtime_ns
    assert node.run("verify") == (0, "f5 is whole.\n")
    with local.path(WEIGHTS).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    status, said = node.run("verify")
    assert (status, "F5TTS_v1_Base/model_1250000.safetensors in" in said) == (1, True)
    node.hub.requests.clear()
    assert node.run("download", "f5") == (
        0,
        f"Downloading {WEIGHTS.path} (1.1 MB)\nf5 is ready in {local.root}.\n",
    )
    assert len(node.hub.downloads) == 1
    assert converted.stat().st_mtime_ns == made
    node.hub.requests.clear()
    assert node.run("download", "f5") == (0, f"f5 is ready in {local.root}.\n")
    assert node.hub.requests == []
    assert node.run("remove", "f5", "--yes")[0] == 0
    assert not local.root.exists()


def test_xtts_is_ready_to_speak_after_its_download(node: Node, tmp_path: Path) -> None:
    published = xtts_checkpoint.write(tmp_path)
    (published / "LICENSE.txt").write_text("Coqui Public Model License")
    node.offer("xtts", published)
    status, said = node.run("download", "xtts", "--accept-license")
    assert status == 0, said
    root = node.local("xtts").root
    made = {path.name: path.stat().st_mtime_ns for path in root.glob("*.safetensors")}
    assert made.keys() == {"model.safetensors", "model-int8.safetensors", "speakers_xtts.safetensors"}
    engine = XttsEngine(XttsOptions(path=str(root), device="cpu"))
    engine.load()
    assert len(engine.voices()) == len(xtts_checkpoint.SPEAKERS)
    assert {path.name: path.stat().st_mtime_ns for path in root.glob("*.safetensors")} == made


def test_whisper_needs_neither_a_licence_nor_an_engine(node: Node) -> None:
    model = MODELS["whisper"]
    node.hub.publish(model, {file.path: file.path.encode() for file in model.files})
    root = node.local("whisper").root
    status, said = node.run("download", "whisper")
    assert (status, said.splitlines()[-1]) == (0, f"whisper is ready in {root}.")
    assert "licence" not in said
    assert {path.name for path in root.iterdir()} == {manifest.NAME, *(file.path for file in model.files)}
    assert node.run("verify") == (0, "whisper is whole.\n")
    (root / "model.bin").write_bytes(b"another")
    assert node.run("verify", "whisper")[0] == 1
    node.hub.requests.clear()
    assert node.run("download", "whisper")[0] == 0
    assert len(node.hub.downloads) == 1
    assert node.run("remove", "whisper", "--yes") == (0, "whisper is removed.\n")
    assert not root.exists()


def test_what_the_engine_lacks_is_said_after_the_download(node: Node, tmp_path: Path) -> None:
    (tmp_path / "engines" / "torch.py").write_text("raise ModuleNotFoundError('No module named torch')")
    node.hub.publish(MODELS["f5"], {file.path: b"weights" for file in MODELS["f5"].files})
    for arguments in (("download", "f5", "--accept-license"), ("download", "f5")):
        status, said = node.run(*arguments)
        assert status == 1
        assert "f5 is downloaded and verified, but cannot be used yet: " in said
        assert "pip install voicenode[f5]" in said
    assert node.local("f5").state() == "yes"


def test_a_download_that_is_killed_goes_on_where_it_stopped(node: Node) -> None:
    offer_large(node)
    local = node.local("f5")
    node.hub.hold = 700_000
    with node.start("download", "f5", "--accept-license") as process:
        assert node.hub.held.wait(LIMIT)
        while local.size() < 600_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    node.hub.hold = None
    node.hub.released.set()
    there = local.size()
    assert (local.state(), local.path(WEIGHTS).exists()) == ("partly", False)
    assert node.run("verify", "f5")[0] == 1
    node.hub.requests.clear()
    node.run("download", "f5")
    assert node.hub.downloads[0].range == f"bytes={there}-"
    assert WEIGHTS.path not in local.damaged()


def test_a_terminal_shows_how_far_a_download_is(node: Node) -> None:
    offer_large(node)
    controller, terminal = pty.openpty()
    with node.start("download", "f5", "--accept-license", stderr=terminal):
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 1 << 16):
                shown += piece
        except OSError:  # the other end is closed
            os.close(controller)
    assert b"F5TTS_v1_Base/model_1250000.safetensors" in shown
    assert b"1.0/1.0 MB" in shown
