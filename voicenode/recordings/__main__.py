"""The process of `check_apart`: standard input is what to check, standard output what came of it, pickled."""

import os
import pickle
import sys

from voicenode.errors import RequestError
from voicenode.recordings import check

_NICENESS = 10
"""Who is spoken to comes first."""


def main() -> None:
    """Check, and answer with the result or with what the error says."""
    os.nice(_NICENESS)
    sources, transcript, language = pickle.load(sys.stdin.buffer)  # noqa: S301 - it comes from our own code
    try:
        result: object = check(sources, transcript, language)
    except RequestError as error:
        result = (error.code, str(error))
    pickle.dump(result, sys.stdout.buffer)


if __name__ == "__main__":
    main()
