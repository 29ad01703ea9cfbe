"""Jobs whose sound goes elsewhere than into a file."""

import asyncio
import io
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import soundfile

from tests.support import jobs as support
from tests.support.engines.voicenode_tone import RATE, ToneOptions, spell
from tests.support.jobs import request, speak
from tests.support.limits import LIMIT
from voicenode.audio import PcmFormat
from voicenode.errors import ErrorCode
from voicenode.jobs import Job, JobQueue, JobState, Player, Write

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

WAV_HEADER = 44


class Topic:
    """A sink that remembers what it is given, and how it ended."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.opened: list[tuple[Job, PcmFormat]] = []
        self.ended: list[str] = []
        self.room = asyncio.Event()
        self.room.set()

    @asynccontextmanager
    async def __call__(self, job: Job, pcm_format: PcmFormat) -> AsyncIterator[Write]:
        self.opened.append((job, pcm_format))
        try:
            yield self._write
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("whole")

    async def _write(self, block: bytes) -> None:
        await self.room.wait()
        self.blocks.append(block)

    @property
    def sound(self) -> bytes:
        return b"".join(self.blocks)


@asynccontextmanager
async def to_topic(folder: Path, options: ToneOptions | None = None) -> AsyncIterator[tuple[JobQueue, Topic]]:
    topic = Topic()
    async with support.queue(folder, options=options, sinks={"topic": topic}) as jobs:
        yield jobs, topic


async def run(jobs: JobQueue, text: str = "hello world", **fields: object) -> Job:
    return await speak(jobs, text, **fields)


class TestTopic:
    async def test_gets_the_sound_in_pieces(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            job = await run(jobs, deliver="topic", format="pcm")
        assert spell(topic.sound).strip() == "hello world"
        assert len(topic.blocks) > 1
        assert job.audio
        assert (job.audio.file, job.audio.bytes) == (None, len(topic.sound))

    async def test_knows_the_job_and_the_format_before_the_first_piece(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            await run(jobs, deliver="topic", format="pcm", sample_rate=24000)
        [(job, pcm_format)] = topic.opened
        assert (job.voice, job.engine, job.state) == ("tone-plain", "tone", JobState.PROCESSING)
        assert pcm_format == PcmFormat(24000)

    async def test_gets_a_wav_without_an_end(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            await run(jobs, deliver="topic")
        assert topic.sound[4:8] == b"\xff\xff\xff\xff"
        assert spell(topic.sound[WAV_HEADER:]).strip() == "hello world"

    @pytest.mark.parametrize(
        ("audio_format", "magic"), [("flac", b"fLaC"), ("mp3", b"\xff"), ("opus", b"OggS")]
    )
    async def test_gets_encoded_sound_as_it_is_made(
        self, tmp_path: Path, audio_format: str, magic: bytes
    ) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            job = await run(jobs, "a longer text is spoken here " * 20, deliver="topic", format=audio_format)
        assert job.error is None
        assert topic.sound.startswith(magic)
        assert len(topic.blocks) > 2

    async def test_gets_opus_that_can_be_decoded(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            job = await run(jobs, deliver="topic", format="opus")
        samples, rate = soundfile.read(io.BytesIO(topic.sound))
        assert job.audio
        assert len(samples) / rate == pytest.approx(job.audio.duration_s, abs=0.01)

    async def test_gets_the_first_piece_while_the_engine_still_speaks(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            await jobs.submit(request("first hang", deliver="topic", format="pcm"), job_id="a")
            async with asyncio.timeout(LIMIT):
                while not topic.blocks:  # noqa: ASYNC110 - the sink has no event of its own
                    await asyncio.sleep(0.001)
            await jobs.cancel("a")

    async def test_is_told_of_a_failure(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            job = await run(jobs, "one sayerror", deliver="topic")
        assert job.error
        assert job.error.code is ErrorCode.ENGINE_FAILED
        assert topic.ended == ["EngineError"]

    async def test_is_told_of_a_cancellation(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            topic.room.clear()
            await jobs.submit(request(deliver="topic"), job_id="a")
            async with asyncio.timeout(LIMIT):
                while not topic.opened:  # noqa: ASYNC110 - the sink has no event of its own
                    await asyncio.sleep(0.001)
            assert (await jobs.cancel("a")).state is JobState.CANCELLED
        assert topic.ended == ["CancelledError"]

    async def test_is_not_opened_for_a_job_that_makes_no_sound(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path) as (jobs, topic):
            await run(jobs, "sayerror", deliver="topic")
        assert topic.opened == []

    async def test_gets_an_interrupted_job_again_from_its_start(self, tmp_path: Path) -> None:
        async with to_topic(tmp_path, ToneOptions(char_seconds=0.05)) as (jobs, topic):
            await jobs.submit(request("hello world", deliver="topic", format="pcm"), job_id="a")
            async with asyncio.timeout(LIMIT):
                while not topic.blocks:  # noqa: ASYNC110 - the sink has no event of its own
                    await asyncio.sleep(0.001)
        async with to_topic(tmp_path) as (jobs, topic):
            await jobs.wait("a")
        assert spell(topic.sound).strip() == "hello world"


def player(script: str) -> Player:
    return Player([sys.executable, "-c", script])


@asynccontextmanager
async def playing(folder: Path, script: str) -> AsyncIterator[JobQueue]:
    async with support.queue(folder, sinks={"play": player(script)}) as jobs:
        yield jobs


class TestPlaying:
    async def test_feeds_a_wav_to_the_command(self, tmp_path: Path) -> None:
        heard = tmp_path / "heard.wav"
        script = f"import sys; open({str(heard)!r}, 'wb').write(sys.stdin.buffer.read())"
        async with playing(tmp_path, script) as jobs:
            job = await run(jobs, deliver="play")
        assert job.state is JobState.COMPLETED
        assert spell(heard.read_bytes()[WAV_HEADER:]).strip() == "hello world"
        assert heard.read_bytes()[24:28] == RATE.to_bytes(4, "little")

    async def test_plays_one_job_after_the_other(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        script = (
            f"import sys; log = open({str(log)!r}, 'a'); log.write('b'); log.flush();"
            "sys.stdin.buffer.read(); log.write('e')"
        )
        async with playing(tmp_path, script) as jobs:
            await asyncio.gather(*(run(jobs, deliver="play") for _ in range(4)))
        assert log.read_text() == "bebebebe"

    async def test_ends_the_command_when_it_is_cancelled(self, tmp_path: Path) -> None:
        others = set(psutil.Process().children())
        async with playing(tmp_path, "import time; time.sleep(3600)") as jobs:
            await jobs.submit(request(deliver="play", priority="batch"), job_id="a")
            async with asyncio.timeout(LIMIT):
                while len(set(psutil.Process().children()) - others) < 2:  # noqa: ASYNC110 - the engine, and the player
                    await asyncio.sleep(0.005)
            assert await jobs.cancel_live() == 1
            assert len(set(psutil.Process().children()) - others) == 1

    @pytest.mark.parametrize(
        ("command", "sentence"),
        [
            (
                "/nowhere/aplay -q -",
                "The player '/nowhere/aplay' is not installed; install it, or name another in jobs.player",
            ),
            (
                f"{sys.executable} -c 'import sys; sys.exit(\"no sound card\")'",
                "failed: no sound card",
            ),
            (f"{sys.executable} -c 'import sys; sys.exit(3)'", "it ended with status 3"),
        ],
    )
    async def test_fails_with_what_the_command_says(
        self, tmp_path: Path, command: str, sentence: str
    ) -> None:
        async with support.queue(tmp_path, sinks={"play": Player(shlex.split(command))}) as jobs:
            job = await run(jobs, "hello " * 500, deliver="play")
        assert job.error
        assert job.error.code is ErrorCode.PLAYER_FAILED
        assert sentence in job.error.text

    async def test_is_never_begun_again_once_it_was_heard(self, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        script = f"import time; open({str(fifo)!r}, 'w').close(); time.sleep(3600)"
        async with playing(tmp_path, script) as jobs:
            await jobs.submit(request(deliver="play"), job_id="a")
            await asyncio.to_thread(fifo.read_bytes)
        async with playing(tmp_path, "raise SystemExit") as jobs:
            job = await jobs.wait("a")
        assert job.error
        assert job.error.code is ErrorCode.INTERRUPTED
