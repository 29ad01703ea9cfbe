"""The words of a recording, from whoever can listen: a Wyoming service of the LAN, or faster-whisper.

Whoever fails to listen fails nothing else: a voice without words is a voice for the engines that need none.
"""

from voicenode.transcription.transcriber import Reference, Transcriber

__all__ = ["Reference", "Transcriber"]
