"""Which of a few languages a text is in."""

from __future__ import annotations

from copy import copy
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from py3langid.langid import LanguageIdentifier

_CERTAIN = 0.6
"""Probability from which on a guess counts; a number, a name or one word stays below it."""
_loading = Lock()


def detect(text: str, languages: Iterable[str]) -> str | None:
    """The language of a text, of those that are given as BCP 47; None where that is not clear.

    Not on the event loop: the first call reads a model, which takes half a second and 75 MB for good.
    """
    with _loading:
        known = {label: tag for tag in reversed([*languages]) for label in [_label(tag)] if label}
        if len(known) < 2:  # noqa: PLR2004 - there is nothing to choose
            return None
        label, probability = _judge(frozenset(known)).classify(text)
    return known[label] if probability >= _CERTAIN else None


@cache
def _model() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - large, and seldom needed

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _judge(labels: frozenset[str]) -> LanguageIdentifier:
    """What tells these languages apart; it shares the model with all others."""
    judge = copy(_model())
    judge.set_languages(labels)
    return judge


@cache
def _labels() -> Mapping[str, None]:
    return dict.fromkeys(_model().labels)


def _label(tag: str) -> str | None:
    """What the model calls the language of a BCP 47 tag, if it knows it."""
    language = tag.partition("-")[0].casefold()
    return language if language in _labels() else None
