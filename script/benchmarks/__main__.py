"""`python -m script.benchmarks NAME [--json FILE] [--rounds N]`."""

import argparse
import asyncio
from importlib import import_module
from pathlib import Path

from script.benchmarks import picture, report

BENCHMARKS = {"node": {}, "mqtt": {}, "cloning": {}, "xtts": {"rounds": 3}, "f5": {}}
"""Each has a module here with `measure`, which is imported when it is asked for, and takes these options."""


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures voicenode against a peer.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument(
        "--json", type=Path, help="keep the result in this file, and as a table and a picture beside it"
    )
    parser.add_argument("--rounds", type=int, help="how often each side takes its turn (xtts)")
    arguments = parser.parse_args()
    options: dict[str, int] = dict(BENCHMARKS[arguments.name])
    if arguments.rounds is not None:
        if "rounds" not in options:
            parser.error(f"{arguments.name} has no rounds")
        options["rounds"] = arguments.rounds
    rows = asyncio.run(import_module(f"script.benchmarks.{arguments.name}").measure(**options))
    report.show(rows)
    if arguments.json:
        report.write(arguments.json, rows)
        arguments.json.with_suffix(".svg").write_text(picture.drawn(arguments.name, rows))


if __name__ == "__main__":
    main()
