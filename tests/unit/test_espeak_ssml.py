import pytest

from voicenode.engine import ErrorCode, RequestError
from voicenode_espeak.ssml import for_espeak
from voicenode_espeak.voices import voice_files

VOICES = {voice.id: voice for voice in voice_files()}


def rewritten(body: str, voice: str = "en-us") -> str:
    return for_espeak(f"<speak>{body}</speak>", VOICES[voice], VOICES.values())[
        len("<speak>") : -len("</speak>")
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('<prosody rate="slow" onclick="x">a</prosody>', '<prosody rate="slow">a</prosody>'),
        ('a<break time="1s"/>b', 'a<break time="1s"></break>b'),
        ("caf&#233; &lt;b&gt; &amp; [[x]]", "café &lt;b&gt; &amp; [[x]]"),
        ('<audio src="/etc/passwd"><desc>no</desc>instead</audio>', "instead"),
        ("<metadata><a>no</a></metadata><foo>yes</foo>", "yes"),
        ('<sub alias="a &gt; b"><s>c</s></sub><sub>d</sub>', "a &gt; bd"),
        ("<phoneme ph='a\"&gt;b'>c</phoneme>", '<phoneme ph="a  b">c</phoneme>'),
    ],
)
def test_what_espeak_reads_safely_is_kept_and_nothing_else(given: str, expected: str) -> None:
    assert rewritten(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('<s xml:lang="en-GB">a</s>', "<s>a</s>"),
        ('<s xml:lang="de-AT">a</s>', '<s xml:lang="de">a</s>'),
        ('<lang xml:lang="zh-CN">a</lang>', '<voice name="sit/cmn">a</voice>'),
        ('<voice name="espeak-fr-fr">a</voice>', '<voice name="roa/fr">a</voice>'),
        ('<voice name="../../etc/passwd">a</voice>', "<voice>a</voice>"),
        ('<s xml:lang="xx">a</s>', "<s>a</s>"),
    ],
)
def test_a_voice_changes_only_to_one_that_is_there(given: str, expected: str) -> None:
    assert rewritten(given) == expected


def test_an_element_that_crashes_a_voice_is_left_out_for_it() -> None:
    assert rewritten("<emphasis>a</emphasis>") == "<emphasis>a</emphasis>"
    assert rewritten("<emphasis>a</emphasis>", voice="mto") == "a"


@pytest.mark.parametrize(
    "document",
    [
        "<speak>",
        "plain",
        "<speak>\x01</speak>",
        '<!DOCTYPE x [<!ENTITY a "b">]><speak>&a;</speak>',
        "<speak>" + '<voice xml:lang="de">' * 30 + "</voice>" * 30 + "</speak>",
    ],
)
def test_a_document_that_espeak_must_not_see_is_bad_ssml(document: str) -> None:
    with pytest.raises(RequestError) as caught:
        for_espeak(document, VOICES["en-us"], VOICES.values())
    assert caught.value.code == ErrorCode.BAD_SSML
