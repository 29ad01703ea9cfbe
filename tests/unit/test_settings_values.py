"""What each setting takes, and the line for one that is wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Annotated, Any, ClassVar

import pytest
from annotated_types import Ge, MinLen
from pydantic import SecretStr

from voicenode.engine import EngineInfo, EngineVoice, PcmFormat, Segment, TTSEngine
from voicenode.errors import ErrorCode, SetupError
from voicenode.settings import LoadedSettings, Settings, load


@dataclass(frozen=True)
class ChoirOptions:
    singers: Annotated[int, Ge(1)] = 4
    soloists: int = 1
    parts: tuple[str, ...] = ()
    pitch: int | bool = 440
    hall: dict[str, float] = field(default_factory=dict)
    key: Annotated[SecretStr, MinLen(5)] = field(default_factory=lambda: SecretStr(""))

    def __post_init__(self) -> None:
        if self.soloists > self.singers:
            raise ValueError(f"{self.soloists} soloists are more than\n{self.singers} singers")


class Choir(TTSEngine[ChoirOptions]):
    info = EngineInfo(name="choir", description="Sings", licence="Apache-2.0", url="https://example.org")
    options_type: ClassVar[type[Any]] = ChoirOptions

    def voices(self) -> Sequence[EngineVoice]:
        return []

    def load(self) -> PcmFormat:
        return PcmFormat(16_000)

    def synthesize(self, segment: Segment, stop: Event) -> Iterator[bytes]:  # noqa: ARG002
        yield b""


@dataclass(frozen=True)
class TakenOptions:
    enabled: int = 1


@dataclass(frozen=True)
class NeedyOptions:
    singers: int


class Taken(Choir):
    options_type = TakenOptions


class Needy(Choir):
    options_type = NeedyOptions


ENGINES = {"choir": f"{__name__}:Choir"}


def load_text(folder: Path, text: str, engines: dict[str, str] = ENGINES) -> LoadedSettings:
    path = folder / "voicenode.yaml"
    path.write_text(text)
    return load(path, {}, {"HOME": "/home/me"}, engines)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SetupError) as caught:
        load_text(folder, text)
    assert caught.value.code is ErrorCode.BAD_SETTINGS
    return str(caught.value).replace(f"{folder}/voicenode.yaml:1: ", "")


URIS = "expected tcp://HOST:PORT, tcp://:PORT, unix:///PATH or stdio://"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: ''", "name: expected some text, got ''"),
        ("name: [a]", "name: expected text, got a list"),
        ("name: {a: b}", "name: expected text, got keys and values"),
        ("name:", "name: expected text, got nothing"),
        ("data_dir: here", "data_dir: expected an absolute path, got 'here'"),
        ("data_dir: ~nobody-at-all/x", "data_dir: expected an absolute path, got '~nobody-at-all/x'"),
        (r'data_dir: "/a\0b"', r"data_dir: expected an absolute path, got '/a\x00b'"),
        ("log: {level: INFO}", "log.level: expected 'debug', 'info', 'warning' or 'error', got 'INFO'"),
        ("log: info", "log: expected keys and values"),
        ("log: []", "log: expected keys and values"),
        ("wyoming: {max_connections: many}", "wyoming.max_connections: expected a whole number, got 'many'"),
        ("wyoming: {max_connections: 1.5}", "wyoming.max_connections: expected a whole number, got '1.5'"),
        ("wyoming: {max_connections: true}", "wyoming.max_connections: expected a whole number, got 'true'"),
        ("wyoming: {max_connections: -1}", "wyoming.max_connections: expected 1 or more, got '-1'"),
        ("wyoming: {idle_timeout: 0}", "wyoming.idle_timeout: expected more than 0, got '0'"),
        ("wyoming: {idle_timeout: inf}", "wyoming.idle_timeout: expected a finite number, got 'inf'"),
        ("wyoming: {uri: tcp://:1}", "wyoming.uri: expected a list, got 'tcp://:1'"),
        ("wyoming: {uri: []}", "wyoming.uri: expected at least one, got an empty list"),
        ("wyoming: {uri: [{a: b}]}", "wyoming.uri.0: expected text, got keys and values"),
        ("wyoming: {uri: ['stdio://', 'tcp://host']}", f"wyoming.uri.1: {URIS}, got 'tcp://host'"),
        ("wyoming: {uri: ['tcp://:-1']}", f"wyoming.uri.0: {URIS}, got 'tcp://:-1'"),
        ("wyoming: {uri: ['tcp://:65536']}", f"wyoming.uri.0: {URIS}, got 'tcp://:65536'"),
        ("wyoming: {uri: ['tcp://[::1:80']}", f"wyoming.uri.0: {URIS}, got 'tcp://[::1:80'"),
        ("wyoming: {uri: ['tcp://host:1/path']}", f"wyoming.uri.0: {URIS}, got 'tcp://host:1/path'"),
        ("wyoming: {uri: ['tcp://a b:1']}", f"wyoming.uri.0: {URIS}, got 'tcp://a b:1'"),
        ("wyoming: {uri: ['http://host:1']}", f"wyoming.uri.0: {URIS}, got 'http://host:1'"),
        ("wyoming: {uri: ['unix://run/socket']}", f"wyoming.uri.0: {URIS}, got 'unix://run/socket'"),
        ("wyoming: {uri: ['unix:///']}", f"wyoming.uri.0: {URIS}, got 'unix:///'"),
        ("wyoming: {uri: ['10200']}", f"wyoming.uri.0: {URIS}, got '10200'"),
        ("mdns: {enabled: maybe}", "mdns.enabled: expected true or false, got 'maybe'"),
        ("mdns: {advertise_host: [host]}", "mdns.advertise_host.0: expected an IP address, got 'host'"),
        ("speech: {speed: fast}", "speech.speed: expected a number, got 'fast'"),
        ("speech: {speed: 5}", "speech.speed: expected 4 or less, got '5'"),
        ("speech: {speed: 0.1}", "speech.speed: expected 0.25 or more, got '0.1'"),
        (
            "pool: {idle_timeout: -2}",
            "pool.idle_timeout: expected seconds, 0 for at once, or -1 for never, got '-2'",
        ),
        ("aliases: {butler: }", "aliases.butler: expected text, got nothing"),
        ("aliases: {butler: [a]}", "aliases.butler: expected text, got a list"),
        ("aliases: [a]", "aliases: expected keys and values, got a list"),
        ("engines: {choir: {singers: 0}}", "engines.choir.singers: expected 1 or more, got '0'"),
        ("engines: {choir: {parts: alto}}", "engines.choir.parts: expected a list, got 'alto'"),
        ("engines: {choir: {hall: {size: big}}}", "engines.choir.hall.size: expected a number, got 'big'"),
        (
            "engines: {choir: {pitch: low}}",
            "engines.choir.pitch: expected a whole number or true or false, got 'low'",
        ),
        ("engines: {choir: {soloists: 5}}", "engines.choir: 5 soloists are more than 4 singers"),
        ("engines: {choir: {load_timeout: 0}}", "engines.choir.load_timeout: expected more than 0, got '0'"),
        ("engines: [choir]", "engines: expected keys and values"),
        (
            r'log: {level: "a\nb\u2028c"}',
            r"log.level: expected 'debug', 'info', 'warning' or 'error', got 'a\nb\u2028c'",
        ),
    ],
)
def test_a_wrong_value_is_one_line_with_its_path(tmp_path: Path, text: str, problem: str) -> None:
    assert refusal(tmp_path, text) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "wyoming: {max_conections: 1}",
            "wyoming.max_conections: unknown key; did you mean wyoming.max_connections?",
        ),
        ("max_connections: 1", "max_connections: unknown key; did you mean wyoming.max_connections?"),
        ("logs: {}", "logs: unknown key; did you mean log?"),
        ("log: {zebra: {a: b}}", "log.zebra: unknown key; known here: level, format, text"),
        ("log: {zebra: }", "log.zebra: unknown key; known here: level, format, text"),
        (r'log: {"ze\nbra": 1}', r"'log.ze\nbra': unknown key; known here: level, format, text"),
        (
            "engines: {choir: {singer: 1}}",
            "engines.choir.singer: unknown key; did you mean engines.choir.singers?",
        ),
        ("engines: {coir: {}}", "engines.coir: no such engine is installed; installed: choir"),
    ],
)
def test_an_unknown_key_is_one_line_with_the_nearest_known_one(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert refusal(tmp_path, text) == problem


def test_the_value_of_an_unknown_key_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, "pasword: hunter2")


def test_the_value_of_a_password_is_not_shown(tmp_path: Path) -> None:
    assert "1234" not in refusal(tmp_path, "engines: {choir: {key: 1234}}")
    assert "12345" not in str(load_text(tmp_path, "engines: {choir: {key: 12345}}"))


def test_several_problems_are_a_line_each(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "{nam: a, log: {level: loud}, engines: {choir: {singers: 0}}}").splitlines()
    assert [line.split(":")[0] for line in lines] == ["log.level", "engines.choir.singers", "nam"]


def test_a_secret_that_an_engine_refuses_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("many: 5000")
    line = refusal(tmp_path, "engines: {choir: {soloists: !secret many}}")
    assert line == "engines.choir: !secret many soloists are more than 4 singers"


def test_good_values_are_taken(tmp_path: Path) -> None:
    settings = load_text(
        tmp_path,
        """
        data_dir: /data
        wyoming: {uri: ["tcp://:0", "tcp://[::1]:80", "tcp://host:10200", "unix:///run/v.sock", "stdio://"]}
        mdns: {enabled: no, advertise_host: ["10.0.0.1", "fe80::1%eth0"]}
        pool: {idle_timeout: -1, memory: 8000}
        aliases: {butler: espeak-en-gb}
        """,
    ).settings
    assert settings.data_dir == Path("/data")
    assert settings.wyoming.uri[1:3] == ("tcp://[::1]:80", "tcp://host:10200")
    assert settings.mdns.enabled is False
    assert settings.mdns.advertise_host == ("10.0.0.1", "fe80::1%eth0")
    assert (settings.pool.idle_timeout, settings.pool.memory) == (-1, 8000)
    assert settings.aliases == {"butler": "espeak-en-gb"}


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().name = "other"  # type: ignore[misc]


def test_an_engine_gets_its_own_options_and_the_common_ones(tmp_path: Path) -> None:
    text = "engines: {choir: {singers: 12, parts: [alto], hall: {size: 3}, silent_timeout: 5, python: /py}}"
    choir = load_text(tmp_path, text).settings.engines["choir"]
    assert choir.options == ChoirOptions(singers=12, parts=("alto",), hall={"size": 3.0})
    assert (choir.enabled, choir.silent_timeout, choir.python) == (True, 5, Path("/py"))


def test_an_engine_that_the_settings_do_not_name_has_its_defaults(tmp_path: Path) -> None:
    choir = load_text(tmp_path, "").settings.engines["choir"]
    assert choir.enabled
    assert choir.options == ChoirOptions()


@pytest.mark.parametrize("text", ["", "engines: {choir: {anything: at all}}"])
def test_an_engine_that_cannot_be_used_is_left_out_and_reported(tmp_path: Path, text: str) -> None:
    loaded = load_text(tmp_path, text, {"choir": "no_such_module:Choir"})
    assert not loaded.settings.engines
    assert "No module named 'no_such_module'" in str(loaded.unavailable["choir"])


def test_an_engine_that_cannot_be_used_is_not_reported_when_it_is_switched_off(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "engines: {choir: {enabled: false}}", {"choir": "no_such_module:Choir"})
    assert not loaded.unavailable


@pytest.mark.parametrize(
    ("name", "problem"), [("Taken", "'enabled' is taken"), ("Needy", "'singers' has no default")]
)
def test_options_that_break_the_contract_make_their_engine_unavailable(
    tmp_path: Path, name: str, problem: str
) -> None:
    assert problem in str(load_text(tmp_path, "", {"choir": f"{__name__}:{name}"}).unavailable["choir"])
