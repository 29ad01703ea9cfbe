"""SSML for engines that honour it, cut into complete documents, and its plain text for those that do not.

What may be heard stays: p, s, break, prosody, emphasis, say-as, phoneme and lang; `<sub>` becomes its alias.
`<voice>` and `<audio>` lose their tags and keep their text, as do unknown elements: the voice that was asked
for speaks, and nothing is fetched. What `xml:lang` means for the voice is the engine's to decide.
"""

import re
from collections.abc import Mapping
from html import escape

from voicenode.errors import ErrorCode, RequestError
from voicenode.text.characters import is_speakable, without_unspoken
from voicenode.text.sentences import SentenceCutter
from voicenode.text.ssml_events import Break, Close, Event, Open, Text, read_events

_BLOCKS = frozenset({"p", "s"})
_UNITS = frozenset({"say-as", "phoneme"})  # their text is one unit, in which no sentence ends
_SPACES = re.compile(r"\s+")
_NOT_IN_WORDS = re.compile(r"[\W_]")
_MAX_OPEN_TAGS = 2_000  # characters of tags open at once: every segment repeats them


def segment_ssml(document: str, max_chars: int) -> list[str]:
    """The document as complete `<speak>` documents of a sentence each; none when there is nothing to say.

    A sentence longer than `max_chars` characters of text is cut as plain text is. Tags that are open at a cut
    are closed and opened again; a break stays with the sentence before it. A fragment without `<speak>` is
    taken as if it had one.

    Raises:
        RequestError: `bad-ssml`; the sentence says what is wrong at which line and column.
    """
    events = [_tidy(event) for event in read_events(document)]
    plain = _plain_of(events)
    if not is_speakable("".join(plain)):
        return []
    writer = _Writer(_cuts("".join(plain), _language(events), max_chars))
    for event, text in zip(events, plain, strict=True):
        writer.add(event, len(text))
    return writer.documents


def strip_ssml(document: str) -> str:
    """The text of the document alone: paragraphs, sentences and long breaks are kept apart by a blank line.

    Raises:
        RequestError: `bad-ssml`.
    """
    parts = []
    for event in read_events(document):
        match event:
            case Text(text):
                parts.append(text)
            case Break() if event.is_long:
                parts.append("\n\n")
            case Break():
                parts.append(" ")
            case Open(name) | Close(name) if name in _BLOCKS:
                parts.append("\n\n")
    paragraphs = (" ".join(paragraph.split()) for paragraph in "".join(parts).split("\n\n"))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _language(events: list[Event]) -> str:
    root = events[0]
    return root.attributes.get("xml:lang", "en") if isinstance(root, Open) else "en"


def _tidy(event: Event) -> Event:
    return Text(_SPACES.sub(" ", without_unspoken(event.text))) if isinstance(event, Text) else event


def _plain_of(events: list[Event]) -> list[str]:
    """For each event the text that decides about cuts: a line break for blocks, a space for breaks."""
    plain = []
    inside_unit = 0
    for event in events:
        match event:
            case Text(text):
                plain.append(_NOT_IN_WORDS.sub("x", text) if inside_unit else text)
            case Break():
                plain.append(" ")
            case Open(name) | Close(name):
                opens = isinstance(event, Open)
                inside_unit += (1 if opens else -1) * (name in _UNITS)
                is_sound = name == "phoneme" and opens  # heard even when it has no text
                plain.append("\n" if name in _BLOCKS else "x" * is_sound)
    return plain


def _cuts(text: str, language: str, max_chars: int) -> list[int]:
    """Where to cut, so that every part has something to say."""
    cutter = SentenceCutter(language, max_chars)
    cuts = []
    start = end = 0
    for part in cutter.push(text) + cutter.finish():
        end += len(part)
        if is_speakable(text[start:end]):
            cuts.append(end)
            start = end
    return [*cuts[:-1], len(text)]  # what follows the last sentence stays with it


class _Writer:
    """Writes events out again, as one document up to each cut."""

    def __init__(self, cuts: list[int]) -> None:
        self.documents: list[str] = []
        self._cuts = cuts[::-1]
        self._at = 0
        self._open: list[tuple[str, str]] = []  # name and start tag
        self._parts: list[str] = []

    def add(self, event: Event, length: int) -> None:
        """Write one event, which counts for `length` characters in the cuts."""
        match event:
            case Text(text):
                self._write_text(text)
            case Open():
                self._move(length)  # a cut in front of what opens here comes before its tag
                self._open_tag(event)
            case Close():
                self._parts.append(f"</{self._open.pop()[0]}>")
                self._move(length)
            case Break():
                self._parts.append(f"<break{_written(event.attributes)}/>")
                self._move(length)
        if not self._open:
            self.documents.append("".join(self._parts))

    def _write_text(self, text: str) -> None:
        while text:
            head = text[: self._cuts[-1] - self._at]
            self._parts.append(escape(head, quote=False))
            self._move(len(head))
            text = text[len(head) :]

    def _move(self, length: int) -> None:
        self._at += length
        if self._at == self._cuts[-1] and len(self._cuts) > 1:
            self._cuts.pop()
            ends = [f"</{name}>" for name, _ in reversed(self._open)]
            self.documents.append("".join(self._parts + ends))
            self._parts = [tag for _, tag in self._open]

    def _open_tag(self, event: Open) -> None:
        tag = f"<{event.name}{_written(event.attributes)}>"
        self._open.append((event.name, tag))
        self._parts.append(tag)
        if sum(len(tag) for _, tag in self._open) > _MAX_OPEN_TAGS:
            reason = f"the tags around a text have more than {_MAX_OPEN_TAGS} characters"
            raise RequestError(ErrorCode.BAD_SSML, f"The SSML cannot be read: {reason}")


def _written(attributes: Mapping[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
