import asyncio
from array import array
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from tests.support import speech, tone
from tests.support.engines.voicenode_tone import RATE, ToneOptions, spell
from voicenode.errors import EngineError, ErrorCode, RequestError, VoiceServiceError
from voicenode.processor import VoiceProcessor
from voicenode.request import SynthesisRequest
from voicenode.workers.pool import EnginePool

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with tone.pool(tone.spec(options=ToneOptions(chunk_chars=4))) as pool:
        yield pool


@pytest.fixture
def processor(pool: EnginePool) -> VoiceProcessor:
    return speech.processor(pool)


async def pcm(processor: VoiceProcessor, request: SynthesisRequest) -> bytes:
    async with processor.speak(request) as speech:
        assert speech.format.rate == RATE
        return b"".join([chunk async for chunk in speech])


async def say(processor: VoiceProcessor, text: str | AsyncIterator[str]) -> str:
    return spell(await pcm(processor, SynthesisRequest(text=text))).strip()


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def test_text_becomes_sound(processor: VoiceProcessor) -> None:
    assert (
        await say(processor, "Good morning. The **coffee** is ready.") == "Good morning. The coffee is ready."
    )


async def test_sentences_are_set_apart_by_silence(pool: EnginePool) -> None:
    processor = speech.processor(pool, sentence_silence=0.25)
    sound = array("h", await pcm(processor, SynthesisRequest(text="One. Two. Three.")))
    assert sum(1 for sample in sound if sample == 0) == 2 * RATE // 4
    assert sound[0]
    assert sound[-1]


@pytest.mark.parametrize("text", ["", "   ", "\N{GRINNING FACE}", "...", "?!", "\0"])
async def test_a_text_with_nothing_to_speak_is_a_tenth_of_a_second_of_silence(
    processor: VoiceProcessor, text: str
) -> None:
    assert await pcm(processor, SynthesisRequest(text=text)) == bytes(2 * RATE // 10)


async def test_text_in_pieces_is_the_same_text(processor: VoiceProcessor) -> None:
    assert await say(processor, pieces("Good mor", "ning. The **cof", "fee** is ready.")) == await say(
        processor, "Good morning. The **coffee** is ready."
    )


async def test_sound_starts_while_the_text_is_still_being_written(processor: VoiceProcessor) -> None:
    heard = asyncio.Event()

    async def writer() -> AsyncIterator[str]:
        yield "The first sentence. And the sec"
        await heard.wait()
        yield "ond."

    async with processor.speak(SynthesisRequest(text=writer())) as speech:
        sound = b""
        async for chunk in speech:
            sound += chunk
            heard.set()
    assert spell(sound).strip() == "The first sentence. And the second."


async def test_ssml_is_stripped_for_an_engine_that_does_not_know_it(processor: VoiceProcessor) -> None:
    request = SynthesisRequest(text="<speak>Hello <emphasis>big</emphasis> world</speak>", text_format="ssml")
    assert spell(await pcm(processor, request)).strip() == "Hello big world"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SynthesisRequest(text="hi", voice="tone-plane"), ErrorCode.UNKNOWN_VOICE),
        (SynthesisRequest(text="hi", speaker="lout"), ErrorCode.UNKNOWN_SPEAKER),
        (SynthesisRequest(text="hi", engine="bass"), ErrorCode.UNKNOWN_ENGINE),
        (SynthesisRequest(text="hi", speed=100.0), ErrorCode.BAD_REQUEST),
        (SynthesisRequest(text="x" * 20_001), ErrorCode.TEXT_TOO_LONG),
        (SynthesisRequest(text=pieces("x" * 20_000, "x")), ErrorCode.TEXT_TOO_LONG),
        (SynthesisRequest(text="<speak>hi", text_format="ssml"), ErrorCode.BAD_SSML),
    ],
)
async def test_what_cannot_be_spoken_is_refused_with_a_code(
    processor: VoiceProcessor, request_: SynthesisRequest, code: ErrorCode
) -> None:
    with pytest.raises(RequestError) as raised:
        await pcm(processor, request_)
    assert raised.value.code == code


async def test_a_failure_comes_after_what_was_spoken_before_it(processor: VoiceProcessor) -> None:
    heard: list[bytes] = []

    async def listen() -> None:
        async with processor.speak(SynthesisRequest(text="Well spoken. Now sayerror here.")) as speech:
            async for chunk in speech:
                heard.append(chunk)  # noqa: PERF401 - what was heard before the failure must be kept

    with pytest.raises(EngineError):
        await listen()
    assert spell(b"".join(heard)).strip() == "Well spoken. Now"


async def test_an_error_of_the_text_itself_reaches_the_listener(processor: VoiceProcessor) -> None:
    async def broken() -> AsyncIterator[str]:
        yield "One. Two"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await say(processor, broken())


async def test_leaving_in_the_midst_frees_the_engine(pool: EnginePool, processor: VoiceProcessor) -> None:
    async with processor.speak(SynthesisRequest(text="One. Then hang for ever.")) as speech:
        await anext(aiter(speech))
    assert await say(processor, "Next.") == "Next."
    assert pool.states()[0].state == "ready"


async def test_a_slow_listener_does_not_hold_the_engine(pool: EnginePool) -> None:
    processor = speech.processor(pool, buffer_seconds=0.01)
    long_text = "This is a sentence. " * 50
    async with processor.speak(SynthesisRequest(text=long_text)) as slow:
        first = await anext(aiter(slow))
        assert await say(processor, "Quick.") == "Quick."
        rest = b"".join([chunk async for chunk in slow])
    assert spell(first + rest).replace(" ", "") == long_text.replace(" ", "")


async def test_a_slow_listener_gets_only_so_much_ahead(pool: EnginePool) -> None:
    processor = speech.processor(pool, buffer_seconds=0.5)
    async with processor.speak(SynthesisRequest(text="This is a sentence. " * 500)) as slow:
        await anext(aiter(slow))
        while pool.states()[0].state != "ready":  # noqa: ASYNC110 - the pool tells its state, not its changes
            await asyncio.sleep(0)
        made = slow._chunks.ag_frame.f_locals["self"]._bytes  # type: ignore[attr-defined]
    assert made < (0.5 + 2 * 0.2) * RATE * 2


async def test_two_listeners_alternate_sentence_by_sentence(processor: VoiceProcessor) -> None:
    order: list[str] = []

    async def listen(name: str) -> None:
        async with processor.speak(SynthesisRequest(text=" ".join([f"{name * 8}."] * 6))) as speech:
            async for chunk in speech:
                order.extend(char for char in spell(chunk) if char in "ab")

    await asyncio.gather(listen("a"), listen("b"))
    switches = sum(before != after for before, after in pairwise(order))
    assert switches >= 6


async def test_volume_changes_the_samples(processor: VoiceProcessor) -> None:
    whole = array("h", await pcm(processor, SynthesisRequest(text="loud")))
    half = array("h", await pcm(processor, SynthesisRequest(text="loud", volume=0.5)))
    assert list(half) == [round(sample / 2) for sample in whole]


async def test_all_live_requests_can_be_cancelled_at_once_and_batch_work_stays(
    processor: VoiceProcessor,
) -> None:
    batch = asyncio.create_task(pcm(processor, SynthesisRequest(text="Batch work.", live=False)))
    async with (
        processor.speak(SynthesisRequest(text="One. Then progress.")) as first,
        processor.speak(SynthesisRequest(text="Two. Then progress.")) as second,
    ):
        sounds = [aiter(first), aiter(second)]
        for sound in sounds:
            await anext(sound)
        assert processor.cancel_live() == 2
        for sound in sounds:
            with pytest.raises(VoiceServiceError, match="cancelled") as raised:
                await anext(sound)
            assert raised.value.code == ErrorCode.CANCELLED
    assert spell(await batch).strip() == "Batch work."
    assert processor.cancel_live() == 0


async def test_a_request_that_still_waits_for_its_engine_is_cancelled_too() -> None:
    async with tone.pool(tone.spec(options=ToneOptions(load_seconds=0.3))) as pool:
        processor = speech.processor(pool)
        waiting = asyncio.create_task(say(processor, "Hello."))
        while pool.states()[0].state != "loading":  # noqa: ASYNC110 - the pool tells its state, not its changes
            await asyncio.sleep(0)
        processor.cancel_live()
        with pytest.raises(VoiceServiceError, match="cancelled"):
            await waiting
