"""`voicenode models`: what natural voices speak with, and faster-whisper listens with, downloaded once."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.cli.config import ConfigOption, load_settings
from voicenode.cli.output import JsonOption, as_json, examples, note, table, waiting
from voicenode.errors import EngineError, StoreError
from voicenode.models import MODELS, LocalModel
from voicenode.models.catalogue import ModelName
from voicenode.models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voicenode.models import Model

NameArgument = Annotated[ModelName, typer.Argument(help="As `voicenode models list` names it.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where the node keeps its data; the models are in DIR/models."),
]


def list_models(
    config: ConfigOption = None, data_dir: DataDirOption = None, *, for_program: JsonOption = False
) -> None:
    """List the models that there are, and which of them are here."""
    folder = _data_dir(config, data_dir)
    models = [LocalModel.of(model, folder) for model in MODELS.values()]
    if for_program:
        as_json([_document(local, folder) for local in models])
    else:
        columns = ("Model", "Installed", "Size", "Licence", "Path", "Revision", "Description")
        table(columns, (_row(local, folder) for local in models))


def download(
    name: NameArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    *,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the licence of the model, once and for all.")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", envvar="HF_HUB_OFFLINE", help="Only check what is here; request nothing."),
    ] = False,
) -> None:
    """Download a model, or complete and repair it.

    What was interrupted goes on where it stopped. HF_ENDPOINT names a mirror.
    """
    from voicenode.models import download as downloading  # noqa: PLC0415 (other commands do without)

    model, folder = MODELS[name], _data_dir(config, data_dir)
    local = LocalModel.of(model, folder)
    with _keeping(folder):
        _settle_licence(model, folder, accepted=accept_license)
        changed = downloading.download(local, _progress, offline=offline)
    if model.engine and (changed or not local.is_converted()):
        _load_once(local, model.engine)
    note(f"{name} is ready in {local.root}.")


def verify(
    name: Annotated[
        ModelName | None,
        typer.Argument(help="Without it, every model that is here."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Read every byte of the models that are here, and compare."""
    folder = _data_dir(config, data_dir)
    there = [LocalModel.of(MODELS[one], folder) for one in ([name] if name else MODELS)]
    there = [local for local in there if name or local.state() != "no"]
    if not there:
        note(f"There is no model in {folder}.")
    problems = [problem for local in there if (problem := _problem(local))]
    if problems:
        raise ModelError("\n".join(problems))


def remove(
    name: NameArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model from the disk."""
    folder = _data_dir(config, data_dir)
    local = LocalModel.of(MODELS[name], folder)
    if local.state() == "no":
        note(f"{name} is not in {local.root}.")
        return
    if not yes and not _agreed(f"Remove {name} ({_readable(local.size())}) from {local.root}?"):
        raise ModelError(
            f"{name} was not removed; to remove it without being asked, give --yes",
        )
    with _keeping(folder):
        local.remove()
    note(f"{name} is removed.")


_EXAMPLES: dict[Callable[..., None], tuple[str, Sequence[tuple[str, str]]]] = {
    list_models: (
        "list",
        (
            ("voicenode models list", "a table"),
            ("voicenode models list --json", "for a program"),
        ),
    ),
    download: (
        "download",
        (
            ("voicenode models download xtts", "asks about the licence"),
            ("voicenode models download f5 --accept-license", "for a script"),
            ("voicenode models download whisper", "to write down recordings"),
            ("HF_ENDPOINT=https://hf-mirror.com voicenode models download f5", "from a mirror"),
        ),
    ),
    verify: (
        "verify",
        (("voicenode models verify", "all that are here"), ("voicenode models verify xtts", "one")),
    ),
    remove: ("remove", (("voicenode models remove f5", "asks first"),)),
}

app = typer.Typer(
    help="Download the models of natural voices, and look after them.",
    epilog=examples(
        ("voicenode models list", "which there are"),
        ("voicenode models download xtts", "17 languages"),
        ("voicenode models verify", "whether all are whole"),
        ("voicenode models remove f5", "free the space"),
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _command, (_name, _lines) in _EXAMPLES.items():
    app.command(_name, epilog=examples(*_lines))(_command)


def _data_dir(config: Path | None, given: Path | None) -> Path:
    return load_settings(config, given).settings.data_dir


def _document(local: LocalModel, data_dir: Path) -> dict[str, object]:
    from voicenode.models.licences import is_accepted  # noqa: PLC0415 (other commands do without)

    model = local.model
    return {
        "name": model.name,
        "engine": model.engine,
        "description": model.description,
        "installed": local.state(),
        "size": local.size(),
        "licence": model.licence.name,
        "licence_url": model.licence.url,
        "licence_accepted": is_accepted(data_dir, model.licence),
        "path": str(local.root),
        "revision": model.revision,
    }


def _row(local: LocalModel, data_dir: Path) -> tuple[str, ...]:
    from voicenode.models.licences import is_accepted  # noqa: PLC0415 (other commands do without)

    model, size = local.model, local.size()
    accepted = ", accepted" if is_accepted(data_dir, model.licence) else ", not accepted"
    return (
        model.name,
        local.state(),
        _readable(size) if size else "",
        model.licence.name + (accepted if model.licence.sentence else ""),
        str(local.root),
        model.revision[:8],
        model.description,
    )


def _settle_licence(model: Model, data_dir: Path, *, accepted: bool) -> None:
    """Raise SetupError unless the licence is accepted, now or before."""
    from voicenode.models.licences import accept, is_accepted  # noqa: PLC0415 (other commands do without)

    licence = model.licence
    if is_accepted(data_dir, licence):
        return
    note(f"{model.name} is under the licence {licence.name}. {licence.sentence}\n{licence.url}")
    elsewhere = licence.variable is not None and os.environ.get(licence.variable) == "1"
    if not (accepted or elsewhere or _agreed("Do you accept it?")):
        raise ModelError(
            f"the licence {licence.name} is not accepted, and nothing was downloaded; "
            f"read {licence.url}, and to accept it give --accept-license",
        )
    accept(data_dir, licence)


def _agreed(question: str) -> bool:
    """Whether somebody at a terminal says yes."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)


def _load_once(local: LocalModel, engine: str) -> None:
    from voicenode.models.first_load import load_once  # noqa: PLC0415 (other commands do without)

    try:
        with waiting(f"Loading {local.model.name} once"):
            load_once(local, engine)
    except EngineError as error:
        sentence = f"{local.model.name} is downloaded and verified, but cannot be used yet: {error}"
        raise EngineError(error.code, sentence) from error


def _problem(local: LocalModel) -> str | None:
    """What is wrong with a model; None for nothing, which is said."""
    with waiting(f"Reading {local.model.name}"):
        damaged = local.damaged()
    if not damaged:
        note(f"{local.model.name} is whole.")
        return None
    return (
        f"{', '.join(damaged)} in {local.root}: missing or damaged; "
        f"run `voicenode models download {local.model.name}`, which brings what is wrong again"
    )


@contextmanager
def _progress(path: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else one line."""
    if not sys.stderr.isatty():
        note(f"Downloading {path} ({_readable(size)})")
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 (serve does without)
    from rich.progress import (  # noqa: PLC0415 (serve does without)
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(path, total=size)
        yield lambda there: bar.update(task, completed=there)


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError.of(error, f"The models in {folder} cannot be kept") from error


def _readable(size: int) -> str:
    from rich.filesize import decimal  # noqa: PLC0415 (serve does without)

    return decimal(size)
