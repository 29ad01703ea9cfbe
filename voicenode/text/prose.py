# ruff: noqa: RUF001 - the commas of other scripts
"""The clean text that comes out of a cleaner: folded white space, and blocks that end with a line break."""

_COMMAS = {"ar": "،", "fa": "،", "ur": "،", "ja": "、", "zh": "，", "cmn": "，", "yue": "，"}


class Prose:
    """Collects words; spaces, ends of cells and ends of blocks appear only once a word follows them."""

    def __init__(self, language: str) -> None:
        self._comma = _COMMAS.get(language.replace("_", "-").partition("-")[0].lower(), ",")
        self._parts: list[str] = []
        self._last = ""
        self._space = self._word_ended = self._cell_ended = self._block_ended = False

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
        self._word_ended = self._cell_ended = self._block_ended = False

    def end_word(self) -> None:
        """Keep what is written next apart from the word before."""
        self._word_ended = True

    def end_cell(self) -> None:
        """Let a comma follow, as between the cells of a table."""
        self._cell_ended = True

    def end_block(self) -> None:
        """Let a line break follow."""
        self._block_ended = True

    def take(self) -> str:
        """Give what was collected since the last time."""
        text = "".join(self._parts)
        self._parts.clear()
        return text

    def _separator(self, first: str) -> str:
        if not self._last:
            return ""
        if self._block_ended:
            return "\n"
        if self._cell_ended:
            return f"{self._comma} " if self._last.isalnum() else " "
        words_touch = self._word_ended and self._last.isalnum() and first.isalnum()
        return " " if self._space or words_touch else ""
