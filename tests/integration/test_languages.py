"""The language in which a multilingual voice speaks, told by the tone engine at the word `language`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support import speech, tone
from tests.support.engines.voicenode_tone import ToneOptions, spell
from voicenode.cast import FallbackRules
from voicenode.errors import ErrorCode, RequestError
from voicenode.processor import VoiceProcessor
from voicenode.request import SynthesisRequest
from voicenode.voice import Voice
from voicenode.voices import Catalogue
from voicenode.workers.pool import EnginePool

pytestmark = pytest.mark.usefixtures("tone_engine", "heartbeat")

ANNA = Voice("tone-anna", "tone", "anna", "Anna", ("en", "de", "fr"), multilingual=True)
ELSE = Voice("tone2-else", "tone2", "else", "Else", ("de",))
ERIC = Voice("tone2-eric", "tone2", "eric", "Eric", ("en",))
GERMAN = "Das Licht in der Küche ist an, und unsere language ist gut."
ENGLISH = "The light in the kitchen is on, and the language is good."


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    async with tone.pool(tone.spec(), tone.spec("tone2")) as pool:
        yield pool


def processor(pool: EnginePool, default: str = "tone-anna", **rules: object) -> VoiceProcessor:
    made = speech.processor(pool, **rules)
    made.catalogue = Catalogue([ANNA, ELSE, ERIC], default)
    return made


async def say(processor: VoiceProcessor, request: SynthesisRequest) -> str:
    async with processor.speak(request) as speech:
        return spell(b"".join([chunk async for chunk in speech]))


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


@pytest.mark.parametrize(
    ("request_", "language"),
    [
        (SynthesisRequest(text=GERMAN), "de"),
        (SynthesisRequest(text=ENGLISH), "en"),
        (SynthesisRequest(text=GERMAN, language="fr"), "fr"),
        (SynthesisRequest(text=GERMAN, language="sv"), "de"),
        (SynthesisRequest(text=GERMAN, voice="tone-anna-fr"), "fr"),
        (SynthesisRequest(text="language 42"), "en"),
        (SynthesisRequest(text=f"<speak>{GERMAN}</speak>", text_format="ssml"), "de"),
    ],
)
async def test_a_multilingual_voice_speaks_the_requests_language_else_its_names_else_the_texts(
    pool: EnginePool, request_: SynthesisRequest, language: str
) -> None:
    spoken = await say(processor(pool), request_)
    said = request_.text if isinstance(request_.text, str) else ""
    assert spoken.strip() == said.replace("language", language).replace("<speak>", "").replace("</speak>", "")


async def test_what_is_too_short_is_in_the_nodes_language_where_the_voice_speaks_that(
    pool: EnginePool,
) -> None:
    request = SynthesisRequest(text="language 42", voice="tone-anna")
    assert (await say(processor(pool, "tone2-else"), request)).strip() == "de 42"
    assert (await say(processor(pool, "tone-anna-fr"), SynthesisRequest(text="language"))).strip() == "fr"


async def test_a_text_that_is_being_written_stays_in_the_language_of_its_first_sentence(
    pool: EnginePool,
) -> None:
    request = SynthesisRequest(text=pieces("Das Li", "cht ist an. Ja, das", " ist language so. ", ENGLISH))
    spoken = await say(processor(pool), request)
    said = f"Das Licht ist an. Ja, das ist de so. {ENGLISH.replace('language', 'de')}"
    assert spoken.split() == said.split()


async def test_the_engine_loads_while_the_first_sentence_is_being_written(pool: EnginePool) -> None:
    async def writer() -> AsyncIterator[str]:
        yield "Das Licht"
        while pool.states()[0].state != "ready":  # noqa: ASYNC110 - the pool tells its state, not its changes
            await asyncio.sleep(0)
        yield " ist an. language"

    assert (await say(processor(pool), SynthesisRequest(text=writer()))).split() == [
        *["Das", "Licht", "ist", "an.", "de"]
    ]


async def test_who_steps_in_speaks_the_language_of_the_text() -> None:
    async with tone.pool(tone.spec(options=ToneOptions(fail_at="Das")), tone.spec("tone2")) as pool:
        steps_in = processor(pool, fallback=FallbackRules(engines=("tone", "tone2")))
        async with steps_in.speak(SynthesisRequest(text=GERMAN)) as speech:
            assert [chunk async for chunk in speech]
            assert speech.voice == ELSE


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SynthesisRequest(text=pieces(*["   "] * 10_000)), ErrorCode.TEXT_TOO_LONG),
        (SynthesisRequest(text="<speak>hi", text_format="ssml"), ErrorCode.BAD_SSML),
    ],
)
async def test_a_text_whose_language_cannot_be_asked_for_is_refused(
    pool: EnginePool, request_: SynthesisRequest, code: ErrorCode
) -> None:
    with pytest.raises(RequestError) as raised:
        await say(processor(pool), request_)
    assert raised.value.code == code
