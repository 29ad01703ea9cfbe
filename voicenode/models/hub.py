"""Files from Hugging Face's hub, or from a mirror that HF_ENDPOINT names; what was interrupted goes on.

The hub's own `hf_hub_download` has begun anew after every interruption since its version 1.18, so only its
addresses, session and errors are used here. This module is heavy and needs an extra.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
from huggingface_hub import (
    get_hf_file_metadata,
    get_session,
    get_token,
    hf_hub_url,
    hf_raise_for_status,
)
from huggingface_hub.errors import OfflineModeIsEnabled

from voicenode.models.checksum import is_checksum
from voicenode.models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voicenode.models.catalogue import File

_PAUSES = (0, 1, 2, 4, 8)
"""Seconds before each further try, as long as none of them brings anything."""
_TIMEOUT = 30.0
"""Seconds in which a server has to say something."""
_PARTIAL = 206
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, OfflineModeIsEnabled)


@dataclass(frozen=True, slots=True)
class Remote:
    """What the hub tells of a file."""

    url: str
    size: int
    checksum: str


def look(file: File) -> Remote:
    """Ask for the size and the checksum of a file.

    Raises:
        ModelError: the hub cannot be reached, or does not have it.
    """
    url = hf_hub_url(file.repository, file.source, revision=file.revision)
    try:
        told = get_hf_file_metadata(url)
    except _FAILURES as error:
        raise _unreachable(url, error) from error
    if told.size is None or not is_checksum(told.etag or ""):
        raise ModelError(f"{url} comes without size or checksum; set HF_ENDPOINT to another mirror")
    return Remote(url, told.size, told.etag or "")


def fetch(remote: Remote, target: Path, show: Callable[[int], None]) -> None:
    """Download what `target` has not got yet.

    Args:
        remote: as `look` told.
        target: holds as much as earlier tries brought.
        show: told how many bytes are there, whenever there are more.

    Raises:
        ModelError: the rest cannot be had now; what has come stays.
        OSError: it cannot be written.
    """
    pauses = iter(_PAUSES)
    target.touch()
    while (there := target.stat().st_size) < remote.size:
        try:
            _stream(remote.url, target, there, show)
        except _FAILURES as error:
            if target.stat().st_size > there:
                pauses = iter(_PAUSES)
            pause = next(pauses, None) if _is_transient(error) else None
            if pause is None:
                raise _unreachable(remote.url, error) from error
            time.sleep(pause)


def _stream(url: str, target: Path, there: int, show: Callable[[int], None]) -> None:
    """Append to `target`, which has `there` bytes; a server that cannot go on there begins anew."""
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={there}-"}
    if token := get_token():
        headers["Authorization"] = f"Bearer {token}"  # which httpx keeps from other hosts
    answer = get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True)
    with answer as response, target.open("ab") as file:
        hf_raise_for_status(response)
        if response.status_code != _PARTIAL:
            file.truncate(there := 0)
        for chunk in response.iter_bytes():
            file.write(chunk)
            show(file.tell())
        if file.tell() == there:
            raise httpx.RemoteProtocolError("the answer is empty", request=response.request)


def _is_transient(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return isinstance(error, httpx.TransportError) if response is None else response.status_code in _TRANSIENT


def _unreachable(url: str, error: Exception) -> ModelError:
    response = getattr(error, "response", None)
    reason = f"HTTP {response.status_code}" if response is not None else f"{type(error).__name__}: {error}"
    return ModelError(
        f"{url} cannot be downloaded ({reason}); check the network, or set HF_ENDPOINT to a mirror, "
        "and run the command again: it goes on where it stopped"
    )
