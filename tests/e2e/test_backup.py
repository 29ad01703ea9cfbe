"""A node's files, saved and restored as docs/operating.md tells."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from wyoming.client import AsyncClient
from wyoming.event import Event

from tests.support.cloning import recording
from tests.support.daemon import daemon, say
from tests.support.documents import ROOT, blocks
from tests.support.engines.voicenode_tone import spell

if TYPE_CHECKING:
    from pathlib import Path

BACKUP, INSPECTION = [
    block for block in blocks("sh") if block.path == ROOT / "docs/operating.md" and "backup.tar" in block.text
]


def follow(text: str, folder: Path, data: Path) -> None:
    """Run the commands in a folder where `script/run` is this voicenode."""
    (folder / "script").mkdir(exist_ok=True)
    script = folder / "script/run"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m voicenode "$@"\n')
    script.chmod(0o755)
    env = {"HOME": str(folder), "PATH": os.defpath, "VOICENODE_DATA_DIR": str(data)}
    done = subprocess.run(
        ["bash", "-euc", text], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


async def test_the_documented_backup_of_a_running_node_brings_its_voices_and_its_identity_back(
    tmp_path: Path,
) -> None:
    home, data = tmp_path / "node", tmp_path / "node/data"
    with daemon(home) as node:
        async with AsyncClient.from_uri(node.uri) as client:
            await client.write_event(Event("clone-voice", {"name": "Anna"}, recording()))
            answer = await client.read_event()
        assert answer
        assert answer.type == "voice-cloned", answer.data
        before = (await say(node.uri, "Hello", "anna")).audio
        await asyncio.to_thread(follow, BACKUP.text, tmp_path, data)
    identity = (data / "node-id").read_text()
    shutil.rmtree(data)
    await asyncio.to_thread(follow, INSPECTION.text, tmp_path, data)
    (tmp_path / "restored").rename(data)
    with daemon(home) as node:
        assert (await say(node.uri, "Hello", "anna")).audio == before
    assert re.fullmatch("[0-9a-f]{8}: Hello", spell(before).strip())
    assert (data / "node-id").read_text() == identity
