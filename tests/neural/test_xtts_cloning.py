from pathlib import Path
from threading import Event

import numpy as np
import pytest

pytest.importorskip("TTS")

import soundfile
import torch
from safetensors.torch import load
from TTS.tts.models import xtts

from tests.support import xtts_checkpoint
from voicenode.engine import ErrorCode, RequestError, Segment
from voicenode_xtts import XttsEngine, XttsOptions, speakers

pytestmark = pytest.mark.neural


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five and a half seconds, and three, of something like vowels."""
    folder = tmp_path_factory.mktemp("voices")
    return [record(folder / f"voice {seconds}.wav", seconds) for seconds in (5.5, 3.0)]


def record(path: Path, seconds: float, rate: int = 22050) -> Path:
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 20 * np.sin(2 * np.pi * time)
    wave = sum(np.sin(2 * np.pi * np.cumsum(pitch) / rate * harmonic) / harmonic for harmonic in range(1, 9))
    soundfile.write(path, 0.2 * wave * (0.6 + 0.4 * np.sin(9 * time)), rate, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> XttsEngine:
    engine = XttsEngine(XttsOptions(path=str(folder), device="cpu"))
    engine.load()
    return engine


def test_latents_are_those_that_upstream_computes(
    engine: XttsEngine, folder: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_audio(path: Path, rate: int) -> torch.Tensor:
        samples, found = soundfile.read(path, dtype="float32")
        assert found == rate
        return torch.from_numpy(samples)[None]

    monkeypatch.setattr(xtts, "load_audio", load_audio)  # torchaudio's own needs FFmpeg
    style, embedding = xtts_checkpoint.upstream(folder).get_conditioning_latents(
        recordings, max_ref_length=30, gpt_cond_len=30, gpt_cond_chunk_len=4
    )
    ours = load(engine.clone_voice([str(path) for path in recordings], None))
    assert torch.allclose(ours["gpt_cond_latent"], style, atol=1e-5)
    assert torch.allclose(ours["speaker_embedding"], embedding, atol=1e-5)
    alone = load(engine.clone_voice([str(recordings[1])], None))
    assert not torch.allclose(alone["gpt_cond_latent"], style, atol=1e-3)


def test_a_cloned_voice_speaks(
    engine: XttsEngine, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xtts_checkpoint.quicken(monkeypatch)
    path = tmp_path / "mine.safetensors"
    path.write_bytes(engine.clone_voice([str(recordings[0])], "What is said there."))
    segment = Segment("Yes.", "mine", "de-DE", artefacts=str(path), parameters={"seed": 1})
    assert b"".join(engine.synthesize(segment, Event()))


@pytest.mark.parametrize("content", [b"", b"no recording"])
def test_a_recording_that_cannot_be_read_is_refused(
    engine: XttsEngine, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="cannot be read"):
        engine.clone_voice([str(path)], None)


def test_a_recording_that_is_too_short_is_refused(engine: XttsEngine, tmp_path: Path) -> None:
    path = record(tmp_path / "voice.wav", 0.2)
    with pytest.raises(RequestError, match=r"lasts 0\.20 s") as caught:
        engine.clone_voice([str(path)], None)
    assert caught.value.code == ErrorCode.BAD_REQUEST


def test_a_folder_of_recordings_is_a_folder_of_voices(
    folder: Path, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xtts_checkpoint.quicken(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)

    def speak() -> bytes:
        engine = XttsEngine(XttsOptions(path=str(folder), device="cpu", voices_dir=str(recordings[0].parent)))
        assert {"voice-5-5", "voice-3-0"} < {voice.id for voice in engine.voices()}
        engine.load()
        segment = Segment("Yes.", "voice-3-0", "en", parameters={"seed": 1})
        return b"".join(engine.synthesize(segment, Event()))

    said = speak()
    monkeypatch.delattr(speakers.Speakers, "_compute")  # what was computed is kept
    assert speak() == said
