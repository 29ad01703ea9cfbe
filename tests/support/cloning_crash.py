"""A program whose writers of voice profiles are killed, or race each other.

python -m tests.support.cloning_crash crash <url> <kills> | race <url> <writers>
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.support.stores import fork, open_store, succeed
from voicenode.cloning.files import read_file
from voicenode.cloning.profile import COLLECTION, Artefacts, Kept, VoiceProfile
from voicenode.cloning.profiles import VoiceProfiles
from voicenode.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("anna", "berta", "carl")
_LOST = 3


def crash(url: str, kills: int) -> None:
    """Kill a writer at random moments; after each, every voice must be whole or absent."""
    for _ in range(kills):
        read, write = os.pipe()
        writer = fork(lambda write=write: _write(url, write))  # type: ignore[misc]
        os.close(write)
        with os.fdopen(read, "rb") as begun:
            begun.readline()
            time.sleep(random.uniform(0, 0.05))
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        succeed(fork(lambda: _check(url)))


def race(url: str, writers: int) -> None:
    """Let processes make a voice of one name; print how many of them won, and how many met a conflict."""
    read, start = os.pipe()
    racers = [fork(lambda: _compete(url, read, start)) for _ in range(writers)]
    os.close(start)
    statuses = [os.waitpid(racer, 0)[1] for racer in racers]
    print(statuses.count(0), statuses.count(_LOST << 8))  # noqa: T201 - how a program answers
    succeed(fork(lambda: _check(url)))


def made(name: str) -> tuple[VoiceProfile, Mapping[str, bytes]]:
    """A voice with a recording and artefacts, all at random."""
    sound, latents = random.randbytes(random.randrange(1, 200_000)), random.randbytes(1000)
    recording = f"recording-{random.randrange(3)}.wav"
    digest = hashlib.sha256(latents).hexdigest()
    artefacts = Artefacts(f"tone-{digest[:16]}.safetensors", "tone-1", digest)
    profile = VoiceProfile(
        id=name,
        name=name,
        created=time.time(),
        engines=("tone",),
        recordings=(recording,),
        style=recording,
        spoken=recording,
        source=hashlib.sha256(sound).hexdigest(),
        artefacts={"tone": (artefacts,)},
    )
    return profile, {recording: sound, artefacts.file: latents}


async def _write(url: str, begun: int) -> int:
    """Make, replace, change, rename and delete voices until killed."""
    async with open_store(url) as store:
        profiles = VoiceProfiles(store, lambda *_: None)
        os.write(begun, b"\n")
        while True:
            name = random.choice(NAMES)
            kept = await profiles.refreshed(name)
            if kept is None:
                profile, files = made(name)
                await profiles.put(profile, 0, files)
                continue
            other = random.choice(NAMES)
            match random.randrange(4):
                case 0:
                    profile, files = made(name)
                    again = replace(profile, revision=kept.profile.revision + 1)
                    await profiles.put(again, kept.version, {**dict.fromkeys(kept.profile.files), **files})
                case 1:
                    await profiles.change(kept, lambda old: replace(old, uses=old.uses + 1))
                case 2 if await profiles.refreshed(other) is None:
                    await profiles.rename(kept, lambda old, other=other: replace(old, name=other))  # type: ignore[misc]
                case 3:
                    await profiles.delete(kept)


async def _check(url: str) -> int:
    async with open_store(url) as store:
        assert await store.verify() == []
        for document in await store.list(COLLECTION):
            profile = Kept.of(document).profile
            assert document.key == profile.name
            assert set(document.files) == profile.files
            (artefacts,) = profile.artefacts["tone"]
            for name, digest in ((profile.style, profile.source), (artefacts.file, artefacts.sha256)):
                content = await read_file(store, document.key, name)
                assert hashlib.sha256(content).hexdigest() == digest
    return 0


async def _compete(url: str, read: int, start: int) -> int:
    os.close(start)
    os.read(read, 1)  # returns when the last writer is there and its parent has closed the other end
    async with open_store(url) as store:
        try:
            await VoiceProfiles(store, lambda *_: None).put(*made_for(os.getpid()))
        except ConflictError:
            return _LOST
    return 0


def made_for(writer: int) -> tuple[VoiceProfile, int, Mapping[str, bytes]]:
    """One writer's version of a voice that there is not yet."""
    profile, files = made("anna")
    return replace(profile, id=str(writer)), 0, files


if __name__ == "__main__":
    {"crash": crash, "race": race}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
