"""Which quality profiles there are, what they may say, and which one a request gets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from annotated_types import Ge

from voicenode.engine import NoParameters
from voicenode.errors import ErrorCode, RequestError, SetupError
from voicenode.quality import QualityProfile, QualityProfiles
from voicenode.request import SPEED_RANGE
from voicenode.settings import Settings
from voicenode.stores.file import FileStore
from voicenode_f5.options import F5Parameters
from voicenode_xtts.options import XttsParameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TYPES: dict[str, type[Any]] = {"xtts": XttsParameters, "f5": F5Parameters, "espeak": NoParameters}
XTTS = ("xtts_balanced", "xtts_expressive", "xtts_stable")
F5 = ("f5tts_fast", "f5tts_balanced", "f5tts_high_quality", "f5tts_ultra_quality", "f5tts_ultra_natural")


@dataclass(frozen=True, slots=True)
class Choosy:
    """Parameters that must go together, one of them a list."""

    weights: tuple[Annotated[float, Ge(0)], ...] = ()
    mode: str = "plain"

    def __post_init__(self) -> None:
        if self.mode == "mixed" and not self.weights:
            raise ValueError("mode mixed needs weights")


@pytest.fixture
def profiles() -> QualityProfiles:
    return QualityProfiles(TYPES, {"f5": "f5tts_fast"})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    async with FileStore(tmp_path) as store:
        yield store


def refused(profiles: QualityProfiles, name: str = "mine", engine: str = "xtts", **values: object) -> str:
    with pytest.raises(RequestError) as caught:
        profiles.made(name, engine, values)
    return str(caught.value)


def name(profile: QualityProfile | None) -> str | None:
    return None if profile is None else profile.name


def test_eight_profiles_are_built_in(profiles: QualityProfiles) -> None:
    assert (profiles.names("xtts"), profiles.names("f5"), profiles.names("espeak")) == (XTTS, F5, ())


def test_the_profiles_of_an_engine_that_is_not_there_are_not_there() -> None:
    assert list(QualityProfiles({"espeak": NoParameters})) == []


@pytest.mark.parametrize("built_in", [each.name for each in QualityProfiles(TYPES)])
def test_what_is_built_in_is_what_its_engine_takes(profiles: QualityProfiles, built_in: str) -> None:
    profile = profiles.find(built_in)
    again = profiles.made("mine", profile.engine, profile.values)
    assert (again.parameters, again.speed) == (profile.parameters, profile.speed)
    assert profiles.without_effect(profile) == []


def test_no_two_built_in_profiles_of_an_engine_are_alike(profiles: QualityProfiles) -> None:
    values = [(profile.engine, sorted(profile.values.items())) for profile in profiles]
    assert all(values.count(each) == 1 for each in values)


def test_speed_is_no_parameter_of_an_engine_of_ours() -> None:
    assert {field.name for kind in TYPES.values() for field in fields(kind)}.isdisjoint({"speed"})


def test_a_profile_may_be_as_fast_as_a_request_and_as_the_node() -> None:
    profiles = QualityProfiles(TYPES)
    for speed in SPEED_RANGE:
        assert profiles.made("mine", "espeak", {"speed": speed}).speed == speed
        assert Settings.model_validate({"speech": {"speed": speed}}).speech.speed == speed
    assert refused(profiles, speed=SPEED_RANGE[1] + 0.1).startswith("speed should be less than or equal to 4")


def test_a_profile_of_ones_own_says_what_its_engine_takes(profiles: QualityProfiles) -> None:
    made = profiles.made("Calm", "xtts", {"temperature": 1, "seed": None, "speed": 0.9}, "Slow")
    assert made == QualityProfile("calm", "xtts", {"temperature": 1.0, "seed": None}, 0.9, "Slow")
    assert made.values == {"temperature": 1.0, "seed": None, "speed": 0.9}


def test_values_are_as_json_has_them() -> None:
    profiles = QualityProfiles({"choosy": Choosy})
    assert profiles.made("mine", "choosy", {"weights": [1, 2]}).parameters == {"weights": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"temperature": 5}, "temperature should be less than or equal to 2, not 5"),
        (
            {"top_k": "many"},
            "top_k should be a valid integer, unable to parse string as an integer, not 'many'",
        ),
        ({"temperature": float("nan")}, "temperature should be"),
        ({"seed": -1}, "seed should be greater than or equal to 0, not -1"),
        (
            {"temperature": 5, "top_p": 0},
            "temperature should be less than or equal to 2, not 5; top_p should be greater than 0, not 0",
        ),
        ({"temprature": 1}, "unknown parameter of engine 'xtts' 'temprature'; did you mean 'temperature'?"),
        ({"sped": 1}, "unknown parameter of engine 'xtts' 'sped'; did you mean 'speed'"),
        ({"enhance_prosody": True}, "unknown parameter of engine 'xtts' 'enhance_prosody'"),
        ({"speed": "fast"}, "speed should be a valid number, unable to parse string as a number, not 'fast'"),
    ],
    ids=str,
)
def test_a_value_that_will_not_do_is_named(
    profiles: QualityProfiles, values: dict[str, Any], sentence: str
) -> None:
    assert refused(profiles, **values).startswith(sentence)


def test_values_that_do_not_go_together_are_refused_in_the_words_of_the_engine() -> None:
    profiles = QualityProfiles({"choosy": Choosy})
    assert "mode mixed needs weights" in refused(profiles, engine="choosy", mode="mixed")
    assert refused(profiles, engine="choosy", weights=[1, -1]).startswith("weights.1 should be greater")


@pytest.mark.parametrize("bad", ["", "two words", "-x", "a/b", "x" * 61, "a\n", "<b>"])
def test_a_name_that_will_not_do_is_refused(profiles: QualityProfiles, bad: str) -> None:
    assert "is no name for a quality profile" in refused(profiles, bad)


def test_what_is_built_in_stays_as_it_is(profiles: QualityProfiles) -> None:
    assert "is built in" in refused(profiles, "XTTS_Stable")
    assert "is built in" in refused(QualityProfiles({"espeak": NoParameters}), "xtts_stable", "espeak")


def test_a_profile_for_no_engine_is_refused(profiles: QualityProfiles) -> None:
    assert refused(profiles, engine="xtt") == "unknown engine 'xtt'; did you mean 'xtts'?"


def test_what_has_no_effect_is_told(profiles: QualityProfiles) -> None:
    made = profiles.made("mine", "xtts", {"length_penalty": 1.2, "enable_text_splitting": True, "top_k": 3})
    assert profiles.without_effect(made) == ["length_penalty", "enable_text_splitting"]


@pytest.mark.parametrize(
    ("engine", "requested", "of_the_voice", "chosen"),
    [
        ("xtts", "xtts_stable", None, "xtts_stable"),
        ("xtts", "XTTS_Stable", "xtts_expressive", "xtts_stable"),
        ("xtts", None, "xtts_expressive", "xtts_expressive"),
        ("xtts", "", "xtts_expressive", "xtts_expressive"),
        ("xtts", None, None, None),
        ("xtts", None, "f5tts_fast", None),
        ("xtts", None, "gone", None),
        ("f5", None, None, "f5tts_fast"),
        ("f5", None, "f5tts_balanced", "f5tts_balanced"),
        ("f5", None, "gone", "f5tts_fast"),
        ("f5", "f5tts_ultra_natural", "f5tts_balanced", "f5tts_ultra_natural"),
        ("espeak", None, None, None),
        ("unheard-of", None, None, None),
    ],
)
def test_the_requests_profile_goes_before_the_voices_before_the_nodes(
    profiles: QualityProfiles,
    engine: str,
    requested: str | None,
    of_the_voice: str | None,
    chosen: str | None,
) -> None:
    assert name(profiles.resolve(engine, requested, of_the_voice)) == chosen


@pytest.mark.parametrize(
    ("engine", "requested", "sentence"),
    [
        (
            "xtts",
            "xtts_stabel",
            "unknown quality profile of engine 'xtts' 'xtts_stabel'; did you mean 'xtts_stable'",
        ),
        (
            "xtts",
            "F5tts_Fast",
            "quality profile 'f5tts_fast' is for engine 'f5', not for 'xtts'; there are: xtts_balanced, x",
        ),
        (
            "espeak",
            "f5tts_fast",
            "quality profile 'f5tts_fast' is for engine 'f5', not for 'espeak'; it has none",
        ),
    ],
)
def test_a_requested_profile_that_is_not_the_engines_is_an_error(
    profiles: QualityProfiles, engine: str, requested: str, sentence: str
) -> None:
    with pytest.raises(RequestError) as caught:
        profiles.resolve(engine, requested)
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("default", ["xtts_stabel", "f5tts_fast"])
def test_a_default_that_is_not_there_is_a_wrong_setting(default: str) -> None:
    with pytest.raises(SetupError, match=r"^default_quality\.xtts: .*xtts_stable") as caught:
        QualityProfiles(TYPES, {"xtts": default}).check_defaults()
    assert caught.value.code is ErrorCode.BAD_SETTINGS


def test_the_default_of_an_engine_that_cannot_be_used_does_not_matter() -> None:
    QualityProfiles({"espeak": NoParameters}, {"xtts": "xtts_stable"}).check_defaults()


async def test_a_profile_is_there_again_when_it_is_loaded(
    profiles: QualityProfiles, store: FileStore
) -> None:
    made = profiles.made("calm", "xtts", {"temperature": 0.5, "speed": 0.9}, "Slow")
    await profiles.put(store, made)
    assert profiles.names("xtts") == (*XTTS, "calm")
    again = QualityProfiles(TYPES)
    await again.load(store)
    assert again.find("calm") == made
    (document,) = await store.list("quality")
    assert document.value == {
        "engine": "xtts",
        "parameters": {"temperature": 0.5, "speed": 0.9},
        "description": "Slow",
    }


async def test_a_profile_that_is_deleted_is_gone(profiles: QualityProfiles, store: FileStore) -> None:
    await profiles.put(store, profiles.made("calm", "xtts", {"temperature": 0.5}))
    await profiles.delete(store, "CALM")
    assert profiles.names("xtts") == XTTS
    assert await store.list("quality") == []
    for absent, why in (("calm", "unknown quality profile"), ("xtts_stable", "is built in")):
        with pytest.raises(RequestError, match=why):
            await profiles.delete(store, absent)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("old", {"engine": "xtts", "parameters": {"enhance_prosody": True}}),
        ("wrong", {"engine": "xtts", "parameters": {"temperature": 9}}),
        ("odd", {"engine": "xtts", "parameters": [1]}),
        ("empty", {}),
        ("xtts_stable", {"engine": "xtts", "parameters": {}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_store_keeps_and_the_engine_does_not_take_is_left_out_and_logged(
    profiles: QualityProfiles,
    store: FileStore,
    key: str,
    value: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await store.put("quality", key, value)
    await store.put("quality", "good", {"engine": "xtts", "parameters": {"top_k": 3}})
    await profiles.load(store)
    assert profiles.names("xtts") == (*XTTS, "good")
    (record,) = caplog.records
    assert f"the quality profile '{key}' is left out" in record.getMessage()


async def test_the_profile_of_another_nodes_engine_is_left_alone(
    store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.put("quality", "theirs", {"engine": "other", "parameters": {"any": 1}})
    profiles = QualityProfiles(TYPES)
    await profiles.load(store)
    assert profiles.names("other") == ()
    assert caplog.records == []
    await profiles.delete(store, "theirs")
    assert await store.list("quality") == []


def test_the_preferred_profile_goes_before_the_configured_one_of_its_engine(
    profiles: QualityProfiles,
) -> None:
    def spoken(engine: str, voice_default: str | None = None) -> str | None:
        found = profiles.resolve(engine, None, voice_default)
        return found.name if found else None

    profiles.prefer("F5tts_Balanced")
    assert (spoken("f5"), spoken("xtts")) == ("f5tts_balanced", None)
    profiles.prefer("xtts_stable")
    assert (spoken("f5"), spoken("xtts")) == ("f5tts_fast", "xtts_stable")
    assert spoken("xtts", "xtts_balanced") == "xtts_balanced"
    profiles.prefer(None)
    assert (spoken("f5"), spoken("xtts")) == ("f5tts_fast", None)
    with pytest.raises(RequestError, match="unknown quality profile 'calm'"):
        profiles.prefer("calm")
