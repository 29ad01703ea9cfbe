"""Reads an SSML document, with the care that strangers' XML needs, as a flat list of what can be heard."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from voicenode.errors import ErrorCode, RequestError

MAX_DEPTH = 100
_KEPT = frozenset({"speak", "p", "s", "prosody", "emphasis", "say-as", "phoneme", "lang"})
_SILENT = frozenset({"metadata", "meta", "lexicon", "desc", "mark"})
_LONG_BREAKS = frozenset({"strong", "x-strong"})
_LONG_BREAK_SECONDS = 0.5
_TIME = re.compile(r"\s*\+?(\d{0,6}(?:\.\d{1,6})?)\s*(ms|s)\s*")
_WHOLE_DOCUMENT = re.compile(r"<(?:[?!]|(?:[\w.-]+:)?speak\b)")
_FRAGMENT_ROOTS = _KEPT | _SILENT | {"break", "sub", "voice", "audio", "token", "w", "lookup"}
_FIRST_TAG = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")
_XML_NAMESPACE = "{http://www.w3.org/XML/1998/namespace}"


@dataclass(frozen=True, slots=True)
class Text:
    """Text to be spoken; its white space is as in the document."""

    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """The start of an element that is kept."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Close:
    """Its end."""

    name: str


@dataclass(frozen=True, slots=True)
class Break:
    """A pause."""

    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_long(self) -> bool:
        """Whether the pause is one between paragraphs rather than between words."""
        if time := _TIME.fullmatch(self.attributes.get("time", "")):
            return float(time[1] or 0) / (1000 if time[2] == "ms" else 1) >= _LONG_BREAK_SECONDS
        return self.attributes.get("strength") in _LONG_BREAKS


Event = Text | Open | Close | Break


def read_events(document: str) -> list[Event]:
    """What the document says, from `Open("speak", ...)` to `Close("speak")`.

    Raises:
        RequestError: `bad-ssml`: malformed, entities declared, another root, nested more than 100 deep.
    """
    from xml.etree.ElementTree import ParseError  # noqa: PLC0415 - only who sends SSML pays for XML

    from defusedxml import DefusedXmlException  # noqa: PLC0415
    from defusedxml.ElementTree import XMLParser  # noqa: PLC0415

    body = document.lstrip()
    prefix = "" if _WHOLE_DOCUMENT.match(body) else "<speak>"
    if prefix and (first := _FIRST_TAG.match(body)) and first[1] not in _FRAGMENT_ROOTS:
        raise _bad(f"the root is <{first[1][:40]}>, not <speak>")
    reader = _Reader()
    # An entity bomb or a file reference needs a declaration, and those are refused; a plain DOCTYPE is not.
    parser = XMLParser(target=reader, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(f"{prefix}{body}{'</speak>' if prefix else ''}")
        parser.close()
    except (ParseError, _Refused) as error:
        line, column = getattr(error, "position", None) or _position(parser)
        column += 1 - (len(prefix) if line == 1 else 0)
        skipped = document[: len(document) - len(body)].count("\n")
        reason = str(error).partition(": line ")[0]
        raise _bad(f"line {line + skipped}, column {max(column, 1)}: {reason}") from error
    except DefusedXmlException as error:
        raise _bad("entities may not be declared in it") from error
    except UnicodeEncodeError as error:
        raise _bad(f"character {error.start + 1 - len(prefix)} is not a valid Unicode character") from error
    return reader.events


class _Refused(Exception):  # noqa: N818 - a reason to answer with, which never leaves this module
    """The document is well-formed, but not one that is read."""


class _Reader:
    """The parser's target: keeps, unwraps or drops each element."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._open: list[str] = []  # every open element: the name of one that is kept, else ""
        self._silent_depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if not self._open and name != "speak":
            self._refuse(f"the root is <{name[:40]}>, not <speak>")
        if len(self._open) >= MAX_DEPTH:
            self._refuse(f"elements are nested more than {MAX_DEPTH} deep")
        is_root = not self._open
        self._open.append("")
        if self._silent_depth or name in _SILENT or (name == "sub" and "alias" in attributes):
            if name == "sub" and not self._silent_depth:
                self.events.append(Text(attributes["alias"]))
            self._silent_depth += 1
        elif name == "break":
            if attributes.get("strength") != "none":
                self.events.append(Break(_plain_names(attributes)))
        elif name in _KEPT and (is_root or name != "speak"):
            self._open[-1] = name
            self.events.append(Open(name, _plain_names(attributes)))

    def end(self, _tag: str) -> None:
        if name := self._open.pop():
            self.events.append(Close(name))
        elif self._silent_depth:
            self._silent_depth -= 1

    def data(self, text: str) -> None:
        if not self._silent_depth:
            self.events.append(Text(text))

    def close(self) -> None:
        """Nothing is left to do; the parser asks for it."""

    def _refuse(self, reason: str) -> NoReturn:
        raise _Refused(reason)


def _plain_names(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes of SSML itself and of `xml:`; those of other namespaces mean nothing to an engine."""
    named = {name.replace(_XML_NAMESPACE, "xml:"): value for name, value in attributes.items()}
    return {name: value for name, value in named.items() if not name.startswith("{")}


def _position(parser: Any) -> tuple[int, int]:  # noqa: ANN401 - defusedxml is loaded late and has no stubs for it
    return parser.parser.CurrentLineNumber, parser.parser.CurrentColumnNumber


def _bad(reason: str) -> RequestError:
    return RequestError(ErrorCode.BAD_SSML, f"The SSML cannot be read: {reason}")
