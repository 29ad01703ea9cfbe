from dataclasses import replace

import pytest

from voicenode.errors import ErrorCode, RequestError, SetupError
from voicenode.voice import Voice
from voicenode.voices import Catalogue


def voice(name: str, *languages: str, speakers: tuple[str, ...] = (), other: tuple[str, ...] = ()) -> Voice:
    engine, _, own = name.partition("-")
    return Voice(name, engine, own, name, languages, speakers, other)


VOICES = [
    voice("espeak-de", "de", speakers=("Whisper",), other=("croak",)),
    voice("espeak-en-gb", "en-GB", "en"),
    voice("espeak-en-us", "en-US", "en"),
    voice("espeak-pt", "pt-PT", "pt"),
    voice("espeak-pt-br", "pt-BR", "pt"),
    voice("xtts-anna", "en-US", "de"),
]


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(VOICES, "espeak-en-us", {"pt": "espeak-pt-br"}, {"Butler": "espeak-en-gb"})


@pytest.mark.parametrize(
    ("name", "language", "engine", "chosen"),
    [
        (None, None, None, "espeak-en-us"),
        ("", "", "", "espeak-en-us"),
        ("espeak-de", None, None, "espeak-de"),
        ("ESPEAK-DE", None, None, "espeak-de"),
        ("butler", None, None, "espeak-en-gb"),
        ("espeak-de", "en", None, "espeak-de"),
        (None, "en-GB", None, "espeak-en-gb"),
        (None, "en_gb", None, "espeak-en-gb"),
        (None, "en", None, "espeak-en-us"),
        (None, "en-AU", None, "espeak-en-us"),
        (None, "de-AT", None, "espeak-de"),
        (None, "pt-PT", None, "espeak-pt"),
        (None, "pt", None, "espeak-pt-br"),
        (None, "pt-AO", None, "espeak-pt-br"),
        (None, "tlh", None, "espeak-en-us"),
        (None, None, "xtts", "xtts-anna"),
        (None, "de", "xtts", "xtts-anna"),
    ],
)
def test_the_named_voice_speaks_else_the_languages_else_the_default(
    catalogue: Catalogue, name: str | None, language: str | None, engine: str | None, chosen: str
) -> None:
    assert catalogue.choose(name, None, language, engine).voice.name == chosen


def test_the_spoken_language_is_spelt_as_the_voice_spells_it(catalogue: Catalogue) -> None:
    assert catalogue.choose(language="EN_gb").language == "en-GB"
    assert catalogue.choose("xtts-anna", language="de-CH").language == "de"
    assert catalogue.choose("espeak-de", language="fr").language == "de"


@pytest.mark.parametrize(
    ("asked", "given"), [(None, None), ("", None), ("whisper", "Whisper"), ("CROAK", "croak")]
)
def test_a_speaker_is_shown_or_only_known(catalogue: Catalogue, asked: str | None, given: str | None) -> None:
    assert catalogue.choose("espeak-de", asked).speaker == given


@pytest.mark.parametrize(
    ("words", "code", "near"),
    [
        ({"name": "espeak-en-uk"}, ErrorCode.UNKNOWN_VOICE, "espeak-en-us"),
        ({"name": "espeak-de", "speaker": "wisper"}, ErrorCode.UNKNOWN_SPEAKER, "Whisper"),
        ({"engine": "xttsv2"}, ErrorCode.UNKNOWN_ENGINE, "xtts"),
        ({"name": "espeak-de", "engine": "xtts"}, ErrorCode.UNKNOWN_VOICE, "espeak"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(
    catalogue: Catalogue, words: dict[str, str], code: ErrorCode, near: str
) -> None:
    with pytest.raises(RequestError, match=near) as raised:
        catalogue.choose(**words)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("language", "chosen"),
    [
        (None, "f5-en"),
        ("en", "f5-en"),
        ("en-US", "f5-en"),
        ("zh-CN", "f5-en"),
        ("pt", "espeak-pt-br"),
        ("de-AT", "espeak-de"),
        ("sv", "f5-en"),
    ],
)
def test_the_default_engine_speaks_what_it_can(language: str | None, chosen: str) -> None:
    voices = [*VOICES, voice("f5-zh", "zh", "en"), voice("f5-en", "en", "zh")]
    languages = {"pt": "espeak-pt-br"}
    catalogue = Catalogue(voices, "espeak-en-us", languages, default_engine="f5")
    assert catalogue.choose(language=language).voice.name == chosen
    assert catalogue.choose("espeak-de").voice.name == "espeak-de"


@pytest.mark.parametrize(
    ("default_voice", "engine", "chosen"),
    [
        ("espeak-en-us", None, "espeak-en-us"),
        ("espeak-en-us", "espeak", "espeak-en-us"),
        ("espeak-en-us", "xtts", "xtts-anna"),
        ("espeak-pt", "xtts", "xtts-anna"),
        ("espeak-en-us", "f5", "espeak-en-us"),
    ],
    ids=str,
)
def test_an_engine_without_voices_is_no_default(default_voice: str, engine: str | None, chosen: str) -> None:
    assert Catalogue(VOICES, default_voice, default_engine=engine).default_name == chosen


def test_the_configured_voice_of_a_language_goes_before_the_default_engine() -> None:
    catalogue = Catalogue(VOICES, "espeak-en-us", {"de": "espeak-de"}, default_engine="xtts")
    assert catalogue.choose(language="de-AT").voice.name == "espeak-de"
    assert catalogue.choose(language="en-GB").voice.name == "xtts-anna"


def test_a_default_that_is_set_later_goes_before_the_default_engine() -> None:
    catalogue = Catalogue(VOICES, "espeak-en-us", default_engine="xtts")
    catalogue.set_default("espeak-de")
    assert catalogue.choose().voice.name == "espeak-de"


def test_voices_without_speakers_show_quality_profiles_as_speakers() -> None:
    before = Catalogue(VOICES, "xtts-anna", {"de": "xtts-anna"}, {"Butler": "xtts-anna"})
    after = before.with_qualities({"xtts": ("calm", "lively"), "espeak": ()})
    shown = {voice.name: voice.speakers for voice in after if voice.speakers}
    assert shown == {"espeak-de": ("Whisper",), "xtts-anna": ("calm", "lively")}
    for wish in ({}, {"name": "butler"}, {"language": "de"}, {"name": "xtts-anna"}):
        choice = after.choose(**wish, speaker="LIVELY")
        assert (choice.voice.name, choice.speaker, choice.quality) == ("xtts-anna", None, "lively")
    assert after.choose("espeak-de", "whisper").quality is None
    assert after.choose("xtts-anna").quality is None
    assert next(voice for voice in before if voice.name == "xtts-anna").speakers == ()


def test_quality_profiles_come_and_go() -> None:
    catalogue = Catalogue(VOICES, "xtts-anna").with_qualities({"xtts": ("calm",)})
    assert catalogue.with_qualities({"xtts": ("lively",)}).choose(speaker="lively").quality == "lively"
    with pytest.raises(RequestError, match="unknown speaker 'calm' of voice 'xtts-anna'") as raised:
        catalogue.with_qualities({}).choose(speaker="calm")
    assert raised.value.code is ErrorCode.UNKNOWN_SPEAKER
    assert [*catalogue.with_qualities({})] == VOICES


def test_an_unknown_speaker_is_named_with_the_voice_that_lacks_it(catalogue: Catalogue) -> None:
    with pytest.raises(RequestError, match="unknown speaker 'wisper' of voice 'espeak-de'; did you mean"):
        catalogue.choose("espeak-de", "wisper")


def test_a_name_that_was_not_finished_is_answered_with_its_endings_first() -> None:
    names = ("en-us", "te", "tn", "nl", "en-gb-x-rp")
    voices = [Voice(f"espeak-{name}", "espeak", name, name, ("en",)) for name in names]
    with pytest.raises(RequestError, match="mean 'espeak-en-us' or 'espeak-en-gb-x-rp'"):
        Catalogue(voices, "espeak-en-us").choose("espeak-en")


def test_a_very_long_name_is_not_repeated_whole(catalogue: Catalogue) -> None:
    with pytest.raises(RequestError) as raised:
        catalogue.choose("x" * 1_000_000)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"default_voice": "nobody"}, "default_voice"),
        ({"default_voice": "espeak-de", "language_voices": {"en": "nobody"}}, "language_voices.en"),
        ({"default_voice": "espeak-de", "aliases": {"butler": "nobody"}}, "aliases.butler"),
        (
            {"default_voice": "espeak-de", "also_named": {"fallback.voices.de": "nobody"}},
            "fallback.voices.de",
        ),
        ({"default_voice": "espeak-de", "aliases": {"a": "b", "b": "espeak-de"}}, "aliases.a"),
    ],
)
def test_a_setting_that_names_no_voice_is_named(settings: dict[str, object], key: str) -> None:
    catalogue = Catalogue(VOICES, **settings)  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=key):
        catalogue.check()


def multilingual(name: str, *languages: str) -> Voice:
    return replace(voice(name, *languages), multilingual=True)


ANNA = multilingual("xtts-anna", "en", "de", "zh-CN")


@pytest.mark.parametrize("name", ["xtts-anna-de", "XTTS-Anna-DE", "nanny-de"])
def test_a_multilingual_voice_has_a_name_for_each_language(name: str) -> None:
    catalogue = Catalogue([*VOICES[:-1], ANNA], "espeak-de", aliases={"nanny": "xtts-anna"})
    choice = catalogue.choose(name)
    assert (choice.voice.name, choice.voice.id, choice.language) == ("xtts-anna-de", "anna", "de")
    assert not choice.language_open
    assert catalogue.choose(name, language="zh").language == "zh-CN"


@pytest.mark.parametrize(("language", "spoken"), [("zh-cn", "zh-CN"), ("zh", "zh-CN")])
def test_such_a_name_may_leave_the_region_out(language: str, spoken: str) -> None:
    assert Catalogue([ANNA], "xtts-anna").choose(f"xtts-anna-{language}").language == spoken


@pytest.mark.parametrize("name", ["xtts-anna-fr", "xtts-anna-", "espeak-de-de"])
def test_no_voice_is_made_up_for_a_language_that_it_lacks(name: str) -> None:
    with pytest.raises(RequestError, match="unknown voice"):
        Catalogue([*VOICES[:-1], ANNA], "espeak-de").choose(name)


def test_a_voice_that_bears_such_a_name_itself_goes_first() -> None:
    german = voice("xtts-anna-de", "de")
    assert Catalogue([ANNA, german], "xtts-anna").choose("xtts-anna-de").voice == german


@pytest.mark.parametrize(
    ("name", "language", "is_open"),
    [
        ("xtts-anna", None, True),
        ("xtts-anna", "fr", True),
        ("xtts-anna", "de", False),
        (None, "zh", False),
        ("espeak-en-gb", None, False),
    ],
)
def test_the_text_decides_only_where_nobody_named_a_language_of_the_voice(
    name: str | None, language: str | None, *, is_open: bool
) -> None:
    catalogue = Catalogue([*VOICES[:-1], ANNA], "xtts-anna")
    assert catalogue.choose(name, language=language).language_open == is_open


def test_the_name_with_a_language_does_for_every_setting() -> None:
    catalogue = Catalogue(
        [*VOICES[:-1], ANNA],
        "xtts-anna-de",
        {"en": "xtts-anna-en"},
        {"nanny": "xtts-anna-zh"},
        default_engine="xtts",
    ).with_qualities({"xtts": ("calm",)})
    spoken = {
        language: (choice.voice.name, choice.language)
        for language in (None, "en", "de", "pt-BR")
        for choice in [catalogue.choose(language=language)]
    }
    assert spoken == {
        None: ("xtts-anna-de", "de"),
        "en": ("xtts-anna-en", "en"),
        "de": ("xtts-anna-de", "de"),
        "pt-BR": ("espeak-pt-br", "pt-BR"),
    }
    assert catalogue.choose("nanny", "calm").quality == "calm"
    catalogue.set_default("nanny")
    assert catalogue.choose().language == "zh-CN"
