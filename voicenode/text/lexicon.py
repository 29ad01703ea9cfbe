"""The owner's pronunciations: words, and how to speak them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voicenode.errors import ErrorCode, SetupError
from voicenode.text.characters import is_mark

if TYPE_CHECKING:
    from yaml import Node

ALL_LANGUAGES = "all"

# Where a script writes no spaces, or (Korean) joins particles to a word, no word border is asked for.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
_WORD = rf"[^\W{_UNSPACED}]"
_WORD_START = rf"(?:(?<!{_WORD})|(?!{_WORD}))"
_WORD_END = rf"(?:(?!{_WORD})|(?<!{_WORD}))"


class Lexicon:
    """Replaces whole words by their spoken form.

    An entry in small letters matches however the text is capitalised; one with a capital letter matches only
    as it is written. The longest entry wins, then the one of the exact language (`pt-BR`), of the base
    language (`pt`), of all languages (`all` or `*`). What was replaced is not looked at again.
    """

    def __init__(self, words: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Take language tag -> word -> spoken form."""
        self._words = {_normal_tag(tag): dict(entries) for tag, entries in (words or {}).items()}
        self._matchers: dict[tuple[str, ...], _Matcher] = {}

    @classmethod
    def read(cls, path: Path | str) -> "Lexicon":
        """Read a YAML file of language tag -> word -> spoken form.

        Raises:
            SetupError: the file cannot be read or has another shape; the sentence names the line.
        """
        return cls(_parse(Path(path)))

    def apply(self, text: str, language: str) -> str:
        """The text with every known word in its spoken form."""
        tag = _normal_tag(language)
        candidates = dict.fromkeys((tag, tag.partition("-")[0], ALL_LANGUAGES))
        tags = tuple(candidate for candidate in candidates if self._words.get(candidate))
        if not tags:
            return text
        if tags not in self._matchers:
            self._matchers[tags] = _Matcher([self._words[t] for t in tags])
        return self._matchers[tags].replace(text)


class _Matcher:
    """One pattern over several tables, of which an earlier one goes before a later one."""

    def __init__(self, tables: list[dict[str, str]]) -> None:
        self._spoken: dict[str, str] = {}
        for table in tables:
            for word, spoken in table.items():
                self._spoken.setdefault(word, spoken)
        longest_first = sorted(self._spoken, key=len, reverse=True)
        words = "|".join(f"(?-i:{re.escape(w)})" if _has_capital(w) else re.escape(w) for w in longest_first)
        self._pattern = re.compile(f"{_WORD_START}(?:{words}){_WORD_END}", re.IGNORECASE)

    def replace(self, text: str) -> str:
        return self._pattern.sub(self._spoken_form, text)

    def _spoken_form(self, match: re.Match[str]) -> str:
        following = match.string[match.end() : match.end() + 1]
        if following and is_mark(following):  # which re does not count as part of a word
            return match[0]
        return self._spoken.get(match[0], self._spoken.get(match[0].lower(), match[0]))


def _has_capital(word: str) -> bool:
    return word != word.lower()


def _normal_tag(tag: str) -> str:
    return ALL_LANGUAGES if tag == "*" else tag.replace("_", "-").lower()


def _parse(path: Path) -> dict[str, dict[str, str]]:
    import yaml  # noqa: PLC0415 - a node without a lexicon never needs it

    try:
        # Nodes, not values: they know their lines, and "no" stays Norwegian instead of becoming False.
        document = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(ErrorCode.BAD_SETTINGS, f"The lexicon {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SetupError(ErrorCode.BAD_SETTINGS, f"The lexicon {path} is not valid YAML: {error}") from error
    words: dict[str, dict[str, str]] = {}
    for tag, entries in _items(document, path, "language: {word: spoken form}"):
        table = words.setdefault(_normal_tag(tag), {})
        for word, spoken in _items(entries, path, "word: spoken form"):
            table[word] = _scalar(spoken, path, f"the spoken form of {word!r} as text")
    return words


def _items(node: "Node | None", path: Path, expected: str) -> Iterator[tuple[str, "Node"]]:
    from yaml import MappingNode  # noqa: PLC0415

    if node is None or node.value == "":
        return
    if not isinstance(node, MappingNode):
        raise _malformed(node, path, expected)
    for key, value in node.value:
        word = _scalar(key, path, expected)
        if not word:
            raise _malformed(key, path, expected)
        yield word, value


def _scalar(node: "Node", path: Path, expected: str) -> str:
    from yaml import ScalarNode  # noqa: PLC0415

    if not isinstance(node, ScalarNode):
        raise _malformed(node, path, expected)
    return str(node.value)


def _malformed(node: "Node", path: Path, expected: str) -> SetupError:
    mark = node.start_mark
    return SetupError(
        ErrorCode.BAD_SETTINGS,
        f"The lexicon {path} is malformed at line {mark.line + 1}, column {mark.column + 1}: "
        f"expected {expected}",
    )
