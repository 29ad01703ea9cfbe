"""The process of `check_apart`: standard input is what to check, standard output what came of it."""

import os
import pickle
import sys

from voicenode.errors import RequestError
from voicenode.recordings import check
from voicenode.recordings.outcome import Refusal, write

_NICENESS = 10
"""Who is spoken to comes first."""


def main() -> None:
    """Check, and answer with the result or with what the error says."""
    os.nice(_NICENESS)
    sources, transcript, language = pickle.load(sys.stdin.buffer)  # noqa: S301 - the node itself asks
    try:
        outcome = write(check(sources, transcript, language))
    except RequestError as error:
        outcome = write(Refusal(error.code, str(error)))
    sys.stdout.buffer.write(outcome)


if __name__ == "__main__":
    main()
