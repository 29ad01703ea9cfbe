"""Which source of a setting wins, and how each is named."""

import os
from pathlib import Path

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.settings import LoadedSettings, load

ENGINES = {"espeak": "voicenode_espeak:EspeakEngine"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "voicenode.yaml"
    path.touch()
    return path


def from_environment(file: Path, **variables: str) -> LoadedSettings:
    return load(file, {}, variables, ENGINES)


def refusal(file: Path, **variables: str) -> str:
    with pytest.raises(SetupError) as caught:
        from_environment(file, **variables)
    assert caught.value.code is ErrorCode.BAD_SETTINGS
    return str(caught.value)


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(file: Path) -> None:
    file.write_text("wyoming:\n  idle_timeout: 1\n  stall_timeout: 1\n  max_connections: 1\n")
    variables = {"VOICENODE_WYOMING__STALL_TIMEOUT": "2", "VOICENODE_WYOMING__MAX_CONNECTIONS": "2"}
    loaded = load(file, {"wyoming.max_connections": 3, "mdns.enabled": None}, variables, ENGINES)
    expected = {
        "wyoming.max_connections": (3, "command line"),
        "wyoming.stall_timeout": (2, "environment VOICENODE_WYOMING__STALL_TIMEOUT"),
        "wyoming.idle_timeout": (1, f"{file}:2"),
        "mdns.enabled": (True, "default"),
    }
    assert {path: (loaded.values[path], loaded.sources[path]) for path in expected} == expected


def test_every_setting_has_a_value_and_a_source(file: Path) -> None:
    file.write_text("aliases: {butler: espeak-en-gb}\nengines: {espeak: {rate: 200}}\n")
    loaded = load(file, {"wyoming.uri": ("tcp://:1", "stdio://")}, {}, ENGINES)
    assert loaded.values.keys() == loaded.sources.keys()
    assert loaded.values["aliases.butler"] == "espeak-en-gb"
    assert loaded.values["wyoming.uri"] == ["tcp://:1", "stdio://"]
    assert loaded.sources["engines.espeak.rate"] == f"{file}:2"
    assert loaded.sources["engines.espeak.pitch"] == "default"


def test_maps_from_several_sources_are_joined(file: Path) -> None:
    file.write_text("aliases: {butler: espeak-en-gb, maid: espeak-fr}\n")
    settings = from_environment(
        file,
        VOICENODE_ALIASES='{"maid": "espeak-it", "cook": "espeak-de"}',
        VOICENODE_ALIASES__COOK="espeak-sv",
    ).settings
    assert settings.aliases == {"butler": "espeak-en-gb", "maid": "espeak-it", "cook": "espeak-sv"}


@pytest.mark.parametrize(
    "text", ["tcp://:1,unix:///x", " tcp://:1 , unix:///x ,", '["tcp://:1", "unix:///x"]']
)
def test_a_list_in_the_environment_has_commas_or_is_json(file: Path, text: str) -> None:
    assert from_environment(file, VOICENODE_WYOMING__URI=text).settings.wyoming.uri == (
        "tcp://:1",
        "unix:///x",
    )


def test_an_empty_variable_is_an_empty_list(file: Path) -> None:
    file.write_text("mdns: {advertise_host: [10.0.0.1]}")
    assert from_environment(file, VOICENODE_MDNS__ADVERTISE_HOST="").settings.mdns.advertise_host == ()


@pytest.mark.parametrize("text", ["", "null"])
def test_a_variable_may_take_a_bound_away(file: Path, text: str) -> None:
    file.write_text("pool: {memory: 8000}")
    assert from_environment(file, VOICENODE_POOL__MEMORY=text).settings.pool.memory is None


def test_variables_reach_the_options_of_engines_in_any_case(file: Path) -> None:
    settings = from_environment(
        file, VOICENODE_ENGINES__ESPEAK__RATE="200", voicenode_engines__espeak__languages="en,de"
    ).settings
    assert settings.engines["espeak"].options.rate == 200
    assert settings.engines["espeak"].options.languages == ("en", "de")


def test_a_section_may_be_json(file: Path) -> None:
    settings = from_environment(
        file,
        VOICENODE_ENGINES='{"espeak": {"rate": 200, "pitch": 60}}',
        VOICENODE_ENGINES__ESPEAK__PITCH="70",
    ).settings
    assert (settings.engines["espeak"].options.rate, settings.engines["espeak"].options.pitch) == (200, 70)


def test_text_in_the_environment_stays_text(file: Path) -> None:
    assert from_environment(file, VOICENODE_NAME="[0123]").settings.name == "[0123]"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("VOICENODE_NAEM", "a", "naem: unknown key; did you mean VOICENODE_NAME?"),
        ("VOICENODE_WYOMING_URI", "a", "wyoming_uri: unknown key; did you mean VOICENODE_WYOMING__URI?"),
        ("VOICENODE_LOG__ZEBRA", "a", "log.zebra: unknown key; known here: level, format, text"),
        ("VOICENODE_NAME__FIRST", "a", "name: expected text, got keys and values"),
        (
            "VOICENODE_ENGINES__XTTS__ENABLED",
            "no",
            "engines.xtts: no such engine is installed; installed: espeak",
        ),
        ("VOICENODE_POOL__MEMORY", "much", "pool.memory: expected a whole number, got 'much'"),
        ("VOICENODE_LOG", "debug", 'expected JSON such as {"KEY": "VALUE"} (or use VOICENODE_LOG__KEY)'),
        ("VOICENODE_LOG", "[]", 'expected JSON such as {"KEY": "VALUE"} (or use VOICENODE_LOG__KEY)'),
        ("VOICENODE_WYOMING__URI", "[1", 'expected JSON such as ["ONE", "TWO"] (or ONE,TWO)'),
        (
            "VOICENODE_ALIASES",
            "[" * 100_000,
            'expected JSON such as {"KEY": "VALUE"} (or use VOICENODE_ALIASES__KEY)',
        ),
    ],
)
def test_a_wrong_variable_is_one_line_with_its_name(file: Path, name: str, text: str, problem: str) -> None:
    assert refusal(file, **{name: text}) == f"environment {name}: {problem}"


def test_other_variables_are_left_alone(file: Path) -> None:
    assert (
        from_environment(file, VOICENODES="a", MY_VOICENODE_NAME="a", VOICENODE_CONFIG="/none").file == file
    )


def test_a_wrong_option_of_the_command_line_is_one_line(file: Path) -> None:
    with pytest.raises(
        SetupError, match=r"^command line: wyoming.uri.0: expected tcp://.*, got 'localhost'$"
    ):
        load(file, {"wyoming.uri": ["localhost"]}, {}, ENGINES)


NEURAL = {**ENGINES, "f5": "voicenode_f5:F5Engine", "xtts": "voicenode_xtts:XttsEngine"}


def inherited(file: Path, **variables: str) -> dict[str, tuple[object, str]]:
    """What differs from the defaults, and where it comes from."""
    loaded = load(file, {}, variables, NEURAL)
    return {
        path: (loaded.values[path], source) for path, source in loaded.sources.items() if source != "default"
    }


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("XTTS_DEVICE", "cuda", "engines.xtts.device", "cuda"),
        ("XTTS_DEVICE", "None", "engines.xtts.device", "auto"),
        ("F5TTS_DEVICE", "CPU", "engines.f5.device", "cpu"),
        ("LOW_VRAM", "true", "pool.low_vram", True),
        ("LOW_VRAM", "0", "pool.low_vram", False),
        ("TTS_ENGINE_DEFAULT", "xtts", "default_engine", "xtts"),
        ("TTS_ENGINE_DEFAULT", "f5tts", "default_engine", "f5"),
        ("TTS_ENGINE_DEFAULT", "F5", "default_engine", "f5"),
        ("TTS_ENGINE_DEFAULT", "espeak", "default_engine", "espeak"),
        ("REDIS_URL", "redis://Anna:S3cret@nas/4", "store.url", "redis://Anna:***@nas:6379/4"),
    ],
)
def test_variables_of_the_system_before_voicenode_are_understood(
    file: Path, name: str, text: str, path: str, value: object
) -> None:
    assert inherited(file, **{name: text}) == {path: (value, f"environment {name}")}


@pytest.mark.parametrize(
    "name", ["XTTS_DEVICE", "F5TTS_DEVICE", "LOW_VRAM", "TTS_ENGINE_DEFAULT", "REDIS_URL"]
)
def test_an_empty_variable_of_the_system_before_voicenode_says_nothing(file: Path, name: str) -> None:
    assert inherited(file, **{name: ""}) == {}


def test_they_are_weaker_than_variables_of_voicenode_and_stronger_than_the_file(file: Path) -> None:
    file.write_text("default_engine: espeak\npool: {low_vram: false}\n")
    given = {"TTS_ENGINE_DEFAULT": "xtts", "LOW_VRAM": "1", "VOICENODE_DEFAULT_ENGINE": "f5"}
    assert inherited(file, **given) == {
        "default_engine": ("f5", "environment VOICENODE_DEFAULT_ENGINE"),
        "pool.low_vram": (True, "environment LOW_VRAM"),
    }


def test_they_say_nothing_of_engines_that_are_not_installed(file: Path) -> None:
    settings = from_environment(
        file, XTTS_DEVICE="cuda", F5TTS_DEVICE="tpu", TTS_ENGINE_DEFAULT="f5tts"
    ).settings
    assert settings.default_engine is None


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("LOW_VRAM", "maybe", "pool.low_vram: expected true or false, got 'maybe'"),
        ("XTTS_DEVICE", "tpu", "engines.xtts: device: expected auto, cpu, cuda or cuda:N, not 'tpu'"),
    ],
)
def test_what_is_wrong_in_them_is_one_line_with_the_variable(
    file: Path, name: str, text: str, problem: str
) -> None:
    with pytest.raises(SetupError) as caught:
        load(file, {}, {name: text}, NEURAL)
    assert str(caught.value) == f"environment {name}: {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("default_engine: xtts", "default_engine: expected an installed engine: espeak, got 'xtts'"),
        (
            "default_quality: {xtts: calm}",
            "default_quality.xtts: expected an installed engine: espeak, got 'xtts'",
        ),
    ],
)
def test_a_default_is_of_an_installed_engine(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    assert refusal(file) == f"{file}:1: {problem}"


def test_data_goes_where_the_service_manager_says(file: Path) -> None:
    settings = from_environment(file, STATE_DIRECTORY="/state/one:/state/two").settings
    assert settings.data_dir == Path("/state/one")


@pytest.mark.parametrize(
    ("user", "environ", "folder"),
    [
        (0, {"HOME": "/root"}, "/var/lib/voicenode"),
        (1000, {"HOME": "/home/me"}, "/home/me/.local/share/voicenode"),
        (1000, {"HOME": "/home/me", "XDG_DATA_HOME": "/data"}, "/data/voicenode"),
        (1000, {"HOME": "/home/me", "XDG_DATA_HOME": "data"}, "/home/me/.local/share/voicenode"),
    ],
)
def test_data_goes_to_the_usual_place_of_the_user(
    file: Path, monkeypatch: pytest.MonkeyPatch, user: int, environ: dict[str, str], folder: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    file.write_text("data_dir: null")
    loaded = from_environment(file, **environ)
    assert loaded.settings.data_dir == Path(folder)
    assert loaded.sources["data_dir"] == "default"


def test_a_lexicon_beside_the_file_is_the_default(file: Path) -> None:
    assert from_environment(file).settings.text.lexicon is None
    lexicon = file.with_name("lexicon.yaml")
    lexicon.touch()
    assert from_environment(file).settings.text.lexicon == lexicon
    assert from_environment(file, VOICENODE_TEXT__LEXICON="/other").settings.text.lexicon == Path("/other")
