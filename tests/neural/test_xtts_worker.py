"""XTTS v2 in an engine process of its own, as the daemon runs it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

pytest.importorskip("TTS")

from tests.support import xtts_checkpoint
from voicenode.audio import PcmFormat
from voicenode.engine import EngineError, RequestError, Segment
from voicenode.workers.process import EngineProcess, EngineSpec
from voicenode_xtts import XttsEngine

pytestmark = pytest.mark.neural

TEXT = "The quick brown fox jumps over the lazy dog."


def spec(folder: Path) -> EngineSpec:
    options = {"path": str(folder), "device": "cpu", "threads": 1}
    return EngineSpec(XttsEngine.info, "voicenode_xtts:XttsEngine", options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture
async def process(folder: Path) -> AsyncIterator[EngineProcess]:
    process = await EngineProcess.start(spec(folder))
    yield process
    await process.stop()


async def test_a_worker_loads_speaks_refuses_and_is_freed_by_a_listener_who_leaves(
    process: EngineProcess,
) -> None:
    assert process.format == PcmFormat(24000)
    segment = Segment(TEXT, "claribel-dervla", "en-US", parameters={"seed": 3})
    async with aclosing(process.synthesize(segment)) as chunks:
        async for chunk in chunks:
            assert len(chunk) % 2 == 0
            break
    with pytest.raises(RequestError, match="shorten the sentence"):
        await anext(process.synthesize(Segment("12 " * 300, "claribel-dervla", "en")))
    short = Segment("Yes.", "claribel-dervla", "de", parameters={"seed": 3})
    said = [chunk async for chunk in process.synthesize(short)]
    assert any(said)
    assert not process.closed.is_set()


async def test_a_worker_that_cannot_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voicenode models download xtts"):
        await EngineProcess.start(spec(tmp_path / "nowhere"))
