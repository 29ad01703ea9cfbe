"""A program that converses over stdin and stdout, then tells on stderr what it heard."""

import asyncio
import sys

from tests.support.wyoming_door import FakeProcessor, server


async def main() -> None:
    processor = FakeProcessor()
    node = server(processor, "stdio://")
    await node.start()
    await node.finished.wait()
    await node.abort()
    sys.stderr.write(processor.spoken)


asyncio.run(main(), debug=True)
