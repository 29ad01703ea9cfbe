"""What docs/cloning.md says of limits is so."""

import re
from dataclasses import fields

from tests.support.documents import ROOT, table
from voicenode.recordings import Figures, limits

DOCUMENT = ROOT / "docs/cloning.md"
REFUSED = {
    "size": [limits.MOST_BYTES / 2**20],
    "seconds": [limits.LONGEST_SECONDS],
    "sample_rate": [limits.LOWEST_RATE, limits.HIGHEST_RATE],
    "channels": [limits.MOST_CHANNELS],
    "speech_seconds": [limits.LEAST_SPEECH],
    "loudness_lufs": [limits.LEAST_LOUDNESS],
    "snr_db": [limits.LEAST_SNR],
    "clipping": [100 * limits.MOST_CLIPPING],
    "bandwidth_hz": [limits.LEAST_BANDWIDTH],
}
WARNED = {
    "speech_seconds": [limits.GOOD_SPEECH],
    "speech_share": [100 * limits.LEAST_SHARE],
    "snr_db": [limits.GOOD_SNR],
    "clipping": [100 * limits.GOOD_CLIPPING],
    "bandwidth_hz": [limits.GOOD_BANDWIDTH],
}


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", cell)]


def test_every_figure_is_explained_with_its_limits() -> None:
    rows = {
        name: (numbers(refused), numbers(warned))
        for name, refused, warned, _ in table(DOCUMENT, "What is checked")
    }
    assert {name: limit for name, (limit, _) in rows.items() if limit} == REFUSED
    assert {name: limit for name, (_, limit) in rows.items() if limit} == WARNED
    assert rows.keys() == {"size", *(field.name for field in fields(Figures))}
