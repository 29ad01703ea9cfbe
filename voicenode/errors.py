"""The one root exception, and the stable codes that every door answers with."""

import errno
from enum import StrEnum
from typing import Self


class ErrorCode(StrEnum):
    """What went wrong, as a word that programs may rely on; `docs/protocol.md` explains each."""

    BAD_REQUEST = "bad-request"
    BAD_SSML = "bad-ssml"
    TEXT_TOO_LONG = "text-too-long"
    UNKNOWN_VOICE = "unknown-voice"
    UNKNOWN_SPEAKER = "unknown-speaker"
    UNKNOWN_ENGINE = "unknown-engine"
    BUSY = "busy"
    ENGINE_UNAVAILABLE = "engine-unavailable"
    ENGINE_FAILED = "engine-failed"
    ENGINE_LOST = "engine-lost"
    OUT_OF_MEMORY = "out-of-memory"
    BAD_SETTINGS = "bad-settings"
    CANNOT_START = "cannot-start"
    NO_NODE = "no-node"
    CONFLICT = "conflict"
    NOT_FOUND = "not-found"
    STORE_FAILED = "store-failed"
    STORE_UNAVAILABLE = "store-unavailable"
    STORE_FULL = "store-full"
    DISK_FULL = "disk-full"
    UNKNOWN_JOB = "unknown-job"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"
    PLAYER_FAILED = "player-failed"
    AUDIO_TOO_LARGE = "audio-too-large"
    BAD_RECORDING = "bad-recording"
    BAD_TRANSCRIPT = "bad-transcript"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"


class VoiceServiceError(Exception):
    """The root of every error that voicenode raises on purpose.

    `str(error)` is a sentence for the user: what happened, with what value, and what to do.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class RequestError(VoiceServiceError):
    """The request cannot be answered as it stands; sending it again unchanged will not help."""


class BusyError(VoiceServiceError):
    """The node has too much to do; the same request may be sent again later."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.BUSY, message)


class EngineError(VoiceServiceError):
    """An engine could not be loaded, failed, or died; the request itself was good."""


class OutOfMemoryError(EngineError):
    """The device has no room for the engine, whose process must end: what it holds is freed only then."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.OUT_OF_MEMORY, message)


class SetupError(VoiceServiceError):
    """The owner of the node must change settings, files or the machine."""


class ConflictError(VoiceServiceError):
    """Someone else wrote first: what the writer knew is out of date."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.CONFLICT, message)


class StoreError(VoiceServiceError):
    """Something could not be kept or read; nothing half-made is left."""

    @classmethod
    def of(cls, error: OSError, what: str) -> Self:
        """The error for an operation of the system that failed; `what` is the start of its sentence."""
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return cls(ErrorCode.DISK_FULL, f"{what}: the disk is full; free some space and try again.")
        reason = error.strerror or str(error)
        return cls(ErrorCode.STORE_FAILED, f"{what}: {reason}; check the data directory and its permissions.")
