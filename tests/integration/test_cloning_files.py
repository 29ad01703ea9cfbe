"""Voices as files: what is put into the import folder, and what one node exports for another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support import recorded, tone
from tests.support.cloning import Cloning, check_once, cloning, recording
from tests.support.limits import eventually
from voicenode.cloning import archive
from voicenode.cloning.files import read_file
from voicenode.cloning.folder import imported
from voicenode.cloning.profile import COLLECTION, VoiceProfile
from voicenode.errors import ErrorCode, RequestError

pytestmark = pytest.mark.usefixtures("tone_engine")


@pytest.fixture
def tone_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", tone.python_path())
    check_once(monkeypatch)
    monkeypatch.setattr("voicenode.cloning.folder.LOOK_SECONDS", 0.05)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Cloning]:
    async with cloning(tmp_path, engines=("tone", "tone2")) as node:
        yield node


async def exported(node: Cloning, name: str = "anna") -> tuple[VoiceProfile, dict[str, bytes]]:
    kept = node.voices.profiles.find(name)
    assert kept
    files = {each: await read_file(node.store, name, each) for each in kept.profile.files}
    return kept.profile, files


async def test_what_is_dropped_into_the_folder_becomes_a_voice(node: Cloning, tmp_path: Path) -> None:
    folder = tmp_path / "import"
    await eventually(folder.is_dir)
    (folder / "Anna.txt").write_text(recorded.WORDS)
    (folder / "Anna.wav").write_bytes(recording())
    await eventually((folder / "done" / "Anna.wav").is_file)
    assert sorted(path.name for path in folder.rglob("*")) == ["Anna.txt", "Anna.wav", "done"]
    profile = node.voices.profiles.find("anna")
    assert profile is not None
    assert (profile.profile.engines, profile.expires_at) == (("tone", "tone2"), None)
    assert profile.profile.transcript == recorded.WORDS


async def test_what_is_no_recording_fails_beside_the_reason(node: Cloning, tmp_path: Path) -> None:
    folder = tmp_path / "import"
    await eventually(folder.is_dir)
    (folder / "x.wav").write_bytes(b"no sound")
    (folder / "notes.md").write_text("not a recording")
    (folder / ".hidden.wav").write_bytes(recording())
    (folder / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    reason = folder / "failed" / "x.wav.reason.txt"
    await eventually(reason.is_file)
    assert reason.read_text().startswith("bad-recording: x.wav")
    assert {path.name for path in folder.iterdir()} == {"notes.md", ".hidden.wav", "link.wav", "failed"}
    assert await node.store.list(COLLECTION) == []


async def test_a_file_that_is_still_being_written_is_waited_for(node: Cloning, tmp_path: Path) -> None:
    folder, content = tmp_path / "import", recording()
    await eventually(folder.is_dir)
    with (folder / "anna.wav").open("wb", buffering=0) as file:
        for start in range(0, len(content), len(content) // 10):
            file.write(content[start : start + len(content) // 10])
            await asyncio.sleep(0.02)
    await eventually((folder / "done" / "anna.wav").is_file)
    assert not (folder / "failed").exists()
    assert node.voices.profiles.find("anna") is not None


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "..", "", "link.wav", "gone.wav", "a\0b"])
def test_a_name_leads_nowhere_but_into_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "import"
    folder.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(RequestError) as raised:
        imported(folder, name)
    assert raised.value.code is ErrorCode.NOT_FOUND


async def test_an_exported_voice_is_the_same_elsewhere(node: Cloning, tmp_path: Path) -> None:
    await node.clone(transcript=recorded.WORDS, consent="Anna")
    heard = await node.say("Hello", "anna")
    profile, files = await exported(node)
    path = tmp_path / "anna.voice"
    path.write_bytes(archive.pack(profile, files))
    assert await asyncio.to_thread(archive.unpack, path) == (profile, files)
    async with cloning(tmp_path / "elsewhere", engines=("tone", "tone2")) as other:
        await other.voices.profiles.put(profile, 0, files)
        assert await other.say("Hello", "anna") == heard


async def test_what_was_changed_on_the_way_is_not_imported(node: Cloning, tmp_path: Path) -> None:
    await node.clone()
    whole = tmp_path / "anna.voice"
    whole.write_bytes(archive.pack(*await exported(node)))
    await asyncio.to_thread(refuse_damages, whole)
    assert not (tmp_path.parent / "escaped").exists()


def refuse_damages(whole: Path) -> None:

    def refused(change: Callable[[dict[str, bytes]], object]) -> None:
        with ZipFile(whole) as file:
            entries = {name: file.read(name) for name in file.namelist()}
        change(entries)
        damaged = whole.with_name("damaged.voice")
        with ZipFile(damaged, "w") as file:
            for name, content in entries.items():
                file.writestr(name, content)
        with pytest.raises(RequestError, match=r"damaged\.voice"):
            archive.unpack(damaged)

    def edit(entries: dict[str, bytes], key: str, value: object) -> None:
        index = json.loads(entries["voice.json"])
        index["profile"][key] = value
        entries["voice.json"] = json.dumps(index).encode()

    refused(lambda entries: entries.pop("voice.json"))
    refused(lambda entries: entries.pop("files/recording-1.wav"))
    refused(lambda entries: entries.update({"files/recording-1.wav": b"other"}))
    refused(lambda entries: entries.update({"../../escaped": b"x"}))
    refused(lambda entries: edit(entries, "name", "../../x"))
    refused(lambda entries: edit(entries, "recordings", ["../../../etc/passwd"]))
    refused(lambda entries: edit(entries, "format", 99))
    refused(lambda entries: edit(entries, "created", "yesterday"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 is not a zip", recorded.file(recorded.silence(1))])
def test_what_is_no_voice_is_not_imported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.voice"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="not a voice"):
        archive.unpack(path)
