"""`voicenode service`: the node as a service of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.cli.output import JsonOption, as_json, examples, note, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicenode.service import Step

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

app = typer.Typer(
    help="Let systemd run the node: root the machine's, others theirs.",
    epilog=examples(
        ("sudo voicenode service install", "for the machine, from boot on"),
        ("voicenode service install --dry-run", "what it would do"),
        ("voicenode service status", "how it is"),
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog=examples(("voicenode service install --dry-run", "what it would do")))
def install(*, dry_run: DryRunOption = False) -> None:
    """Install the service and start it, or update it to this version.

    It gets an environment of its own with the packages that run this command, so that it needs nothing of
    your home. Settings and data that are there are kept.
    """
    from voicenode.service import Place, installation  # noqa: PLC0415 (other commands do without)

    place = Place.here()
    _take(installation(place), dry_run=dry_run)
    if not dry_run:
        note(f"The node runs. Its settings are in {place.settings}; `{place.journalctl} -f` shows its log.")


@app.command(epilog=examples(("voicenode service remove --dry-run", "what it would do")))
def remove(*, dry_run: DryRunOption = False) -> None:
    """Stop the service and remove it; settings and data stay."""
    from voicenode.service import Place, removal  # noqa: PLC0415 (other commands do without)

    place = Place.here()
    _take(removal(place), dry_run=dry_run)
    note(f"{place.settings} and {place.data} {'would stay' if dry_run else 'are still there'}.")


@app.command(epilog=examples(("voicenode service status --json", "for a program")))
def status(*, for_program: JsonOption = False) -> None:
    """Tell how the service is.

    The exit status is 0 when it runs, else 1. Its log is journalctl's to show: journalctl -u voicenode -f
    """
    from voicenode.service import Place  # noqa: PLC0415 (other commands do without)
    from voicenode.service import status as look  # noqa: PLC0415 (likewise)

    found = look(Place.here())
    if for_program:
        as_json(found)
    else:
        table(("Service", ""), found.items())
    if found.get("state") != "active":
        raise typer.Exit(1)


def _take(steps: Iterable[Step], *, dry_run: bool) -> None:
    """Tell each step, and do it."""
    for step in steps:
        note(f"{'would ' if dry_run else ''}{step}")
        if not dry_run:
            step.do()
