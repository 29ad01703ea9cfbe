"""Downloads a model: what is missing or damaged, verified, and whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from voicenode.models import checksum
from voicenode.models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from voicenode.models.catalogue import File
    from voicenode.models.hub import Remote
    from voicenode.models.local import LocalModel

    Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
    """Entered with the path and the size of each file; what it gives is told how much of it is there."""


def download(local: LocalModel, progress: Progress, *, offline: bool = False) -> bool:
    """Make the model whole; without any request where it is.

    Args:
        local: the model, and where it goes.
        progress: shows how far it is.
        offline: whether to make no request at all.

    Returns:
        Whether anything was missing or damaged.

    Raises:
        ModelError: a file cannot be had, there is no room, or `offline` and something is missing.
        SetupError: another process downloads it.
        OSError: the folder cannot be written.
    """
    with local.alone():
        missing = local.damaged()
        if not missing:
            return False
        if offline:
            raise ModelError(
                f"{', '.join(missing)} of {local.model.name}: not in {local.root}, or damaged; "
                "run the command again without --offline and HF_HUB_OFFLINE"
            )
        _require_hub(local.model.folder)
        _complete(local, [file for file in local.model.files if file.path in missing], progress)
        return True


def _require_hub(extra: str) -> None:
    """Raise ModelError where the library is not installed, which the model's extra brings."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # what runs in a house is nobody's business
    try:
        import huggingface_hub  # noqa: F401, PLC0415 (an extra, and heavy)
    except ImportError as error:
        raise ModelError(
            f"models are downloaded with huggingface_hub, which cannot be imported ({error}); "
            f"run `pip install 'voicenode[{extra}]'`"
        ) from error


def _complete(local: LocalModel, missing: Iterable[File], progress: Progress) -> None:
    from voicenode.models import hub  # noqa: PLC0415 (an extra, and heavy)

    looked = {file: hub.look(file) for file in missing}
    remotes = {file: remote for file, remote in looked.items() if not _adopt(local, file, remote)}
    _check_room(local, remotes)
    local.unfinished.mkdir(exist_ok=True)
    for file, remote in remotes.items():
        unfinished = _unfinished(local, remote)
        with progress(file.path, remote.size) as show:
            hub.fetch(remote, unfinished, show)
        _put_in_place(local, file, remote)
    shutil.rmtree(local.unfinished)  # with what another revision may have left


def _adopt(local: LocalModel, file: File, remote: Remote) -> bool:
    """Whether the file is there already, though no manifest says so: somebody may have copied it."""
    path = local.path(file)
    digest = checksum.verify(path, remote.checksum) if _size(path) == remote.size else None
    if digest:
        local.record(file, digest)
    return bool(digest)


def _check_room(local: LocalModel, remotes: Mapping[File, Remote]) -> None:
    """Raise ModelError where the disk is too full for what is to come and for what is made of it."""
    from rich.filesize import decimal  # noqa: PLC0415 (only for this sentence)

    needed = sum(
        remote.size * (2 if file.converted else 1) - _size(_unfinished(local, remote))
        for file, remote in remotes.items()
    )
    free = shutil.disk_usage(local.root).free
    if needed > free:
        raise ModelError(
            f"{local.model.name} needs {decimal(needed)} in {local.root}, where {decimal(free)} are free; "
            "free some space, or name a `data_dir` on another disk"
        )


def _put_in_place(local: LocalModel, file: File, remote: Remote) -> None:
    unfinished, path = _unfinished(local, remote), local.path(file)
    digest = checksum.verify(unfinished, remote.checksum)
    if not digest:
        unfinished.unlink()
        raise ModelError(f"{file.path} came damaged from {remote.url}; run the command again")
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(path)
    local.record(file, digest)


def _unfinished(local: LocalModel, remote: Remote) -> Path:
    """Named after the content, so that nothing else is ever appended to."""
    return local.unfinished / remote.checksum


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
