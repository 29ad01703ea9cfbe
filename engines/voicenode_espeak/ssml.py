"""SSML as eSpeak NG can take it: only elements and attributes that it reads, and reads safely.

eSpeak's own reader trusts its input: twenty open voice elements overrun its stack, an unknown language
becomes English, and the usual `<speak xml:lang="en-US">` may change the voice.
"""

from collections.abc import Iterable, Mapping
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape

from voicenode.engine import ErrorCode, RequestError
from voicenode_espeak.voices import VoiceFile, primary

_MAX_DEPTH = 16
_ATTRIBUTES = {
    "speak": (),
    "p": (),
    "s": (),
    "voice": ("gender",),
    "prosody": ("rate", "pitch", "range", "volume"),
    "say-as": ("interpret-as", "format"),
    "phoneme": ("alphabet", "ph"),
    "emphasis": ("level",),
    "break": ("time", "strength"),
}
_CRASHES = {("mto", "emphasis"), ("chr-us-qaaa-x-west", "emphasis")}
"""Elements that end the process in a voice (segmentation fault in `calc_pitches` of eSpeak NG 1.52)."""
_RENAMED = {"lang": "voice"}
_UNSPOKEN = ("metadata", "desc")
_UNQUOTABLE = str.maketrans(dict.fromkeys('"<>', " "))
"""eSpeak ends a tag at the first >, an attribute at the first quotation mark, and knows no entities there."""


def for_espeak(document: str, voice: VoiceFile, others: Iterable[VoiceFile]) -> str:
    """Rewrite a document for one voice.

    Args:
        document: complete SSML.
        voice: who speaks; stays the voice for text marked as any variety of its own language.
        others: the voices that `<voice name>` and `xml:lang` may change to, a language's usual one first.

    Raises:
        RequestError: not well-formed, with a document type, or nested too deeply.
    """
    writer = _Writer(voice, tuple(others))
    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.text
    try:
        parser.Parse(document.encode(errors="ignore"), True)
    except ExpatError as error:
        raise RequestError(ErrorCode.BAD_SSML, f"the SSML is not well-formed: {error}") from error
    return "".join(writer.out)


class _Writer:
    def __init__(self, voice: VoiceFile, others: tuple[VoiceFile, ...]) -> None:
        self.out: list[str] = []
        self._voice = voice
        self._others = others
        self._open: list[str] = []
        self._allowed = {name for name in _ATTRIBUTES if (voice.id, name) not in _CRASHES}

    def start(self, element: str, attributes: dict[str, str]) -> None:
        name = _RENAMED.get(element, element)
        if alias := attributes.get("alias"):  # only <sub> has it
            self.text(alias)
            name = _UNSPOKEN[0]
        self._open.append(name)
        if len(self._open) > _MAX_DEPTH:
            raise RequestError(ErrorCode.BAD_SSML, f"the SSML is nested more than {_MAX_DEPTH} deep")
        if name in self._allowed and not self._silent():
            self.out.append(f"<{name}{self._attributes(name, attributes)}>")

    def end(self, _element: str) -> None:
        if (name := self._open.pop()) in self._allowed and not self._silent():
            self.out.append(f"</{name}>")

    def text(self, text: str) -> None:
        if not self._silent():
            self.out.append(escape(text))

    def _silent(self) -> bool:
        return any(name in _UNSPOKEN for name in self._open)

    def _attributes(self, name: str, given: Mapping[str, str]) -> str:
        kept = {key: given[key].translate(_UNQUOTABLE) for key in _ATTRIBUTES[name] if key in given}
        if other := self._other_voice(name, given):
            kept |= {"name": other.identifier} if name == "voice" else {"xml:lang": other.id}
        return "".join(f' {key}="{value}"' for key, value in kept.items())

    def _other_voice(self, name: str, given: Mapping[str, str]) -> VoiceFile | None:
        wanted = given.get("name", "").casefold().removeprefix("espeak-") if name == "voice" else ""
        named = next((voice for voice in self._others if voice.id == wanted), None)
        language = given.get("xml:lang", "")
        if named or not language or primary(language) == primary(self._voice.languages[0]):
            return named
        return _speaker_of(language, self._others)


def _speaker_of(tag: str, voices: tuple[VoiceFile, ...]) -> VoiceFile | None:
    for wanted in (tag.casefold(), primary(tag)):
        for voice in voices:
            if wanted in (language.casefold() for language in voice.languages):
                return voice
    return None


def _refuse_doctype(*_declaration: object) -> None:
    raise RequestError(ErrorCode.BAD_SSML, "the SSML has a document type; remove <!DOCTYPE ...>")
