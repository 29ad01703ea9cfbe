"""Recordings of a voice: read within bounds, judged by figures, and cut into what engines learn a voice from.

`check` blocks and computes; callers on an event loop take `check_apart`. What is heavy (numpy, the codecs,
the detector of speech) is imported when a recording is checked, so that a node at rest stays small.
"""

from collections.abc import Sequence

from voicenode.recordings.apart import check_apart
from voicenode.recordings.model import CheckedRecordings, Excerpt, Figures, Recording, Source

__all__ = ["CheckedRecordings", "Excerpt", "Figures", "Recording", "Source", "check", "check_apart"]


def check(sources: Sequence[Source], transcript: str | None = None, language: str = "") -> CheckedRecordings:
    """Read and judge the recordings of one voice, and cut from them what engines need.

    Of several recordings those that will not do are left out, with a warning; the one with the transcript is
    never left out in silence: it is the first, and where it goes, an error says so.

    Args:
        sources: one or more, 64 MiB together at most.
        transcript: the words of the first one.
        language: what is spoken, BCP 47; empty where nobody said.

    Raises:
        RequestError: `bad-recording` where none of them will do, with the figures that say why;
            `audio-too-large` where they are over 64 MiB; `bad-transcript` where the transcript cannot be that
            of the first recording.
    """
    from voicenode.recordings.checking import check_all  # noqa: PLC0415 - as the module says

    return check_all(sources, transcript, language)
