"""Python processes of their own: what one side imports and keeps is no part of another's figures."""

import os
import subprocess
import sys

_QUIET = {"TRANSFORMERS_VERBOSITY": "error"}
"""Upstream's libraries warn of how upstream uses them."""


def last_line(*arguments: str, **environment: str) -> str:
    """Run Python with these arguments, and return the last line that it prints.

    Args:
        arguments: of the interpreter, such as `-m MODULE`.
        environment: what it is given where its owner has not set it.

    Raises:
        CalledProcessError: it failed; what it said is on the terminal.
    """
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**_QUIET, **environment, **os.environ}
    )
    return done.stdout.splitlines()[-1] if done.stdout else ""
