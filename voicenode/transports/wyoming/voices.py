"""Cloned voices over Wyoming: recordings as they come in, and the messages about voices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voicenode.audio import PcmFormat
from voicenode.errors import BusyError, ErrorCode, RequestError, VoiceServiceError
from voicenode.framing import Frame, encode
from voicenode.recordings import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicenode.cloning import Asker, VoiceDesk

MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of all recordings of a voice together."""
UPLOADS = 4
"""Recordings that clients of one node send at a time; each is in memory."""
MESSAGES = {"clone-voice", "list-voices", "get-voice", "update-voice", "delete-voice"}
Work = Callable[[], Awaitable[bytes]]
"""What must be done to answer a message."""
_MOST = 1_000_000
"""Of what an audio format has, such as samples in a second."""
_AUDIO = {"audio-start", "audio-chunk", "audio-stop"}


class Uploads:
    """Counts the recordings that are on their way to a node."""

    def __init__(self) -> None:
        self.under_way = 0


class VoiceTalk:
    """What one client says about voices.

    Args:
        desk: answers.
        asker: the client; a message may add a token.
        uploads: those of all clients.
    """

    def __init__(self, desk: VoiceDesk, asker: Asker, uploads: Uploads) -> None:
        self._desk = desk
        self._asker = asker
        self._uploads = uploads
        self._upload: _Upload | None = None
        self._held = 0
        """Recordings of this client that are in memory."""

    def room_for(self, frame: Frame, length: int) -> int:
        """How large the payload of a message may be that says to have one of this length.

        Raises:
            VoiceServiceError: this client may not send one, or too many do.
        """
        told = unwrapped(frame)
        if told.type != "clone-voice":
            return 0
        self._desk.check(self._known(told.data))
        if length > MAX_PAYLOAD:
            raise _too_large()
        self._check_room()
        return MAX_PAYLOAD

    def takes(self, frame: Frame) -> bool:
        """Whether a message is one about voices, or part of a recording."""
        return frame.type in MESSAGES or (frame.type in _AUDIO and self._upload is not None)

    def hear(self, frame: Frame) -> Work | None:
        """What must be done to answer a message; none while a recording is still coming in.

        Raises:
            VoiceServiceError: it is answered by this error.
        """
        if self._upload is not None:
            return self._continued(self._upload, frame)
        if frame.type == "clone-voice":
            return self._begun(frame)
        return partial(self._ask, frame.type, frame.data)

    def close(self) -> None:
        """Forget what has not become a voice yet."""
        self._upload = None
        self._uploads.under_way -= self._held
        self._held = 0

    def _begun(self, frame: Frame) -> Work | None:
        data = frame.data
        self._desk.check(self._known(data))
        sources = _sources(frame) if frame.payload else []
        self._take_room()
        if not sources:
            self._upload = _Upload(data)
            return None
        return partial(self._clone, data, sources)

    def _continued(self, upload: _Upload, frame: Frame) -> Work | None:
        try:
            if frame.type not in _AUDIO:
                what = f"{frame.type} before audio-stop of the recording"
                raise RequestError(ErrorCode.BAD_REQUEST, what)  # noqa: TRY301 - as what `add` raises
            complete = upload.add(frame)
        except RequestError:
            self._upload = None
            self._leave_room()
            raise
        if not complete:
            return None
        self._upload = None
        return partial(self._clone, upload.data, [upload.source])

    def _check_room(self) -> None:
        if self._uploads.under_way >= UPLOADS:
            raise BusyError(f"{UPLOADS} recordings are being sent already; try again in a moment")

    def _take_room(self) -> None:
        self._check_room()
        self._uploads.under_way += 1
        self._held += 1

    def _leave_room(self) -> None:
        if self._held:
            self._uploads.under_way -= 1
            self._held -= 1

    async def _clone(self, data: Mapping[str, Any], sources: list[Source]) -> bytes:
        try:
            told = await self._desk.clone(data, sources, self._known(data))
        finally:
            self._leave_room()
        return encode(Frame("voice-cloned", {**told, **transaction(data)}))

    async def _ask(self, asked: str, data: Mapping[str, Any]) -> bytes:
        desk, asker = self._desk, self._known(data)
        match asked:
            case "get-voice":
                answer = Frame("voice", desk.get(data, asker))
            case "update-voice":
                answer = Frame("voice-updated", await desk.update(data, asker))
            case "delete-voice":
                answer = Frame("voice-deleted", await desk.delete(data, asker))
            case _:
                answer = Frame("voices", desk.list(data))
        answer.data.update(transaction(data))
        return encode(answer)

    def _known(self, data: Mapping[str, Any]) -> Asker:
        token = data.get("token")
        return replace(self._asker, token=token) if isinstance(token, str) else self._asker


class _Upload:
    """A recording that comes in pieces."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self._format: PcmFormat | None = None
        self._samples = bytearray()

    @property
    def source(self) -> Source:
        return Source(bytes(self._samples), pcm=self._format)

    def add(self, frame: Frame) -> bool:
        """Whether that was all.

        Raises:
            RequestError: it is no recording, or is too long.
        """
        if frame.type == "audio-start":
            self._format = _format(frame.data)
        elif self._format is None:
            raise RequestError(ErrorCode.BAD_REQUEST, f"{frame.type} before audio-start")
        self._samples += frame.payload
        if len(self._samples) > MAX_PAYLOAD:
            raise _too_large()
        return frame.type == "audio-stop"


def _too_large() -> RequestError:
    what = f"the recording has over {MAX_PAYLOAD >> 20} MiB; half a minute of clear speech is all it takes"
    return RequestError(ErrorCode.AUDIO_TOO_LARGE, what)


def unwrapped(frame: Frame) -> Frame:
    """What is in the envelope of a `user-event` about voices; any other message as it is."""
    inside = frame.data.get("data") or {}
    if frame.type == "user-event" and frame.data.get("name") in MESSAGES and isinstance(inside, dict):
        return Frame(frame.data["name"], inside, frame.payload)
    return frame


def transaction(data: Mapping[str, Any]) -> dict[str, str]:
    """What a client calls its request, to be repeated in the answer."""
    told = data.get("transaction")
    return {"transaction": told} if isinstance(told, str) else {}


def refusal(error: VoiceServiceError, data: Mapping[str, Any]) -> bytes:
    """The `error` that answers a message about voices."""
    return encode(Frame("error", {"text": str(error), "code": error.code.value, **transaction(data)}))


def _sources(frame: Frame) -> list[Source]:
    """One recording for each length in `recordings`, in bytes; the payload is one where that is absent."""
    lengths = frame.data.get("recordings")
    if lengths is None:
        return [Source(frame.payload)]
    whole = isinstance(lengths, list) and all(type(each) is int and each >= 0 for each in lengths)
    if not whole or sum(lengths) != len(frame.payload):
        what = f"recordings must be the lengths of recordings that are {len(frame.payload)} bytes together"
        raise RequestError(ErrorCode.BAD_REQUEST, what)
    sources, start = [], 0
    for number, length in enumerate(lengths, 1):
        sources.append(Source(frame.payload[start : start + length], name=f"recording {number}"))
        start += length
    return sources


def _format(data: Mapping[str, Any]) -> PcmFormat:
    rate, width, channels = (data.get(key) for key in ("rate", "width", "channels"))
    if not all(type(each) is int and 0 < each <= _MOST for each in (rate, width, channels)):
        what = "audio-start must tell rate, width and channels as whole numbers"
        raise RequestError(ErrorCode.BAD_REQUEST, what)
    return PcmFormat(rate, width, channels)  # type: ignore[arg-type] # they are
