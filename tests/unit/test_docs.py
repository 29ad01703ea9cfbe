"""What the documents say of files, names and numbers is so."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from script.benchmarks import __main__ as benchmarks
from script.benchmarks import report
from tests.support.documents import DOCUMENTS, ROOT, anchors, blocks, links, table
from voicenode import framing, parts
from voicenode.errors import ErrorCode
from voicenode.settings import Settings, load
from voicenode.transports.wyoming import answers, connection, voices
from voicenode.workers.registry import engine_class

if TYPE_CHECKING:
    from pathlib import Path

    from voicenode.settings import LoadedSettings
    from voicenode.voices import Catalogue
    from voicenode.workers.pool import EnginePool

README, PROTOCOL, ENGINES = ROOT / "README.md", ROOT / "docs/protocol.md", ROOT / "docs/engines.md"
BENCHMARKS = ROOT / "docs/benchmarks/README.md"
WYOMING = ROOT / "voicenode/transports/wyoming"
CONSTANTS = {
    "the line of a message": framing.MAX_HEADER,
    "the data of a message": framing.MAX_DATA,
    "the payload of a message, which is skipped": connection._MAX_PAYLOAD,
    "requests of one connection that wait": answers._MAX_WAITING,
    "the recordings of a voice": voices.MAX_PAYLOAD,
    "recordings of all connections that are being sent or cloned": voices.UPLOADS,
}
PROGRAMS = {"select-program"}
"""What a node with one program skips like any unknown message."""


def load_readme_settings(folder: Path) -> LoadedSettings:
    """The example of the README, as a file."""
    (example,) = (block for block in blocks("yaml") if block.text.startswith("# voicenode.yaml"))
    path = folder / "voicenode.yaml"
    path.write_text(example.text)
    return load(path, {}, {}, {"espeak": "voicenode_espeak:EspeakEngine"})


def catalogue(loaded: LoadedSettings) -> Catalogue:
    nobody = cast("EnginePool", None)
    found = parts.build_processor(loaded, parts.create_engines(loaded), nobody).catalogue
    found.check()
    return found


def answered() -> set[str]:
    """The types of messages that a connection acts on."""
    nodes = ast.walk(ast.parse((WYOMING / "connection.py").read_text()))
    values = (node.value for node in nodes if isinstance(node, ast.MatchValue))
    return {str(value.value) for value in values if isinstance(value, ast.Constant)}


def sent() -> set[str]:
    """The types of messages that the code writes."""
    code = "".join(path.read_text() for path in WYOMING.glob("*.py"))
    return set(re.findall(r'(?:Frame\(|encode_ready\(|\{"type": )"([a-z-]+)"', code))


def default(setting: str) -> Any:  # noqa: ANN401 - a setting of any type
    value: Any = Settings()
    for name in setting.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_or_a_heading_leads_there(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_kind_of_block_has_a_test_or_says_that_it_has_none() -> None:
    tested = {"sh", "sh mqtt", "console", "wyoming", "mqtt", "mqtt hermes", "python", "toml", "yaml"}
    assert {block.kind for block in blocks()} - tested == {"sh not-tested", "text"}


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_everything_that_the_readme_promises_says_what_holds_it() -> None:
    promises = table(README, "What you can rely on")
    assert len(promises) == 5
    assert [promise for promise, held in promises if not re.search(r"\]\((tests|docs)/", held)] == []


def test_the_checks_of_every_change_are_the_command_of_the_readme() -> None:
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "exec script/test"
    assert "`script/test`" in README.read_text()


def test_the_settings_of_the_readme_are_good_and_name_voices(tmp_path: Path) -> None:
    loaded = load_readme_settings(tmp_path)
    assert loaded.settings.name == "Kitchen"
    chosen = catalogue(loaded)
    assert chosen.choose(language="es").voice.name == "espeak-es-419"
    assert chosen.choose(name="butler").voice.name == "espeak-en-gb-x-rp"


def test_the_example_for_home_assistant_asks_for_what_there_is(tmp_path: Path) -> None:
    (example,) = (block for block in blocks("yaml") if block.text.startswith("# Home Assistant"))
    data = yaml.safe_load(example.text)["data"]
    options = data["options"]
    voice = catalogue(load_readme_settings(tmp_path)).choose(options["voice"], options["speaker"]).voice
    assert data["language"] in voice.languages
    assert len(voice.speakers) == 12


def test_the_licence_of_every_engine_is_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    paths = project["entry-points"]["voicenode.engines"].values()
    licences = {engine_class(path).info.licence for path in paths}
    assert {licence for licence in licences if licence not in README.read_text()} == set()


def test_every_message_to_the_node_is_in_the_protocol() -> None:
    assert {row[0] for row in table(PROTOCOL, "To the node")} == answered() | voices.MESSAGES | PROGRAMS


def test_every_message_from_the_node_is_in_the_protocol() -> None:
    assert {row[0] for row in table(PROTOCOL, "From the node")} == sent()


def test_every_error_code_is_in_the_protocol() -> None:
    assert {row[0] for row in table(PROTOCOL, "Error codes")} == set(ErrorCode)


def test_every_limit_in_the_protocol_is_the_one_of_the_code() -> None:
    rows = table(PROTOCOL, "Limits")
    wanted = {what: default(setting) if setting else CONSTANTS[what] for what, _, setting, _ in rows}
    assert {what: float(limit.split()[0]) for what, limit, _, _ in rows} == wanted
    assert CONSTANTS.keys() <= wanted.keys()


def test_every_benchmark_and_every_key_of_its_result_is_explained() -> None:
    assert {row[0] for row in table(BENCHMARKS, "Benchmarks")} == set(benchmarks.BENCHMARKS)
    keys = ", ".join(row[0] for row in table(BENCHMARKS, "How to read a result")).split(", ")
    assert set(keys) | {"unit"} == set(report.Row(name="", ours=1, unit="").document())


def test_the_tutorial_shows_the_example_engine_as_it_is() -> None:
    example = ROOT / "docs/example_engine"
    source = (example / "voicenode_morse.py").read_text()
    assert [str(block) for block in blocks("python") if block.text not in source] == []
    project = (example / "pyproject.toml").read_text()
    assert [str(block) for block in blocks("toml") if block.text not in project] == []
    assert {block.path for block in blocks("python", "toml")} == {ENGINES}
