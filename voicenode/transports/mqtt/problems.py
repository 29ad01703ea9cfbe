"""Problems that come again and again are said once."""

import logging

_log = logging.getLogger(__name__)

_MAX_KNOWN = 100


class Problems:
    """Logs each problem once; it is news again after `forget`."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._unended = False

    def report(self, problem: str, kind: str | None = None) -> None:
        """Log the first problem of a kind, by default of the same words, as a warning."""
        kind = kind or problem
        new = kind not in self._known and len(self._known) < _MAX_KNOWN
        _log.log(logging.WARNING if new else logging.DEBUG, "%s", problem)
        if new:
            self._known.add(kind)
            self._unended = True

    def note_end(self, sentence: str) -> None:
        """All is well; said at the start, and after each problem that was news."""
        _log.log(logging.INFO if self._unended or not self._known else logging.DEBUG, "%s", sentence)
        self._unended = False

    def forget(self) -> None:
        self._known.clear()
