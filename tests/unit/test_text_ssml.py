import pytest
from defusedxml.ElementTree import fromstring

from voicenode.errors import ErrorCode, RequestError
from voicenode.text import segment_ssml, strip_ssml

DOCUMENT = """<?xml version="1.0"?>
<speak version="1.1" xml:lang="en-US" xmlns="http://www.w3.org/2001/10/synthesis">
  Hello <prosody rate="slow">big &amp; bad world. Dr. Smith left.<break time="1s"/> He is
  <emphasis>here</emphasis></prosody>.
  <p>One <voice name="de">two</voice>.</p>
  <p><s>Three <audio src="x">instead<desc>of it</desc></audio></s> <sub alias="World &lt; Web">W</sub>
  <say-as interpret-as="time">5 p.m. A</say-as> <foo>four</foo><mark name="m"/></p>
</speak>"""


def test_each_segment_is_a_sentence_in_a_document_of_its_own() -> None:
    root = '<speak version="1.1" xml:lang="en-US">'
    assert segment_ssml(DOCUMENT, 300) == [
        f'{root} Hello <prosody rate="slow">big &amp; bad world. </prosody></speak>',
        f'{root}<prosody rate="slow">Dr. Smith left.<break time="1s"/> </prosody></speak>',
        f'{root}<prosody rate="slow">He is <emphasis>here</emphasis></prosody>. </speak>',
        f"{root}<p>One two.</p></speak>",
        f"{root} <p><s>Three instead</s></p></speak>",
        f'{root}<p> World &lt; Web <say-as interpret-as="time">5 p.m. A</say-as> four</p> </speak>',
    ]


def test_every_segment_is_well_formed_and_bounded() -> None:
    found = segment_ssml(
        f"<speak><p>{'<s>one &lt; two three <break/>four' * 50}{'</s>' * 50}</p></speak>", 10
    )
    assert len(found) > 50
    for document in found:
        assert len("".join(fromstring(document).itertext()).strip()) <= 10


def test_stripped_of_tags_the_text_and_its_pauses_remain() -> None:
    assert strip_ssml(DOCUMENT) == (
        "Hello big & bad world. Dr. Smith left.\n\nHe is here.\n\nOne two.\n\nThree instead\n\n"
        "World < Web 5 p.m. A four"
    )
    assert strip_ssml(
        'a<break/>b<break strength="none"/>c<break strength="x-strong"/>d<break time="200ms"/>e'
    ) == ("a bc\n\nd e")


@pytest.mark.parametrize(
    ("fragment", "segments"),
    [
        ("<break/>hi", ["<speak><break/>hi</speak>"]),
        ("plain text", ["<speak>plain text</speak>"]),
        ("<p>a</p><p>b</p>", ["<speak><p>a</p></speak>", "<speak><p>b</p></speak>"]),
        ("<voice name='x'>hi</voice>", ["<speak>hi</speak>"]),
        ('\n<!DOCTYPE speak PUBLIC "a" "b"><speak>ok 👍</speak>', ["<speak>ok </speak>"]),
        ('<phoneme ph="x"/>', ['<speak><phoneme ph="x"></phoneme></speak>']),
        ("<speak>a <speak>b</speak></speak>", ["<speak>a b</speak>"]),
    ],
)
def test_what_is_not_quite_a_document_is_taken_as_meant(fragment: str, segments: list[str]) -> None:
    assert segment_ssml(fragment, 300) == segments


@pytest.mark.parametrize(
    "document", ["", "  ", "<speak/>", "<speak><break/></speak>", "<speak>... 👍</speak>"]
)
def test_blank_ssml_gives_no_segment(document: str) -> None:
    assert segment_ssml(document, 300) == []


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><speak>&a;</speak>'


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<speak>a", "line 1, column 9: no element found"),
        ("\n<speak>\n a & b</speak>", "line 3, column 5"),
        ("a & b", "line 1, column 4"),
        ("<speak>a</speak>b", "line 1, column 17: junk"),
        ("<html>a</html>", "the root is <html>"),
        ("<?xml version='1.0'?><p>a</p>", "the root is <p>"),
        (f"<speak>{'<p>' * 10_000}{'</p>' * 10_000}</speak>", "nested more than 100 deep"),
        (BOMB, "entities may not be declared"),
        (FILE, "entities may not be declared"),
        ("<speak>&nbsp;</speak>", "line 1, column 8: undefined entity"),
        ("<speak>\0</speak>", "line 1, column 8"),
        ("a \ud800", "character 3"),
        ("<speak><x:y/></speak>", "unbound prefix"),
        (f"<prosody a='{'x' * 3000}'>A. B.</prosody>", "more than 2000 characters"),
    ],
)
def test_bad_ssml_is_refused_with_its_place(document: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        segment_ssml(document, 300)
    assert caught.value.code is ErrorCode.BAD_SSML


def test_a_large_document_takes_no_more_than_linear_time() -> None:
    assert len(segment_ssml(f"<speak>{'<p>Dr. Smith left.</p><break/>' * 10_000}</speak>", 300)) == 10_000
    assert len(segment_ssml(f"<speak>{'<break/>' * 50_000}a</speak>", 300)) == 1
