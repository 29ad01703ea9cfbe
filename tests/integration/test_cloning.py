"""Cloned voices from the recording to the sound."""

import asyncio
import errno
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import recorded
from tests.support.cloning import HERE, Cloning, check_once, cloning, lines, recording
from tests.support.engines.voicenode_tone import ToneOptions
from tests.support.limits import eventually
from tests.support.redis_server import RedisServer
from tests.support.stores import open_store
from voicenode.cloning import Rules, VoiceLimits
from voicenode.cloning.profile import COLLECTION
from voicenode.errors import ConflictError, ErrorCode, StoreError, VoiceServiceError
from voicenode.request import SynthesisRequest
from voicenode.stores import attachments

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_once(monkeypatch)


CLONED = re.compile(r"[0-9a-f]{8}: Hello")
"""What a cloned tone says when it says Hello."""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Cloning]:
    async with cloning(tmp_path, options=ToneOptions(diary=str(tmp_path / "diary"))) as node:
        yield node


OTHER = "Somebody else says something else here, and goes on for long enough to be taken for a voice."


def folder_of(path: Path) -> list[Path]:
    return list(path.iterdir())


def names(node: Cloning) -> list[str]:
    return [voice.name for voice in node.processor.catalogue if voice.cloned]


def revisions(node: Cloning) -> list[int]:
    return [voice.revision for voice in node.processor.catalogue if voice.cloned]


async def refused(code: ErrorCode, doing: object) -> str:
    with pytest.raises(VoiceServiceError) as raised:
        await doing  # type: ignore[misc]
    assert raised.value.code is code
    return str(raised.value)


async def test_a_recording_becomes_a_voice_that_speaks_at_once(node: Cloning) -> None:
    answer = await node.clone("Anna", description="Anna of next door", consent="Anna, by letter")
    assert (answer["name"], answer["revision"], answer["engines"]) == ("Anna", 1, ["tone"])
    assert answer["duration"] > 3
    assert answer["figures"]["snr_db"] > 20
    assert CLONED.fullmatch(await node.say("Hello", "anna"))
    assert names(node) == ["Anna"]


async def test_what_was_made_at_cloning_is_not_made_again(node: Cloning, tmp_path: Path) -> None:
    await node.clone()
    await node.say("Hello", "Anna")
    await node.say("Hello", "Anna")
    assert lines(tmp_path / "diary").count("clone") == 1


async def test_a_voice_outlives_its_node(tmp_path: Path) -> None:
    async with cloning(tmp_path) as node:
        await node.clone()
        heard = await node.say("Hello", "Anna")
    async with cloning(tmp_path) as node:
        assert await node.say("Hello", "Anna") == heard


async def test_a_voice_that_another_node_made_speaks_here(url: str, tmp_path: Path) -> None:
    async with (
        open_store(url) as store,
        open_store(url) as same,
        cloning(tmp_path / "one", store=store) as one,
        cloning(tmp_path / "other", store=same) as other,
    ):
        await one.clone()
        await eventually(lambda: names(other) == ["Anna"])
        heard = await other.say("Hello", "anna")
        assert heard == await one.say("Hello", "anna")
        await one.clone(sound=await asyncio.to_thread(recording, OTHER), replace=True)
        await eventually(
            lambda: [voice.revision for voice in other.processor.catalogue if voice.cloned] == [2]
        )
        assert await other.say("Hello", "anna") != heard
        await one.voices.desk.delete({"name": "anna"}, HERE)
        await eventually(lambda: not names(other))


async def test_a_voice_that_was_heard_here_speaks_on_while_its_redis_is_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        url = f"{server.url}?prefix=x&cache={tmp_path / 'cache'}"
        async with open_store(url) as store, cloning(tmp_path, store=store) as node:
            await node.clone()
            heard = await node.say("Hello", "anna")
            await asyncio.to_thread(server.kill)
            assert await node.say("Hello", "anna") == heard
            other = await asyncio.to_thread(recording, OTHER)
            await refused(ErrorCode.STORE_UNAVAILABLE, node.clone("Berta", other))
            await refused(ErrorCode.STORE_UNAVAILABLE, node.clone("Anna", other, replace=True))
            assert await node.say("Hello", "anna") == heard


async def test_every_engine_that_clones_speaks_in_the_voice(tmp_path: Path) -> None:
    async with cloning(tmp_path, engines=("tone", "tone2")) as node:
        answer = await node.clone(transcript=recorded.WORDS)
        assert answer["engines"] == ["tone", "tone2"]
        by_name = await node.say("Hello", "anna"), await node.say("Hello", "tone2-anna")
        assert await node.say("Hello", "anna", engine="tone2") == by_name[1]
        assert CLONED.fullmatch(by_name[0])
        assert CLONED.fullmatch(by_name[1])


async def test_an_engine_that_needs_the_words_is_left_out_without_them(tmp_path: Path) -> None:
    async with cloning(tmp_path, engines=("tone", "tone2")) as node:
        answer = await node.clone()
        assert answer["engines"] == ["tone"]
        assert "tone2 must be told the words" in " ".join(answer["warnings"])
        await refused(ErrorCode.BAD_TRANSCRIPT, node.clone("Ben", engines=["tone2"]))


async def test_an_engine_that_fails_at_cloning_gets_ready_later(tmp_path: Path) -> None:
    async with cloning(tmp_path, options=ToneOptions(clone_error="no room")) as node:
        answer = await node.clone()
        assert "gets ready to speak in this voice later" in " ".join(answer["warnings"])
    async with cloning(tmp_path) as node:
        assert CLONED.fullmatch(await node.say("Hello", "anna"))


async def test_another_model_makes_its_own_in_the_background(tmp_path: Path) -> None:
    async with cloning(tmp_path) as node:
        await node.clone()
    diary = tmp_path / "diary"
    async with cloning(tmp_path, options=ToneOptions(model="tone-2", diary=str(diary))) as node:
        await eventually(lambda: lines(diary) == ["clone"])
        await node.say("Hello", "anna")
        assert lines(diary) == ["clone", "Hello"]


async def test_nothing_is_kept_of_a_recording_that_an_engine_refuses(tmp_path: Path) -> None:
    async with cloning(tmp_path, options=ToneOptions(clone_error="refuse")) as node:
        await refused(ErrorCode.BAD_REQUEST, node.clone())
        assert await node.store.list(COLLECTION) == []
        assert folder_of(tmp_path / "artefacts") == []


async def test_a_name_is_not_taken_twice(node: Cloning) -> None:
    await node.clone()
    other = await asyncio.to_thread(recording, OTHER)
    await refused(ErrorCode.CONFLICT, node.clone("ANNA", other))
    assert (await node.clone("Anna", replace="rename"))["name"] == "Anna-2"
    assert names(node) == ["Anna", "Anna-2"]


async def test_a_replaced_voice_has_another_revision_and_sound(node: Cloning, tmp_path: Path) -> None:
    first = await node.clone()
    before = await node.say("Hello", "anna")
    second = await node.clone(sound=await asyncio.to_thread(recording, OTHER), replace=True)
    assert (second["id"], second["revision"]) == (first["id"], 2)
    assert await node.say("Hello", "anna") != before
    assert await node.store.verify() == []
    await eventually(lambda: len(folder_of(tmp_path / "artefacts")) == 1)


async def test_of_two_clones_of_one_name_at_once_one_wins(node: Cloning) -> None:
    results = await asyncio.gather(node.clone(), node.clone(), return_exceptions=True)
    assert [type(each) for each in results].count(ConflictError) == 1
    assert len(names(node)) == 1


async def test_a_name_in_any_script_and_case_is_one(node: Cloning, tmp_path: Path) -> None:
    await node.clone("J\u00fcrgen")
    assert CLONED.fullmatch(await node.say("Hello", "JU\u0308RGEN"))
    assert {path.name for path in folder_of(tmp_path)} <= {"store", "artefacts", "import", "diary"}


@pytest.mark.parametrize("name", ["tone-plain", "tone-new", "Tone-Deutsch", "plain"])
async def test_an_engines_own_voice_is_not_shadowed(node: Cloning, name: str) -> None:
    await refused(ErrorCode.CONFLICT, node.clone(name))


async def test_a_full_disk_leaves_the_old_voice_whole(node: Cloning, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.clone()
    before = await node.say("Hello", "anna")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(attachments, "_create", full)
    with pytest.raises(StoreError) as raised:
        await node.clone(replace=True, sound=await asyncio.to_thread(recording, OTHER))
    assert raised.value.code is ErrorCode.DISK_FULL
    assert await node.say("Hello", "anna") == before
    assert await node.store.verify() == []


async def test_a_voice_that_is_deleted_while_it_speaks_finishes(node: Cloning, tmp_path: Path) -> None:
    await node.clone()
    async with node.processor.speak(SynthesisRequest(text="One. Two. Three.", voice="anna")) as speech:
        chunks = aiter(speech)
        await anext(chunks)
        await node.voices.desk.delete({"name": "anna"}, HERE)
        async for _ in chunks:
            pass
    await eventually(lambda: folder_of(tmp_path / "artefacts") == [])
    assert await node.store.list(COLLECTION) == []
    await refused(ErrorCode.UNKNOWN_VOICE, node.say("Hello", "anna"))


async def test_a_renamed_voice_is_the_same_under_another_name(node: Cloning) -> None:
    await node.clone()
    heard = await node.say("Hello", "anna")
    answer = await node.voices.desk.update({"name": "anna", "rename": "Berta", "pinned": True}, HERE)
    assert (answer["name"], answer["expires"], answer["revision"]) == ("Berta", None, 1)
    assert await node.say("Hello", "berta") == heard
    await refused(ErrorCode.UNKNOWN_VOICE, node.say("Hello", "anna"))
    assert await node.store.verify() == []


async def test_a_voice_expires_unless_it_is_used_or_pinned(
    node: Cloning, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    await node.clone("Used")
    await node.clone("Unused")
    await node.clone("Pinned", pinned=True)
    monkeypatch.setattr(time, "time", lambda: now + 20 * 86_400)
    await node.say("Hello", "used")
    await node.voices.profiles.write_uses()
    monkeypatch.setattr(time, "time", lambda: now + 40 * 86_400)
    assert [kept.profile.name for kept in node.voices.profiles] == ["Pinned", "Used"]
    answer = node.voices.desk.get({"name": "used"}, HERE)
    assert answer["uses"] == 1


async def test_clients_see_pinned_and_last_used_voices_first(tmp_path: Path) -> None:
    async with cloning(tmp_path, limits=VoiceLimits(advertised=2)) as node:
        await node.clone("Old")
        await node.clone("Pinned", pinned=True)
        await node.clone("New")
        await asyncio.sleep(0)
        assert names(node) == ["New", "Pinned"]
        assert CLONED.fullmatch(await node.say("Hello", "old"))
        assert node.voices.desk.list({"offset": 1, "limit": 1})["voices"][0]["name"] == "Old"


async def test_a_voice_that_is_only_used_shows_nothing_new(node: Cloning) -> None:
    await node.clone()
    catalogue = node.processor.catalogue
    await node.say("Hello", "anna")
    await node.voices.profiles.write_uses()
    await asyncio.sleep(0)
    assert node.voices.desk.get({"name": "anna"}, HERE)["uses"] == 1
    assert node.processor.catalogue is catalogue
    await node.clone("Berta")
    await asyncio.sleep(0)
    assert names(node) == ["Anna", "Berta"]


async def test_a_voice_that_is_made_anew_keeps_what_nobody_changed(node: Cloning) -> None:
    await node.clone(language="en", description="Tall", pinned=True, ttl=100)
    again = await node.clone(sound=recording(OTHER), replace=True)
    assert (again["revision"], again["languages"], again["description"]) == (2, ["en"], "Tall")
    assert (again["pinned"], again["ttl"]) == (True, 100)
    changed = await node.clone(sound=recording(), replace=True, languages=["en-GB"], pinned=False)
    assert (changed["languages"], changed["pinned"]) == (["en-GB"], False)


async def test_too_many_within_the_hour_are_refused(tmp_path: Path) -> None:
    async with cloning(tmp_path, rules=Rules(per_hour=1)) as node:
        await node.clone("Anna")
        await refused(ErrorCode.BUSY, node.clone("Berta"))


async def test_every_change_is_in_the_log(node: Cloning, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "voicenode.cloning")
    await node.clone(consent="Anna, by letter")
    await node.voices.desk.delete({"name": "anna"}, HERE)
    await refused(ErrorCode.UNKNOWN_VOICE, node.voices.desk.delete({"name": "anna"}, HERE))
    said = [record.getMessage() for record in caplog.records if "127.0.0.1:1" in record.getMessage()]
    assert re.fullmatch(r"clone voice 'Anna' by 127.0.0.1:1 over wyoming: done, .*'Anna, by letter'", said[0])
    assert "delete voice 'anna'" in said[1]
    assert "refused, unknown-voice" in said[2]


async def test_the_same_recording_again_gets_the_same_answer(node: Cloning) -> None:
    first = await node.clone()
    assert await node.clone() == {**first, "warnings": []}
