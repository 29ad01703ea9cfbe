"""`python -m script.benchmarks NAME [--json FILE]`."""

import argparse
import asyncio
from importlib import import_module
from pathlib import Path

from script.benchmarks import report

BENCHMARKS = ("node", "mqtt", "cloning", "f5")
"""Each has a module here with `measure`, which is imported when it is asked for."""


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures voicenode against a peer.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--json", type=Path, help="keep the result in this file, too")
    arguments = parser.parse_args()
    rows = asyncio.run(import_module(f"script.benchmarks.{arguments.name}").measure())
    report.show(rows)
    if arguments.json:
        report.write(arguments.json, rows)


if __name__ == "__main__":
    main()
