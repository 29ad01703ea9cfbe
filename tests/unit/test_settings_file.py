"""The settings file and the secrets beside it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.settings import LoadedSettings, load

Load = Callable[..., LoadedSettings]
Refuse = Callable[..., str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "voicenode.yaml"


@pytest.fixture
def load_text(file: Path) -> Load:
    def load_text(text: str, secrets: str | None = None) -> LoadedSettings:
        file.write_text(text)
        if secrets is not None:
            file.with_name("secrets.yaml").write_text(secrets)
        return load(file, {}, {}, {})

    return load_text


@pytest.fixture
def refuse(load_text: Load, file: Path) -> Refuse:
    """The problem that a text has, without the folder."""

    def refuse(text: str, secrets: str | None = None) -> str:
        with pytest.raises(SetupError) as caught:
            load_text(text, secrets)
        assert caught.value.code is ErrorCode.BAD_SETTINGS
        assert caught.value.__cause__ is None
        return str(caught.value).replace(f"{file.parent}/", "")

    return refuse


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "null", "wyoming:\n", "wyoming: {}\naliases:\nengines:\n"]
)
def test_empty_files_and_sections_leave_the_defaults(load_text: Load, text: str) -> None:
    loaded = load_text(text)
    assert loaded.settings.wyoming.max_connections == 1000
    assert set(loaded.sources.values()) == {"default"}


def test_a_file_is_found_by_name_then_by_variable_then_in_the_users_folder(tmp_path: Path) -> None:
    files = {
        name: tmp_path / name / "voicenode" / "voicenode.yaml"
        for name in ("option", "variable", "config", "home")
    }
    files["home"] = tmp_path / "home" / ".config" / "voicenode" / "voicenode.yaml"
    for name, path in files.items():
        path.parent.mkdir(parents=True)
        path.write_text(f"name: {name}\n")
    environ = {
        "VOICENODE_CONFIG": str(files["variable"]),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "HOME": str(tmp_path / "home"),
    }
    assert load(files["option"], {}, environ, {}).settings.name == "option"
    assert load(None, {}, environ, {}).settings.name == "variable"
    assert load(None, {}, environ | {"VOICENODE_CONFIG": ""}, {}).settings.name == "config"
    assert load(None, {}, {"HOME": environ["HOME"], "XDG_CONFIG_HOME": "relative"}, {}).file == files["home"]


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(SetupError, match=r"missing.yaml: cannot be read: No such file or directory$"):
        load(missing, {}, {}, {})
    with pytest.raises(SetupError, match=r"missing.yaml: cannot be read"):
        load(None, {}, {"VOICENODE_CONFIG": str(missing)}, {})


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"cannot be read: Is a directory$"):
        load(tmp_path, {}, {}, {})


@pytest.fixture
def unreadable(file: Path) -> Iterator[Path]:
    """A file without permission; root, who may read every file, becomes nobody for the test."""
    file.touch(mode=0)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    yield file
    os.seteuid(user)


def test_a_file_without_permission_is_an_error(unreadable: Path) -> None:
    with pytest.raises(SetupError, match=r"cannot be read: Permission denied$"):
        load(unreadable, {}, {}, {})


def test_a_file_that_is_not_utf_8_is_an_error(file: Path) -> None:
    file.write_bytes("name: Küche".encode("latin-1"))
    with pytest.raises(SetupError, match=r"is not UTF-8 text: byte 7 is wrong$"):
        load(file, {}, {}, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(file: Path) -> None:
    file.write_bytes("name: Küche".encode("utf-8-sig"))
    assert load(file, {}, {}, {}).settings.name == "Küche"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wyoming:\n\turi: []\n", "voicenode.yaml:2:1: found character '\\t' that cannot start any token"),
        ("name: [a\n", "voicenode.yaml:2:1: expected ',' or ']', but got '<stream end>'"),
        ("name: a\0b", "voicenode.yaml:1:8: the character '\\x00' is not allowed"),
        (
            "log:\n  level: info\n  level: debug\n",
            "voicenode.yaml:3:3: 'level' stands here again, after line 2",
        ),
        ("{name: a, name: a}", "voicenode.yaml:1:11: 'name' stands here again, after line 1"),
        ("- name\n", "voicenode.yaml:1:1: expected keys and values at the top"),
        ("name\n", "voicenode.yaml:1:1: expected keys and values at the top"),
        ("? [a]\n: b\n", "voicenode.yaml:1:3: expected a name before the colon"),
        (
            "--- {}\n--- {}\n",
            "voicenode.yaml:2:1: expected a single document in the stream, but found another document",
        ),
        (
            "name: !include a.yaml",
            "voicenode.yaml:1:7: the tag !include is not allowed; only !secret NAME is",
        ),
        (
            "a: !!python/name:os",
            "voicenode.yaml:1:4: the tag !!python/name:os is not allowed; only !secret NAME is",
        ),
        ("!secret name: a", "voicenode.yaml:1:1: the tag !secret is not allowed; only !secret NAME is"),
        ("name: &a b\ndefault_voice: *a\n", "voicenode.yaml:2:16: aliases are not allowed"),
        ("[" * 5000, "voicenode.yaml:1:1: too deeply nested"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(refuse: Refuse, text: str, problem: str) -> None:
    assert refuse(text) == problem


def test_values_mean_what_the_setting_makes_of_them(load_text: Load) -> None:
    settings = load_text(
        "name: 0123\nmdns: {enabled: off}\nlanguage_voices: {no: espeak-nb}\naliases: {12:30: on}\n"
    ).settings
    assert settings.name == "0123"
    assert settings.mdns.enabled is False
    assert settings.language_voices == {"no": "espeak-nb"}
    assert settings.aliases == {"12:30": "on"}


def test_a_secret_is_read_from_beside_the_file(load_text: Load) -> None:
    loaded = load_text("name: !secret node\npool: {max_waiting: !secret many}\n", "node: Parlour\nmany: 12\n")
    assert (loaded.settings.name, loaded.settings.pool.max_waiting) == ("Parlour", 12)


def test_a_secret_is_not_shown(load_text: Load) -> None:
    loaded = load_text(
        "name: !secret node\nmdns: {advertise_host: [!secret ip]}\n", "node: Parlour\nip: 10.0.0.1\n"
    )
    assert loaded.values["name"] == "!secret node"
    assert loaded.values["mdns.advertise_host"] == "[!secret ip]"


def test_secrets_are_not_read_before_one_is_needed(load_text: Load) -> None:
    assert load_text("name: a", secrets="\t").settings.name == "a"


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        (None, "voicenode.yaml:1:7: !secret node is not in secrets.yaml, which does not exist"),
        ("other: a", "voicenode.yaml:1:7: !secret node is not in secrets.yaml"),
        ("node:\n  in: hunter2", "voicenode.yaml:1:7: !secret node is not in secrets.yaml"),
        ("node: [hunter2]", "voicenode.yaml:1:7: !secret node is not in secrets.yaml"),
    ],
)
def test_a_missing_secret_names_itself_and_its_file(
    refuse: Refuse, secrets: str | None, problem: str
) -> None:
    assert refuse("name: !secret node", secrets) == problem


@pytest.mark.parametrize(
    "secrets",
    [
        "node: !hunter2",
        "node: !hunter2!x",
        "node: *hunter2",
        "node: @hunter2",
        "node: hunter2: x",
        "- hunter2",
    ],
)
def test_an_error_in_secrets_shows_its_place_and_no_secret(refuse: Refuse, secrets: str) -> None:
    line = refuse("name: !secret node", secrets)
    assert line.startswith("secrets.yaml:1:")
    assert line.endswith("not a name and its value; a value with special characters needs quotes")


def test_a_wrong_secret_is_not_shown(refuse: Refuse) -> None:
    line = refuse("pool: {memory: !secret node}", "node: hunter2")
    assert line == "voicenode.yaml:1: pool.memory: expected a whole number, got !secret node"
