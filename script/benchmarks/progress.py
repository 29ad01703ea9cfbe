"""Tells on the terminal what is being measured, so that nobody waits for minutes in front of nothing."""

import sys
import time

_BEGUN = time.monotonic()


def tell(what: str) -> None:
    """Print a line with the minutes since the start, apart from the table that goes to stdout."""
    minutes, seconds = divmod(round(time.monotonic() - _BEGUN), 60)
    print(f"{minutes:3}:{seconds:02}  {what}", file=sys.stderr, flush=True)
