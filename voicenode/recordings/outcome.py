"""What a check of recordings came to, as the node reads it from the process that checked.

It is JSON, for that process decodes the files of strangers: what it says must not be able to run code.
"""

from dataclasses import dataclass
from functools import cache

from pydantic import ConfigDict, TypeAdapter

from voicenode.errors import ErrorCode
from voicenode.recordings.model import CheckedRecordings


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why recordings will not do."""

    code: ErrorCode
    message: str


def write(outcome: CheckedRecordings | Refusal) -> bytes:
    """The JSON of an outcome; sound stands in it as base64."""
    return _outcome().dump_json((outcome,))


def read(answer: bytes) -> CheckedRecordings | Refusal:
    """The outcome that was written.

    Raises:
        ValueError: it is not the JSON of one.
    """
    return _outcome().validate_json(answer)[0]


@cache
def _outcome() -> TypeAdapter[tuple[CheckedRecordings | Refusal]]:
    # In a tuple, because a dataclass takes no settings of its own here.
    settings = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    return TypeAdapter(tuple[CheckedRecordings | Refusal], config=settings)
