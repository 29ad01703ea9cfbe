import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support import tone
from tests.support.engines.voicenode_tone import RATE, ToneOptions, spell
from tests.support.limits import LIMIT
from voicenode.cast import FallbackRules
from voicenode.errors import EngineError, ErrorCode, RequestError
from voicenode.processor import SpeechRules, VoiceProcessor
from voicenode.quality import QualityProfiles
from voicenode.request import SynthesisRequest
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode.workers.pool import EnginePool

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

CHAIN = FallbackRules(engines=("tone2", "tone3", "tone"))


@asynccontextmanager
async def node(
    fallback: FallbackRules = CHAIN, **options: ToneOptions
) -> AsyncIterator[tuple[VoiceProcessor, EnginePool]]:
    """A node with the engines tone2, tone3 and tone, in this order, of which the first speaks by default."""
    specs = [tone.spec(name, options=options.get(name)) for name in ("tone2", "tone3", "tone")]
    engines = {spec.info.name: tone.CLASSES[spec.info.name](ToneOptions()) for spec in specs}
    voices = [Voice.of_engine(name, voice) for name, engine in engines.items() for voice in engine.voices()]
    own = Voice("tone2-own", "tone2", "own", "A voice that tone2 alone has", ("en-US",))
    async with tone.pool(*specs) as pool:
        catalogue = Catalogue([*voices, own], "tone2-plain")
        quality = QualityProfiles({name: engine.parameters_type for name, engine in engines.items()})
        yield VoiceProcessor(catalogue, pool, engines, SpeechRules(fallback=fallback), quality), pool


async def say(processor: VoiceProcessor, text: str, **fields: str) -> tuple[str, str, str | None]:
    """What was heard, who spoke, and the warning."""
    async with processor.speak(SynthesisRequest(text=text, **fields)) as speech:  # type: ignore[arg-type]
        sound = b"".join([chunk async for chunk in speech])
        return spell(sound).strip(), speech.voice.engine, speech.warning


async def test_nobody_steps_in_where_nothing_fails() -> None:
    async with node() as (processor, _):
        assert await say(processor, "Hello.") == ("Hello.", "tone2", None)


@pytest.mark.parametrize("how", ["no weights", "die", "crash"])
async def test_the_next_engine_speaks_for_one_that_cannot_be_loaded(how: str) -> None:
    async with node(tone2=ToneOptions(load_error=how)) as (processor, _):
        heard, engine, warning = await say(processor, "Hello.")
    assert (heard, engine) == ("Hello.", "tone3")
    assert warning
    assert "tone3-plain steps in" in warning


async def test_the_next_engine_speaks_a_sentence_that_failed_unheard_and_all_after_it() -> None:
    async with node(tone2=ToneOptions(fail_at="Two")) as (processor, pool):
        assert (await say(processor, "One. Two words. Three."))[:2] == ("One. Two words. Three.", "tone3")
        assert [state.starts for state in pool.states()] == [1, 1, 0]


async def test_a_sentence_that_was_heard_in_part_is_not_spoken_again() -> None:
    async with node(tone2=ToneOptions(fail_at="words.")) as (processor, _):
        with pytest.raises(EngineError, match="told to fail"):
            await say(processor, "One. Two words. Three.")


async def test_an_answer_keeps_its_format_when_the_engine_changes_in_its_midst() -> None:
    slow = ToneOptions(fail_at="Two")
    request = SynthesisRequest(text="One. Two words. Three.")
    async with (
        node(tone2=slow, tone3=ToneOptions(rate=2 * RATE)) as (processor, _),
        processor.speak(request) as speech,
    ):
        assert speech.format.rate == RATE
        sound = b"".join([chunk async for chunk in speech])
    whole = 0.01 * len("One. Two words. Three. ") + 2 * 0.15
    assert speech.format.seconds(len(sound)) == pytest.approx(whole, abs=0.001)


async def test_a_voice_that_was_named_is_not_replaced() -> None:
    async with node(tone2=ToneOptions(load_error="no weights")) as (processor, _):
        with pytest.raises(EngineError, match="no weights") as raised:
            await say(processor, "Hello.", voice="tone2-own")
        assert raised.value.code == ErrorCode.ENGINE_UNAVAILABLE
        with pytest.raises(EngineError, match="no weights"):
            await say(processor, "Hello.", engine="tone2", voice="tone2-own")


async def test_the_same_voice_of_another_engine_steps_in_for_a_named_one() -> None:
    async with node(tone2=ToneOptions(load_error="no weights")) as (processor, _):
        assert (await say(processor, "Hallo.", voice="tone2-deutsch"))[:2] == ("Hallo.", "tone3")


async def test_the_owner_may_let_a_voice_step_in_for_any_other() -> None:
    rules = FallbackRules(voices={"en": "tone-plain"})
    async with node(rules, tone2=ToneOptions(load_error="no weights")) as (processor, _):
        assert (await say(processor, "Hello.", voice="tone2-own"))[:2] == ("Hello.", "tone")
        with pytest.raises(EngineError):
            await say(processor, "Hallo.", voice="tone2-deutsch")


async def test_bad_input_is_not_tried_elsewhere() -> None:
    async with node() as (processor, pool):
        with pytest.raises(RequestError, match="told to refuse"):
            await say(processor, "refuse")
        assert [state.starts for state in pool.states()] == [1, 0, 0]


async def test_a_slow_load_goes_on_while_another_engine_speaks() -> None:
    rules = FallbackRules(engines=("tone2", "tone"), first_audio_timeout=1)
    async with node(rules, tone2=ToneOptions(load_seconds=2)) as (processor, pool):
        await pool.load("tone")
        assert (await say(processor, "Hello."))[:2] == ("Hello.", "tone")
        async with asyncio.timeout(LIMIT):
            while pool.states()[0].state != "ready":  # noqa: ASYNC110 - the pool tells its state, not its changes
                await asyncio.sleep(0.01)
        assert (await say(processor, "Hello."))[:2] == ("Hello.", "tone2")


async def test_an_engine_that_makes_no_sound_is_given_up_for_the_next() -> None:
    rules = FallbackRules(engines=("tone2", "tone"), first_audio_timeout=1)
    async with node(rules, tone2=ToneOptions(char_seconds=0.5)) as (processor, pool):
        await asyncio.gather(pool.load("tone2"), pool.load("tone"))
        assert (await say(processor, "Hello."))[:2] == ("Hello.", "tone")


async def test_without_anyone_to_step_in_a_slow_engine_is_unavailable() -> None:
    rules = FallbackRules(first_audio_timeout=0.7)
    async with node(rules, tone2=ToneOptions(load_seconds=2.0)) as (processor, _):
        with pytest.raises(EngineError) as raised:
            await say(processor, "Hello.")
    assert raised.value.code == ErrorCode.ENGINE_UNAVAILABLE


async def test_an_engine_that_keeps_failing_is_not_asked_any_more() -> None:
    async with node(tone2=ToneOptions(load_error="no weights")) as (processor, pool):
        for _ in range(8):
            assert (await say(processor, "Hello."))[1] == "tone3"
        assert pool.states()[0].error
        assert processor._breakers["tone2"]._open_until is not None


async def test_an_engine_that_rests_still_says_what_it_lacks() -> None:
    async with node(tone2=ToneOptions(load_error="no weights")) as (processor, _):
        for _ in range(8):
            with pytest.raises(EngineError, match="no weights"):
                await say(processor, "Hello.", voice="tone2-own")
        with pytest.raises(EngineError, match=r"no weights.* rests for"):
            await say(processor, "Hello.", voice="tone2-own")


async def test_refused_texts_bring_no_engine_to_rest() -> None:
    async with node() as (processor, _):
        for _ in range(8):
            with pytest.raises(RequestError):
                await say(processor, "unknown")
        assert (await say(processor, "Hello."))[1] == "tone2"


@pytest.mark.neural
@pytest.mark.parametrize("error", ["OutOfMemoryError", "AcceleratorError"])
async def test_the_next_engine_speaks_for_one_whose_device_fails_and_whose_process_ends(error: str) -> None:
    async with node(tone2=ToneOptions(fail_at="Two", fail_with=error)) as (processor, pool):
        await pool.load("tone2")
        heard, engine, warning = await say(processor, "Two words.")
        assert (heard, engine) == ("Two words.", "tone3")
        assert warning
        assert f"{error}: told to fail" in warning
        async with asyncio.timeout(LIMIT):
            while pool.states()[0].losses == 0:  # noqa: ASYNC110 - the pool tells its state, not its changes
                await asyncio.sleep(0.01)
        assert (await say(processor, "Hello."))[:2] == ("Hello.", "tone2")
