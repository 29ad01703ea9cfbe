"""Cloned voices in the catalogue: what names them, and what is answered when they are gone."""

from dataclasses import replace

import pytest

from voicenode.errors import ErrorCode, RequestError
from voicenode.voice import Voice
from voicenode.voices import Catalogue

VOICES = [
    Voice("espeak-en-us", "espeak", "en-us", "English", ("en-US",)),
    Voice("espeak-en-gb", "espeak", "en-gb", "English", ("en-GB",)),
    Voice("espeak-de", "espeak", "de", "German", ("de",)),
    Voice("xtts-anna", "xtts", "anna", "Anna", ("en", "de")),
]


def cloned(*voices: Voice) -> dict[str, Voice]:
    """As a catalogue gets them: by name, which the first engine has, and by engine and name."""
    by_engine = {f"{voice.engine}-{voice.name.casefold()}": voice for voice in voices}
    return {voice.name.casefold(): voice for voice in reversed(voices)} | by_engine


BERTA = Voice("Berta", "xtts", "Berta", "Berta", ("de", "en"), cloned=True)
OF_F5 = replace(BERTA, engine="f5", languages=("de",))


@pytest.mark.parametrize("wish", [{}, {"language": "en"}, {"name": "nanny"}, {"language": "de"}])
def test_a_cloned_voice_does_for_every_setting_while_it_is_there(wish: dict[str, str]) -> None:
    before = Catalogue(VOICES, "berta", {"en": "BERTA"}, {"nanny": "berta"})
    there = before.with_cloned(cloned(BERTA), [BERTA])
    there.check()
    assert there.choose(**wish).voice == BERTA
    assert there.needed == {"Berta"}
    for without in (before, there.with_cloned({}, [])):
        with pytest.raises(RequestError, match=r"(?i)'berta'") as raised:
            without.choose(**wish)
        assert raised.value.code is ErrorCode.UNKNOWN_VOICE


def test_whoever_does_not_need_a_voice_that_is_gone_is_not_refused() -> None:
    catalogue = Catalogue(VOICES, "berta", {"de": "espeak-de", "en": "berta"})
    assert catalogue.choose("espeak-en-gb").voice.name == "espeak-en-gb"
    assert catalogue.choose(language="de-AT").voice.name == "espeak-de"
    assert catalogue.choose(engine="espeak", language="en").voice.engine == "espeak"
    assert catalogue.default_name == "berta"


def test_an_alias_never_stands_for_a_voice_that_only_has_its_name() -> None:
    catalogue = Catalogue(VOICES, "espeak-de", aliases={"xtts-anna": "berta"})
    with pytest.raises(RequestError, match="unknown voice 'berta'"):
        catalogue.choose("xtts-anna")


@pytest.mark.parametrize(
    ("default_voice", "engine", "speaks"),
    [("berta", None, BERTA), ("berta", "f5", OF_F5), ("f5-berta", None, OF_F5)],
)
def test_the_default_engine_speaks_in_a_cloned_default_voice(
    default_voice: str, engine: str | None, speaks: Voice
) -> None:
    catalogue = Catalogue(VOICES, default_voice, default_engine=engine)
    catalogue = catalogue.with_cloned(cloned(BERTA, OF_F5), [BERTA])
    assert catalogue.choose().voice == speaks
    assert catalogue.choose(engine="xtts").voice == BERTA
    assert catalogue.choose(engine="f5").voice == OF_F5


def test_a_cloned_voice_that_was_chosen_is_looked_up_anew_when_it_was_made_anew() -> None:
    catalogue = Catalogue(VOICES, "espeak-de").with_cloned(cloned(BERTA), [BERTA])
    catalogue.set_default("berta")
    assert catalogue.needed == {"Berta"}
    again = replace(BERTA, revision=2)
    assert catalogue.with_cloned(cloned(again), [again]).choose().voice == again
    with pytest.raises(RequestError, match="default_voice is 'berta', and that voice is gone"):
        catalogue.with_cloned({}, []).choose()
    gone = catalogue.with_cloned({}, [])
    gone.set_default("Berta")  # as it is put back after a change that was refused
    with pytest.raises(RequestError, match="unknown voice 'nobody'"):
        gone.set_default("nobody")
