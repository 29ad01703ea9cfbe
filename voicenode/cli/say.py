"""`voicenode say`: one text, spoken into a player, a file or a pipe."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from voicenode.cli.config import load_settings
from voicenode.cli.nodes import NodeOption, find
from voicenode.cli.output import note, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from voicenode.audio import PcmFormat
    from voicenode.cli.sinks import Sink
    from voicenode.client import Utterance


class Speech(Protocol):
    """What a node and an engine in this process have in common when they speak."""

    @property
    def format(self) -> PcmFormat: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


def say(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", hidden=True)],
    voice: Annotated[
        str | None, typer.Option("--voice", "-v", metavar="NAME", help="Who speaks; see 'voicenode voices'.")
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which speaker of the voice."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", metavar="TAG", help="The language, such as de or en-GB."),
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(
            "--quality", "-q", metavar="NAME", help="A quality profile; see 'voicenode quality list'."
        ),
    ] = None,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a .wav, .flac, .mp3, .opus or .pcm file; - writes WAV to standard output.",
        ),
    ] = None,
    play: Annotated[bool, typer.Option("--play", help="Play it here, as without --output.")] = False,
    ssml: Annotated[bool, typer.Option("--ssml", help="The text is SSML.")] = False,
    node: NodeOption = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="Run the engine in this process, without a node, to debug it.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for the first audio.")
    ] = 180,
) -> None:
    """Speak a text.

    TEXT goes to a node, and the sound is played here while it is being made, or written to a file.
    A single - as TEXT reads standard input and speaks while it arrives.
    """
    from voicenode.cli.sinks import open_sink  # noqa: PLC0415 (serve does without this and the next)
    from voicenode.client import Utterance  # noqa: PLC0415

    if output is not None and play:
        raise typer.BadParameter("give one of them", param_hint="--output / --play")
    if inline and node is not None:
        raise typer.BadParameter("give one of them", param_hint="--inline / --node")
    if not "".join(text).strip():
        raise typer.BadParameter("there is nothing to say", param_hint="TEXT")
    sink = open_sink(output)
    from_stdin = text == ["-"]
    typed = from_stdin and sys.stdin.isatty()
    if typed:
        note("Type what to say; Ctrl-D ends it.")
    words = _stdin_pieces() if from_stdin else " ".join(text)
    utterance = Utterance(words, voice, speaker, language, quality, ssml=ssml)
    speaking = _inline_speech(utterance) if inline else _node_speech(utterance, node, timeout)
    seconds = asyncio.run(_deliver(speaking, sink, quiet=typed))
    if output not in {None, "-"}:
        note(f"Wrote {seconds:.1f} s of speech to {output}.")


async def _deliver(speaking: AbstractAsyncContextManager[Speech], sink: Sink, *, quiet: bool) -> float:
    """Write all of the speech to the sink; return its playing time in seconds."""
    from voicenode.encoding import Encoder  # noqa: PLC0415 (as in say)

    with waiting("Waiting for the voice", quiet=quiet) as progress:
        async with speaking as speech, sink.open() as file:
            with Encoder(sink.audio_format, speech.format, file) as encoder:
                async for chunk in speech:
                    await asyncio.to_thread(encoder.write, chunk)
                    await asyncio.to_thread(file.flush)
                    progress(f"Speaking, {encoder.seconds:.0f} s")
            progress("Speaking")
    return encoder.seconds


@asynccontextmanager
async def _node_speech(utterance: Utterance, node: str | None, timeout: float) -> AsyncIterator[Speech]:  # noqa: ASYNC109 (handed on)
    from voicenode.client import connect  # noqa: PLC0415 (as in say)

    async with connect(await find(node)) as connection, connection.speak(utterance, timeout) as speech:
        yield speech


def _inline_speech(utterance: Utterance) -> AbstractAsyncContextManager[Speech]:
    from voicenode.inline import speak  # noqa: PLC0415 (as in say)
    from voicenode.request import SynthesisRequest  # noqa: PLC0415 (as in say)

    request = SynthesisRequest(
        text=utterance.text,
        text_format="ssml" if utterance.ssml else "text",
        voice=utterance.voice,
        speaker=utterance.speaker,
        language=utterance.language,
        quality=utterance.quality,
    )
    return speak(load_settings(None), request)


async def _stdin_pieces() -> AsyncIterator[str]:
    """Standard input as it arrives, read by a thread that a quiet terminal cannot make anybody wait for."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue(maxsize=16)

    def read() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with suppress(RuntimeError):  # the loop has ended before the input
            while block := os.read(sys.stdin.fileno(), 65536):
                asyncio.run_coroutine_threadsafe(pieces.put(decoder.decode(block)), loop).result()
            asyncio.run_coroutine_threadsafe(pieces.put(None), loop).result()

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while (piece := await pieces.get()) is not None:
        yield piece
