"""Asks a server again and again who it is, in a process of its own, so that nothing else delays it.

`python -m script.benchmarks.asking PORT`; a line on stdin ends it, and it prints the seconds of each answer.
"""

import asyncio
import gc
import json
import sys

from script.benchmarks.listening import describe
from script.benchmarks.servers import Server

INTERVAL = 0.05
"""Seconds between two questions."""


async def main() -> None:
    """Ask until somebody writes on stdin."""
    server = Server(int(sys.argv[1]), 0, 0.0)
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    answers: list[float] = []
    gc.freeze()  # a full collection of all that is imported would pause this process for 10 ms
    while not end.done():
        answers.append(await describe(server))
        await asyncio.sleep(INTERVAL)
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main())
