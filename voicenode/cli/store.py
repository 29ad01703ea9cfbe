"""`voicenode store`: look whether all is whole, and move voices from one store to another."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicenode.cli.config import ConfigOption, load_settings
from voicenode.cli.output import JsonOption, as_json, examples, note, waiting
from voicenode.errors import ErrorCode, SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from voicenode.settings import Settings
    from voicenode.stores.migration import Migration
    from voicenode.stores.store import Store

app = typer.Typer(
    help="Look after what is kept: voices and quality profiles.",
    epilog=examples(
        ("voicenode store verify", "is all whole?"),
        ("voicenode store migrate files redis", "from this node's files to the Redis of the settings"),
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_PLACES = "`files` or `redis` for those of the settings, a Redis URL, or a folder."
_FILES, _REDIS = "files", "redis"


@app.command(
    epilog=examples(
        ("voicenode store verify", "the one that the node uses"),
        ("voicenode store verify /mnt/backup/store", "a folder"),
        ("voicenode store verify redis://nas:6379/0 --json", "a Redis, for a program"),
    )
)
def verify(
    place: Annotated[str | None, typer.Argument(metavar="STORE", help=f"The node's, or {_PLACES}")] = None,
    *,
    for_program: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Look whether every document and file is whole.

    Nothing is changed. The exit status is 0 when all is well, else 1, and each damage is a line.
    """
    problems = asyncio.run(_verify(load_settings(config).settings, place))
    if for_program:
        as_json({"ok": not problems, "problems": list(problems)})
    else:
        for problem in problems:
            typer.echo(problem)
        note(f"{len(problems)} problems." if problems else "Everything is whole.")
    if problems:
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        ("voicenode store migrate files redis", "this node's voices to the Redis"),
        ("voicenode store migrate redis://nas/0 redis://new-nas/0", "another Redis"),
        ("voicenode store migrate redis /mnt/backup/store", "a copy in a folder"),
    )
)
def migrate(
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"Where they are: {_PLACES}")],
    target: Annotated[str, typer.Argument(metavar="TO", help=f"Where they go: {_PLACES}")],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is different in TO, even where it is newer.")
    ] = False,
    for_program: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Copy what one store keeps into another.

    The copies are looked at, too. FROM stays as it is. It may be ended and run again. What is different in TO
    is left alone and named, and the exit status is 1 then.
    """
    with waiting("Looking", quiet=for_program) as progress:
        found, problems = asyncio.run(
            _migrate(load_settings(config).settings, (source, target), progress, overwrite=overwrite)
        )
    if for_program:
        as_json({
            "copied": found.copied, "equal": found.equal, "different": found.different, "problems": problems,
        })  # fmt: skip
    else:
        _tell(found, problems)
    if found.different or problems:
        raise typer.Exit(1)


async def _verify(settings: Settings, place: str | None) -> Sequence[str]:
    usual = _REDIS if settings.store.url else _FILES
    async with _opened(settings, place or usual) as store:
        return await store.verify()


async def _migrate(
    settings: Settings, places: tuple[str, str], progress: Callable[[str], None], *, overwrite: bool
) -> tuple[Migration, list[str]]:
    from voicenode.parts import SHARED  # noqa: PLC0415 (other commands do without)
    from voicenode.stores.migration import migrate  # noqa: PLC0415 (likewise)

    async with _opened(settings, places[0]) as source, _opened(settings, places[1], new=True) as target:
        found = await migrate(source, target, SHARED, overwrite=overwrite, progress=progress)
        return found, list(await target.verify())


@asynccontextmanager
async def _opened(settings: Settings, place: str, *, new: bool = False) -> AsyncIterator[Store]:
    """The store that a word, a URL or a path names; `new` says whether its folder need not be there yet."""
    from voicenode.parts import own_store  # noqa: PLC0415 (other commands do without)
    from voicenode.stores.file import FileStore  # noqa: PLC0415 (likewise)

    if place == _FILES:
        store = own_store(settings)
    elif place == _REDIS or "://" in place:
        async with _opened_redis(_url(settings) if place == _REDIS else place) as redis:
            yield redis
        return
    elif new or await asyncio.to_thread(Path(place).is_dir):
        store = FileStore(Path(place))
    else:
        raise typer.BadParameter(f"there is no folder {place}; expected {_PLACES}")
    async with store:
        yield store


@asynccontextmanager
async def _opened_redis(url: str) -> AsyncIterator[Store]:
    from voicenode.stores.redis import RedisStore  # noqa: PLC0415 (heavy, and for those with Redis)
    from voicenode.stores.redis_address import RedisAddress  # noqa: PLC0415 (likewise)

    try:
        address = RedisAddress.parse(url)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None  # it says nothing of the password
    with tempfile.TemporaryDirectory() as cache:
        async with RedisStore(address, Path(cache), cache_limit=0) as store:
            yield store


def _url(settings: Settings) -> str:
    if settings.store.url is None:
        what = "store.url: there is no Redis in the settings; set it, or name a Redis by its URL"
        raise SetupError(ErrorCode.BAD_SETTINGS, what)
    return settings.store.url.get_secret_value()


def _tell(found: Migration, problems: Sequence[str]) -> None:
    for name in found.different:
        typer.echo(f"{name}: is different in TO and was left alone; --overwrite replaces it")
    for problem in problems:
        typer.echo(problem)
    counts = {"copied": found.copied, "there already": found.equal, "different": found.different}
    note(", ".join(f"{len(names)} {word}" for word, names in counts.items()) + ".")
