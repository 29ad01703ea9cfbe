import re
from pathlib import Path

import pytest

from voicenode.engine import EngineError
from voicenode.errors import ErrorCode, SetupError
from voicenode_espeak import EspeakEngine, EspeakOptions, voices

BCP47 = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?(-[a-z0-9]{5,8})?(-x(-[a-z0-9]{1,8})+)?")


def engine_voices(*languages: str) -> dict[str, tuple[str, ...]]:
    found = EspeakEngine(EspeakOptions(languages=languages)).voices()
    return {voice.id: voice.languages for voice in found if voice.advertised}


def test_every_voice_with_a_dictionary_is_there_and_no_other() -> None:
    found = engine_voices()
    assert len(found) == 138
    assert not {"fo", "kaa", "xex"} & set(found)


@pytest.mark.parametrize(
    ("voice", "languages"),
    [
        ("en-us", ("en-US", "en")),
        ("en-gb", ("en-GB", "en")),
        ("en-gb-x-rp", ("en-GB-x-rp", "en-GB", "en")),
        ("de", ("de",)),
        ("fr-fr", ("fr-FR", "fr")),
        ("pt-br", ("pt-BR", "pt")),
        ("es-419", ("es-419", "es-MX")),
        ("cmn", ("zh-CN", "zh")),
        ("yue", ("zh-HK", "yue", "zh")),
        ("yue-latn-jyutping", ("zh-HK", "yue", "zh")),
        ("ca-va", ("ca-valencia",)),
        ("nb", ("nb", "no")),
        ("piqd", ("tlh-Piqd",)),
    ],
)
def test_languages_are_written_as_home_assistant_does(voice: str, languages: tuple[str, ...]) -> None:
    assert engine_voices()[voice] == languages


def test_every_language_is_well_formed_bcp47() -> None:
    assert [tag for tags in engine_voices().values() for tag in tags if not BCP47.fullmatch(tag)] == []


@pytest.mark.parametrize(
    ("tag", "voice"),
    [
        ("en", "en-gb"),
        ("en-GB", "en-gb"),
        ("fr", "fr-fr"),
        ("pt", "pt"),
        ("zh", "cmn"),
        ("zh-HK", "yue"),
        ("hy", "hy"),
    ],
)
def test_the_usual_voice_of_a_language_comes_first(tag: str, voice: str) -> None:
    assert next(id_ for id_, tags in engine_voices().items() if tag in tags) == voice


def test_only_the_languages_of_the_settings_are_advertised() -> None:
    assert set(engine_voices("de", "pt-br")) == {"de", "pt-br"}
    assert {"en-us", "en-gb", "en-029"} <= set(engine_voices("en"))
    assert "de" not in engine_voices("en")
    assert len(EspeakEngine(EspeakOptions(languages=("de",))).voices()) == 138


def test_a_language_that_espeak_lacks_is_an_error_that_names_its_neighbours() -> None:
    with pytest.raises(SetupError, match=r"espeak\.languages.*'de-DE'.*did you mean de") as caught:
        engine_voices("de-DE")
    assert caught.value.code == ErrorCode.BAD_SETTINGS


def test_a_dozen_variants_are_shown_and_the_others_accepted() -> None:
    voice = EspeakEngine(EspeakOptions()).voices()[0]
    assert voice.speakers == voices.SPEAKERS
    assert len(voice.speakers) == 12
    assert {"f1", "klatt", "Mr serious"} <= set(voice.other_speakers)
    assert not set(voice.speakers) & set(voice.other_speakers)


def test_descriptions_are_for_people() -> None:
    named = {voice.id: voice.description for voice in EspeakEngine(EspeakOptions()).voices()}
    assert named["en-us"] == "English (America)"
    assert named["nb"] == "Norwegian Bokmål"
    assert named["chr-us-qaaa-x-west"] == "Cherokee"


def test_data_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "package_folder", lambda: tmp_path)
    with pytest.raises(EngineError, match=re.escape(str(tmp_path))) as caught:
        voices.data_folder()
    assert caught.value.code == ErrorCode.ENGINE_UNAVAILABLE


def test_a_wheel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "find_spec", lambda _name: None)
    with pytest.raises(EngineError, match="pip install espeakng-loader") as caught:
        voices.package_folder()
    assert caught.value.code == ErrorCode.ENGINE_UNAVAILABLE


def test_the_licence_is_named() -> None:
    assert EspeakEngine.info.licence.startswith("GPL-3.0")
