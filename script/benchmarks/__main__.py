"""`python -m script.benchmarks NAME [--json FILE] [--rounds N] [--small]`."""

import argparse
import asyncio
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from script.benchmarks import picture, report

_SMALL = {"small": False}
BENCHMARKS: Mapping[str, Mapping[str, Any]] = {
    "node": {},
    "mqtt": {},
    "cloning": {"rounds": 5, **_SMALL},
    "xtts": {"rounds": 10, **_SMALL},
    "xtts-playback": _SMALL,
    "f5": {"rounds": 3, **_SMALL},
}
"""Each has a module here with `measure`, which is imported when it is asked for, and takes these options."""


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures voicenode against a peer.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument(
        "--json", type=Path, help="keep the result in this file, and as a table and a picture beside it"
    )
    parser.add_argument("--rounds", type=int, help="how often the sides take their turns")
    parser.add_argument(
        "--small",
        action="store_true",
        default=None,
        help="with small models: a trial whose figures say nothing",
    )
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("rounds", "small")}
    options = {name: value for name, value in given.items() if value is not None}
    for name in options.keys() - BENCHMARKS[arguments.name].keys():
        parser.error(f"{arguments.name} takes no --{name}")
    measure = import_module(f"script.benchmarks.{arguments.name.replace('-', '_')}").measure
    result = asyncio.run(measure(**{**BENCHMARKS[arguments.name], **options}))
    report.show(result)
    if arguments.json:
        report.write(arguments.json, result)
        if result.can_be_drawn:
            arguments.json.with_suffix(".svg").write_text(picture.drawn(arguments.name, result))


if __name__ == "__main__":
    main()
