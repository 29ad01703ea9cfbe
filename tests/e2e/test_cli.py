"""The command line as a user meets it, against a stock server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import signal
import stat
import sys
import wave
from asyncio.subprocess import STDOUT
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.command import CommandLine
from tests.support.limits import LIMIT
from tests.support.ports import free_port
from tests.support.stock import CHARACTER, RATE, Stock, StockHandler, running
from voicenode.stores.file import FileStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAV_HEADER = 44


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
async def stock() -> AsyncIterator[Stock]:
    async with running(Stock()) as stock:
        yield stock


def samples(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as reader:
        assert (reader.getframerate(), reader.getsampwidth(), reader.getnchannels()) == (RATE, 2, 1)
        return bytes(reader.readframes(reader.getnframes()))


def program(folder: Path, name: str, script: str) -> str:
    """Make a program that a command line with the returned PATH finds."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(folder)


async def test_the_version_is_told(cli: CommandLine) -> None:
    result = await cli.run("--version")
    assert (result.status, result.text.split()[0]) == (0, "voicenode")


async def test_a_text_becomes_a_wav_file(cli: CommandLine, stock: Stock) -> None:
    result = await cli.run("say", "Good", "evening", "--node", stock.uri, "--output", "evening.wav")
    assert result.status == 0, result.stderr
    assert (result.text, result.stderr) == ("", "Wrote 0.6 s of speech to evening.wav.\n")
    assert samples((cli.home / "evening.wav").read_bytes()) == CHARACTER * len("Good evening")


async def test_the_name_of_the_file_tells_its_format(cli: CommandLine, stock: Stock) -> None:
    result = await cli.run("say", "Hello", "--node", stock.uri, "-o", "hello.FLAC")
    assert result.status == 0, result.stderr
    assert (cli.home / "hello.FLAC").read_bytes().startswith(b"fLaC")


async def test_the_wishes_for_the_voice_reach_the_node(cli: CommandLine, stock: Stock) -> None:
    wishes = ("--voice", "tone-low", "--speaker", "calm", "--language", "en-US", "--ssml")
    await cli.run("say", "<speak/>", "--node", stock.uri, "-o", "x.wav", *wishes)
    assert stock.events[-1].data == {
        "text": "<speak/>",
        "voice": {"name": "tone-low", "speaker": "calm", "language": "en-US"},
        "text_format": "ssml",
    }


async def test_standard_input_is_spoken_while_it_arrives(cli: CommandLine, stock: Stock) -> None:
    process = await cli.start("say", "-", "--node", stock.uri, "--output", "-")
    assert process.stdin
    assert process.stdout
    process.stdin.write("Ü".encode())
    first = CHARACTER * len("Ü")
    heard = await asyncio.wait_for(process.stdout.readexactly(WAV_HEADER + len(first)), LIMIT)
    assert heard[WAV_HEADER:] == first
    rest, _ = await asyncio.wait_for(process.communicate(b"Bye."), LIMIT)
    assert rest == CHARACTER * len("Bye.")
    assert process.returncode == 0


async def test_a_file_on_standard_input_is_spoken_whole(cli: CommandLine) -> None:
    (cli.home / "text").write_text("Hello")
    async with running(Stock(streams=False)) as stock:
        with (cli.home / "text").open() as text:
            process = await cli.start("say", "-", "--node", stock.uri, "-o", "x.wav", stdin=text.fileno())
            await asyncio.wait_for(process.communicate(), LIMIT)
    assert samples((cli.home / "x.wav").read_bytes()) == CHARACTER * len("Hello")


async def test_a_player_gets_a_wav_stream(cli: CommandLine, stock: Stock) -> None:
    script = "import sys; open('played.wav', 'wb').write(sys.stdin.buffer.read())"
    cli = CommandLine(cli.home, program(cli.home / "bin", "aplay", script))
    result = await cli.run("say", "Hello", "--node", stock.uri, "--play")
    assert (result.status, result.stderr) == (0, "")
    assert (cli.home / "played.wav").read_bytes()[WAV_HEADER:] == CHARACTER * len("Hello")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("import sys; sys.stdin.buffer.read(); sys.exit(7)", "could not play (status 7)"),
        ("import os; os.close(0)", "stopped before everything was played"),
    ],
)
async def test_a_player_that_fails_is_an_error(
    cli: CommandLine, stock: Stock, script: str, problem: str
) -> None:
    cli = CommandLine(cli.home, program(cli.home / "bin", "paplay", script))
    result = await cli.run("say", "Hello " * 50, "--node", stock.uri)
    assert (result.status, result.stderr) == (1, f"Error: {cli.home}/bin/paplay {problem}\n")


async def test_an_interrupt_silences_the_player(cli: CommandLine, stock: Stock) -> None:
    script = "import os, time; open('player', 'w').write(str(os.getpid())); time.sleep(60)"
    cli = CommandLine(cli.home, program(cli.home / "bin", "aplay", script))
    spoken = cli.home / "player"
    os.mkfifo(spoken)
    process = await cli.start("say", "Hello " * 50, "--node", stock.uri)
    player = psutil.Process(int(await asyncio.to_thread(spoken.read_text)))
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 130
    assert not player.is_running()


async def test_without_a_player_a_file_is_proposed(cli: CommandLine, stock: Stock) -> None:
    result = await CommandLine(cli.home, str(cli.home)).run("say", "Hello", "--node", stock.uri)
    assert result.status == 1
    assert result.stderr.startswith("Error: no player was found (aplay, ")
    assert "--output hello.wav" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("say",), "Missing argument 'TEXT'"),
        (("say", "Hello", "--output", "hello.doc"), "'hello.doc' does not tell a format"),
        (("say", "Hello", "--output", "x.wav", "--play"), "--output / --play: give one of them"),
        (("say", "Hello", "--node", "kitchen"), "'kitchen' is no address of a node"),
        (("say", "Hello", "--inline", "--node", "tcp://a:1", "-o", "x.wav"), "--inline / --node"),
        (("say", " ", "--output", "x.wav"), "there is nothing to say"),
        (("sing",), "No such command 'sing'"),
        (("serve", "--uri", "http://x"), "expected tcp://HOST:PORT"),
        (("check-config", "--config", "none.yaml"), "none.yaml"),
    ],
)
async def test_wrong_usage_and_wrong_settings_are_status_2(
    cli: CommandLine, arguments: tuple[str, ...], problem: str
) -> None:
    result = await cli.run(*arguments)
    assert (result.status, result.text) == (2, "")
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("say", "Hello", "-o", "x.wav"), ("voices", "--json"), ("health",)])
async def test_a_node_that_is_not_there_is_one_line_and_status_1(
    cli: CommandLine, command: tuple[str, ...]
) -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    result = await cli.run(*command, "--node", uri)
    assert (result.status, result.text) == (1, "")
    assert result.stderr == f"Error: cannot connect to {uri} (Connection refused); is the node running?\n"


async def test_the_error_of_the_node_is_shown_in_its_own_words(cli: CommandLine) -> None:
    async def answer(handler: StockHandler, _text: str) -> bool:
        await handler.fail("unknown voice 'bob'; did you mean 'rob'?", "unknown-voice")
        return False

    async with running(Stock(answer=answer)) as stock:
        result = await cli.run("say", "Hello", "-v", "bob", "--node", stock.uri, "-o", "x.wav")
    assert (result.status, result.stderr) == (1, "Error: unknown voice 'bob'; did you mean 'rob'?\n")
    assert not (cli.home / "x.wav").exists()


async def test_a_file_that_cannot_be_made_is_an_error(cli: CommandLine, stock: Stock) -> None:
    result = await cli.run("say", "Hello", "--node", stock.uri, "--output", "none/x.wav")
    assert (result.status, result.stderr) == (
        1,
        "Error: cannot write none/x.wav: No such file or directory\n",
    )


async def test_a_full_disk_is_an_error(cli: CommandLine, stock: Stock) -> None:
    (cli.home / "full.wav").symlink_to("/dev/full")
    result = await cli.run("say", "Hello", "--node", stock.uri, "--output", "full.wav")
    assert (result.status, result.stderr) == (1, "Error: cannot write full.wav: No space left on device\n")


async def test_an_interrupt_ends_it_quietly(cli: CommandLine) -> None:
    asked = asyncio.Event()

    async def answer(handler: StockHandler, _text: str) -> bool:
        asked.set()
        await handler.reader.read()
        return False

    async with running(Stock(answer=answer)) as stock:
        process = await cli.start("say", "Hello", "--node", stock.uri, "--output", "x.wav")
        await asyncio.wait_for(asked.wait(), LIMIT)
        process.send_signal(signal.SIGINT)
        stdout, stderr = await asyncio.wait_for(process.communicate(), LIMIT)
    assert (process.returncode, stdout, stderr) == (130, b"", b"")


INTERRUPTED_IMPORT = """
import os, signal, sys
_, module = sys.argv
class Interrupt:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from voicenode.__main__ import main
sys.argv[1] = "serve"
main()
"""


@pytest.mark.parametrize(("module", "status"), [("voicenode.cli", -signal.SIGINT), ("voicenode.app", 130)])
async def test_an_interrupt_ends_it_quietly_from_the_first_moment_on(module: str, status: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED_IMPORT, module, stdout=asyncio.subprocess.PIPE, stderr=STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert (process.returncode, said) == (status, b"")


async def test_an_interrupt_does_not_wait_for_standard_input(cli: CommandLine, stock: Stock) -> None:
    process = await cli.start("say", "-", "--node", stock.uri, "--output", "-")
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"One. ")
    await asyncio.wait_for(process.stdout.readexactly(WAV_HEADER), LIMIT)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), LIMIT) == 130
    await process.communicate()


@pytest.mark.parametrize("command", [("voices",), ("voices", "--json"), ("say", "Hello" * 100, "-o", "-")])
async def test_a_reader_that_has_gone_away_is_no_reason_to_complain(
    cli: CommandLine, stock: Stock, command: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    os.close(read)
    process = await cli.start(*command, "--node", stock.uri, stdout=write)
    os.close(write)
    _, stderr = await asyncio.wait_for(process.communicate(), LIMIT)
    assert stderr == b""


async def test_voices_are_a_plain_table_in_a_pipe(cli: CommandLine) -> None:
    async with running(Stock(voices=("tone-low", "de-tone", "tone-later"))) as stock:
        result = await cli.run("voices", "--node", stock.uri)
        every = await cli.run("voices", "--node", stock.uri, "--all")
    assert (result.status, result.stderr) == (0, "")
    assert [line.split("  ")[0].strip() for line in result.text.splitlines()] == [
        "Voice",
        "tone-low",
        "de-tone",
    ]
    assert "en-US" in result.text
    assert "tone-later" in every.text
    assert "calm, loud" in every.text
    assert "\x1b" not in result.text


async def test_voices_can_be_chosen_by_language_and_read_by_programs(cli: CommandLine) -> None:
    async with running(Stock(voices=("tone-low", "de-tone", "de-later"))) as stock:
        some = await cli.run("voices", "--node", stock.uri, "--json", "--language", "de")
        every = await cli.run("voices", "--node", stock.uri, "--json", "--language", "DE_de", "--all")
        none = await cli.run("voices", "--node", stock.uri, "--language", "fr")
    assert [voice["name"] for voice in json.loads(some.text)] == ["de-tone"]
    assert [voice["name"] for voice in json.loads(every.text)] == ["de-tone", "de-later"]
    assert (none.status, none.text, none.stderr) == (0, "", "No voice for fr on stock.\n")


async def test_health_is_quiet_when_a_node_has_a_voice(cli: CommandLine, stock: Stock) -> None:
    result = await cli.run("health", "--node", stock.uri)
    assert (result.status, result.text, result.stderr) == (0, "", "")


async def test_a_node_without_a_voice_is_not_healthy(cli: CommandLine) -> None:
    async with running(Stock(voices=("tone-later",))) as stock:
        result = await cli.run("health", "--node", stock.uri)
    assert (result.status, result.stderr) == (1, f"Error: {stock.uri} answers, but has no voice\n")


async def test_a_node_that_says_nothing_is_not_healthy(cli: CommandLine) -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        uri = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await cli.run("health", "--node", uri, "--timeout", "0.1")
    assert (result.status, result.stderr) == (1, f"Error: no answer from {uri} within 0.1 s\n")


async def test_settings_are_shown_with_where_they_come_from(cli: CommandLine) -> None:
    (cli.home / "node.yaml").write_text("name: !secret name\nlog:\n  level: debug\n")
    (cli.home / "secrets.yaml").write_text("name: Nobody's business\n")
    table = await cli.run("check-config", "--config", "node.yaml")
    result = await cli.run("check-config", "--config", "node.yaml", "--json")
    shown = json.loads(result.text)
    assert shown["log.level"] == {"value": "debug", "source": "node.yaml:3"}
    assert shown["speech.speed"] == {"value": 1.0, "source": "default"}
    assert shown["name"]["value"] == "!secret name"
    assert "Nobody" not in result.text + table.text
    assert "node.yaml:3" in table.text
    assert table.stderr == "Settings file: node.yaml\n"


async def test_a_setting_that_was_changed_while_the_node_ran_is_shown_as_that(cli: CommandLine) -> None:
    (cli.home / "node.yaml").write_text(f"data_dir: {cli.home}\npool:\n  idle_timeout: 10\n")
    async with FileStore(cli.home / "store") as store:
        await store.put("settings", "runtime", {"idle_timeout_s": 60})
    result = await cli.run("check-config", "--config", "node.yaml", "--json")
    shown = json.loads(result.text)
    assert shown["pool.idle_timeout"] == {"value": 60, "source": "changed while the node ran"}
    assert shown["default_voice"]["source"] == "default"


@pytest.mark.parametrize(("variables", "red"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_an_error_is_red_on_a_terminal_that_may_show_colours(
    tmp_path: Path, variables: dict[str, str], *, red: bool
) -> None:
    cli = CommandLine(tmp_path, variables=variables)
    controller, terminal = pty.openpty()
    try:
        process = await cli.start("health", "--node", "tcp://127.0.0.1:1", stderr=terminal)
        await asyncio.wait_for(process.communicate(), LIMIT)
        shown = os.read(controller, 4096)
    finally:
        os.close(controller)
        os.close(terminal)
    assert (b"\x1b[1;31mError:" in shown) is red
    assert b"cannot connect" in shown
