import json
from typing import TYPE_CHECKING, cast

from wyoming.event import Event
from wyoming.info import Info

from tests.support.wyoming_door import VOICES, FakeProcessor
from voicenode.framing import MAX_HEADER
from voicenode.transports.wyoming.info import Description
from voicenode.voice import Voice
from voicenode.voices import Catalogue

if TYPE_CHECKING:
    from voicenode.processor import VoiceProcessor


def description(processor: FakeProcessor) -> Description:
    return Description(cast("VoiceProcessor", processor), "kitchen", "1.2.3")


def info(stream: bytes) -> Info:
    line, _, data = stream.partition(b"\n")
    assert len(line) < MAX_HEADER
    return Info.from_event(Event(json.loads(line)["type"], json.loads(data)))


async def test_one_program_named_as_the_node_holds_the_voices() -> None:
    (program,) = info(description(FakeProcessor())()).tts
    assert (program.name, program.version, program.installed) == ("kitchen", "1.2.3", True)
    assert program.supports_synthesize_streaming
    plain, deutsch = program.voices
    assert (plain.name, plain.description, plain.languages) == ("tone-plain", "Plain tone", ["en-US", "en"])
    assert plain.installed
    assert [speaker.name for speaker in plain.speakers or []] == ["soft", "loud"]
    assert deutsch.speakers is None


async def test_it_says_what_the_stock_library_would_say() -> None:
    stream = description(FakeProcessor())()
    assert json.loads(stream.partition(b"\n")[2]) == info(stream).event().data


async def test_voices_that_are_not_advertised_are_left_out() -> None:
    (program,) = info(description(FakeProcessor())()).tts
    assert "tone-hidden" in {voice.name for voice in VOICES}
    assert "tone-hidden" not in {voice.name for voice in program.voices}


async def test_every_voice_says_who_made_it() -> None:
    (program,) = info(description(FakeProcessor())()).tts
    assert program.attribution.name
    assert all(voice.attribution.name == "tone" for voice in program.voices)


async def test_the_answer_is_made_once_for_a_catalogue_and_again_for_the_next() -> None:
    processor = FakeProcessor()
    describe = description(processor)
    first = describe()
    assert describe() is first
    processor.catalogue = Catalogue([Voice("tone-new", "tone", "new", "New tone", ("en",))], "tone-new")
    assert [voice.name for voice in info(describe()).tts[0].voices] == ["tone-new"]


async def test_a_multilingual_voice_is_listed_once_for_each_language() -> None:
    processor = FakeProcessor()
    anna = Voice("xtts-anna", "xtts", "anna", "Anna", ("en", "zh-CN"), multilingual=True)
    processor.catalogue = Catalogue([anna], "xtts-anna")
    listed = info(description(processor)()).tts[0].voices
    assert [(voice.name, voice.languages, voice.description) for voice in listed] == [
        ("xtts-anna-en", ["en"], "Anna"),
        ("xtts-anna-zh-cn", ["zh-CN"], "Anna"),
    ]
