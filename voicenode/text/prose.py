# ruff: noqa: RUF001 - the commas of other scripts
"""The clean text that comes out of a cleaner: white space folded, and a line break after a block."""

_COMMAS = {"ar": "،", "fa": "،", "ur": "،", "ja": "、", "zh": "，", "cmn": "，", "yue": "，"}


class Prose:
    """Collects words; a space or the end of a cell appears only once a word follows it."""

    def __init__(self, language: str) -> None:
        self._comma = _COMMAS.get(language.replace("_", "-").partition("-")[0].lower(), ",")
        self._parts: list[str] = []
        self._last = ""
        self._space = self._word_ended = self._cell_ended = False

    def write(self, text: str) -> None:
        """Add text; any run of white space in it counts as one space."""
        words = text.split()
        if not words:
            self._space = self._space or bool(text)
            return
        if text[0].isspace():
            self._space = True
        spoken = " ".join(words)
        self._parts += self._separator(spoken[0]), spoken
        self._last = spoken[-1]
        self._space = text[-1].isspace()
        self._word_ended = self._cell_ended = False

    def end_word(self) -> None:
        """Keep what is written next apart from the word before."""
        self._word_ended = True

    def end_cell(self) -> None:
        """Let a comma follow, as between the cells of a table."""
        self._cell_ended = True

    def end_block(self) -> None:
        """Break the line, unless nothing has been written on it."""
        self._space = self._word_ended = self._cell_ended = False
        if self._last not in {"", "\n"}:
            self._parts.append("\n")
            self._last = "\n"

    def take(self) -> str:
        """Give what was collected since the last time."""
        text = "".join(self._parts)
        self._parts.clear()
        return text

    def _separator(self, first: str) -> str:
        if self._last in {"", "\n"}:
            return ""
        if self._cell_ended:
            return f"{self._comma} " if self._last.isalnum() else " "
        words_touch = self._word_ended and self._last.isalnum() and first.isalnum()
        return " " if self._space or words_touch else ""
