"""What is asked for: the same words on every door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from voicenode.errors import ErrorCode, RequestError
from voicenode.quality import checks
from voicenode.words import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES = 64 * 1024 * 1024
"""Of all recordings of a voice together."""
DAY = 86_400.0
_LONGEST_TTL = 3650 * DAY


def _as_list(value: object) -> object:
    """A word stands for a list of one."""
    return [value] if isinstance(value, str) else value


Tag = Annotated[str, MinLen(1), MaxLen(35), Field(pattern=r"^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$")]
"""A language, as BCP 47 has them."""
Tags = Annotated[tuple[Tag, ...], BeforeValidator(_as_list), MaxLen(50)]
Engines = Annotated[tuple[Annotated[str, MinLen(1), MaxLen(60)], ...], BeforeValidator(_as_list), MaxLen(10)]
Seconds = Annotated[float, Ge(0), Le(_LONGEST_TTL)]
ShortText = Annotated[str, MaxLen(500)]
Transcript = Annotated[str, MaxLen(10_000)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="ignore")


class CloneRequest(_Message):
    """A voice to make of recordings."""

    name: Annotated[str, MinLen(1)]
    languages: Tags = Field((), validation_alias=AliasChoices("languages", "language"))
    """What it shall speak, its own language first; empty for all that its engines speak."""
    engines: Engines = Field((), validation_alias=AliasChoices("engines", "engine"))
    """Who shall speak in it, best first; empty for every engine that clones."""
    transcript: Transcript | None = None
    """The words of the first recording."""
    description: ShortText = ""
    quality: Annotated[str, MaxLen(60)] | None = None
    replace: bool | Literal["rename"] = False
    """Whether a voice of this name may be replaced, or the new one gets another name."""
    ttl: Seconds | None = None
    """Seconds without use until it expires, 0 for never; none for as long as the node keeps voices."""
    pinned: bool = False
    consent: ShortText | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> CloneRequest:
        """The request in a message; keys that mean nothing are skipped.

        Raises:
            RequestError: a value will not do; the sentence names each.
        """
        found: CloneRequest = checks.checked(_CLONE, _without_nulls(data), "the message")
        return found


class UpdateRequest(_Message):
    """Changes to a voice, none of which is heard; what is absent stays."""

    name: Annotated[str, MinLen(1)]
    rename: Annotated[str, MinLen(1)] | None = None
    languages: Tags | None = None
    engines: Engines | None = None
    description: ShortText | None = None
    quality: Annotated[str, MaxLen(60)] | None = None
    """Empty for none."""
    ttl: Seconds | None = None
    pinned: bool | None = None
    consent: ShortText | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> UpdateRequest:
        """As `CloneRequest.of`."""
        found: UpdateRequest = checks.checked(_UPDATE, _without_nulls(data), "the message")
        return found

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of a profile that change, the name apart."""
        return self.model_dump(exclude={"name", "rename"}, exclude_none=True)


class Page(_Message):
    """A part of the list of voices."""

    offset: Annotated[int, Ge(0)] = 0
    limit: Annotated[int, Ge(1), Le(1000)] = 100

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Page:
        """As `CloneRequest.of`."""
        found: Page = checks.checked(_PAGE, _without_nulls(data), "the message")
        return found


def name_in(data: Mapping[str, Any]) -> str:
    """The name in a message that has nothing else to say.

    Raises:
        RequestError: there is none.
    """
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise RequestError(
            ErrorCode.BAD_REQUEST, f"name must be the name of a voice, not {checks.shown(name)}"
        )
    return name


def check_keys(data: Mapping[str, Any], known: Iterable[str]) -> None:
    """For doors that tolerate no unknown word.

    Raises:
        RequestError: there is one.
    """
    words = list(known)
    for key in data:
        if key not in words:
            raise unknown(ErrorCode.BAD_REQUEST, "key", key, words)


CLONE_KEYS = (*CloneRequest.model_fields, "language", "engine")
UPDATE_KEYS = tuple(UpdateRequest.model_fields)

_CLONE = TypeAdapter(CloneRequest)
_UPDATE = TypeAdapter(UpdateRequest)
_PAGE = TypeAdapter(Page)


def _without_nulls(data: Mapping[str, Any]) -> dict[str, Any]:
    """Null is absence."""
    return {key: value for key, value in data.items() if value is not None}
