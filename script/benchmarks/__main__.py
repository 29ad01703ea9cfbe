"""`python -m script.benchmarks NAME [--json FILE]`."""

import argparse
import asyncio
from pathlib import Path

from script.benchmarks import cloning, mqtt, node, report

BENCHMARKS = {"node": node.measure, "mqtt": mqtt.measure, "cloning": cloning.measure}


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="script/bench", description="Measures voicenode against a peer.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--json", type=Path, help="keep the result in this file, too")
    arguments = parser.parse_args()
    rows = asyncio.run(BENCHMARKS[arguments.name]())
    report.show(rows)
    if arguments.json:
        report.write(arguments.json, rows)


if __name__ == "__main__":
    main()
