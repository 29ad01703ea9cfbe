"""The command line: one module for each kind of command, and what they share.

Only what parsing needs is imported here; each command imports the rest when it runs, because `serve` must
be small and quick to start.
"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from voicenode import __version__
from voicenode.cli.check import check_config, health
from voicenode.cli.clone import clone
from voicenode.cli.doctor import doctor
from voicenode.cli.lists import discover
from voicenode.cli.models import app as models
from voicenode.cli.mqtt import app as mqtt
from voicenode.cli.output import error as print_error
from voicenode.cli.output import examples
from voicenode.cli.quality import app as quality
from voicenode.cli.say import say
from voicenode.cli.serve import serve
from voicenode.cli.service import app as service
from voicenode.cli.store import app as store
from voicenode.cli.voices import app as voices
from voicenode.errors import ErrorCode, VoiceServiceError

_USAGE = 2
"""The exit status of wrong usage and wrong settings; every other failure is 1."""

_EXAMPLES: dict[Callable[..., None], tuple[tuple[str, str], ...]] = {
    serve: (
        ("voicenode serve", "port 10200, announced on the LAN"),
        ("voicenode serve --uri tcp://127.0.0.1:10200 --no-mdns", "for this machine"),
        ("voicenode serve --config voicenode.yaml --debug", "your own settings"),
    ),
    say: (
        ("voicenode say Good evening", "play it here"),
        ("voicenode say -l de Guten Abend", "in another language"),
        ("voicenode say -v espeak-en-gb -o hello.wav Hello", "one voice, into a file"),
        ("fortune | voicenode say -", "what another program writes"),
    ),
    clone: (
        ("voicenode clone Anna anna.wav", "a voice that can speak at once"),
        ("voicenode clone Anna a.wav b.wav -t 'What is said in a' -l en", "for F5-TTS, too"),
    ),
    discover: (
        ("voicenode discover", "a table"),
        ("voicenode discover --timeout 10 --json", "more patient, for a program"),
    ),
    check_config: (
        ("voicenode check-config", "the settings that serve would use"),
        ("voicenode check-config --config voicenode.yaml", "those of one file"),
    ),
    health: (
        ("voicenode health && echo ready", "the node on this machine"),
        ("voicenode health --node tcp://192.168.1.20:10200", "another one"),
    ),
    doctor: (
        ("voicenode doctor", "a table"),
        ("voicenode doctor --json", "for a program"),
    ),
}

app = typer.Typer(
    help="A voice node for Home Assistant: speech from engines on your own machine.",
    epilog=examples(
        ("voicenode serve", "start a node; Home Assistant finds it by itself"),
        ("voicenode say Good evening", "hear it"),
        ("voicenode voices", "see who can speak"),
        ("voicenode say --help", "all that a command can do"),
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command, _lines in _EXAMPLES.items():
    app.command(epilog=examples(*_lines))(_command)
app.add_typer(voices, name="voices")
app.add_typer(models, name="models")
app.add_typer(quality, name="quality")
app.add_typer(store, name="store")
app.add_typer(mqtt, name="mqtt")
app.add_typer(service, name="service")


def main() -> None:
    """Run the command line; the exit status is 0, or 2 for wrong usage and settings, or 1 for failures."""
    try:
        app(prog_name="voicenode")
    except VoiceServiceError as error:
        print_error(str(error))
        sys.exit(_USAGE if error.code is ErrorCode.BAD_SETTINGS else 1)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (what an option's callback gets)
    if wanted:
        typer.echo(f"voicenode {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
