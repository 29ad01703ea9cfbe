"""The node's id: the part of its names that stays the same whatever its owner calls it."""

import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from voicenode.errors import ErrorCode, SetupError

FILE_NAME = "node-id"


def node_id(data_dir: Path) -> str:
    """Return the node's id, eight hexadecimal digits; the first call makes it up and keeps it in `data_dir`.

    Several processes may call this at once: all get the same answer.

    Raises:
        SetupError: `data_dir` cannot be made or written, or its file `node-id` holds something else.

    """
    path = data_dir / FILE_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _publish(path, secrets.token_hex(4))
        content = path.read_bytes().decode("ascii", errors="replace").strip()
        writable = os.access(data_dir, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise _unusable(data_dir, getattr(error, "strerror", None) or str(error)) from error
    if not writable:
        raise _unusable(data_dir, "it cannot be written")
    if not re.fullmatch("[0-9a-f]{8}", content):
        message = (
            f"{path} holds {content[:40]!r}, not eight hexadecimal digits: delete it to get a new id "
            "(Home Assistant will take the node for a new one)"
        )
        raise SetupError(ErrorCode.CANNOT_START, message)
    return content


def _publish(path: Path, text: str) -> None:
    """Write `path` whole and safe on the disk, unless another process was there first."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links, such as exFAT: two first starts could still race
            temporary.rename(path)
        with suppress(OSError):  # not every file system can; the content itself is safe already
            _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(data_dir: Path, reason: str) -> SetupError:
    message = f"the data directory {data_dir} cannot be used: {reason}; name another one with --data-dir"
    return SetupError(ErrorCode.CANNOT_START, message)
