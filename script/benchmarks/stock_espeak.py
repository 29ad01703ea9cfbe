"""The peer: a plain handler of the stock `wyoming` package that calls eSpeak NG in its own process.

`python -m script.benchmarks.stock_espeak PORT`. It works as the stock servers do: a request is spoken inside
`handle_event`, on the event loop, and sent in chunks of 1024 samples.
"""

import asyncio
import sys

from espeakng_loader import get_library_path
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.tts import Synthesize

from script.benchmarks.raw_espeak import open_library, speak

SAMPLES = 1024
_ATTRIBUTION = Attribution(name="", url="")
_VOICE = TtsVoice(
    name="en-us", attribution=_ATTRIBUTION, installed=True, description="", version=None, languages=["en-US"]
)
_INFO = Info(
    tts=[
        TtsProgram(
            name="stock",
            attribution=_ATTRIBUTION,
            installed=True,
            description="",
            version=None,
            voices=[_VOICE],
        )
    ]
)
_library = open_library(get_library_path())


class Handler(AsyncEventHandler):
    """One client."""

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(_INFO.event())
        elif Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event).text)
        return True

    async def _speak(self, text: str) -> None:
        rate = _library.rate
        await self.write_event(AudioStart(rate=rate, width=2, channels=1).event())
        pcm = b"".join(speak(_library, text))
        for start in range(0, len(pcm), 2 * SAMPLES):
            chunk = AudioChunk(rate=rate, width=2, channels=1, audio=pcm[start : start + 2 * SAMPLES])
            await self.write_event(chunk.event())
        await self.write_event(AudioStop().event())


async def main() -> None:
    """Serve until killed."""
    server = AsyncTcpServer("127.0.0.1", int(sys.argv[1]))
    await server.start(Handler)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
