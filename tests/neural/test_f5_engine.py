from __future__ import annotations

import json
import shutil
import subprocess
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.support import f5_checkpoints
from voicenode.engine import (
    EngineError,
    ErrorCode,
    OutOfMemoryError,
    PcmFormat,
    RequestError,
    Segment,
)
from voicenode_f5 import F5Engine, F5Options, F5Parameters
from voicenode_f5.voices import examples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.neural

TEXT = "The quick brown fox."
ENGLISH = examples()[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return f5_checkpoints.make(tmp_path_factory.mktemp("f5"))


def create(folder: Path, **options: Any) -> F5Engine:  # noqa: ANN401 (as many types as options)
    chosen: dict[str, Any] = {"device": "cpu", "threads": 1} | options
    engine = F5Engine(F5Options(path=str(folder), **chosen))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def engine(folder: Path) -> F5Engine:
    return create(folder)


def speak(engine: F5Engine, text: str = TEXT, *, speed: float = 1, **parameters: Any) -> bytes:  # noqa: ANN401
    chosen = {"nfe_step": 2, "seed": 1} | parameters
    segment = Segment(text, "en", "en", speed=speed, parameters=chosen)
    return b"".join(engine.synthesize(segment, Event()))


def samples(pcm: bytes) -> NDArray[np.float32]:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32767)


def seconds(pcm: bytes) -> float:
    return len(pcm) / 48_000


def refusal(engine: F5Engine, segment: Segment) -> RequestError:
    with pytest.raises(RequestError) as raised:
        list(engine.synthesize(segment, Event()))
    return raised.value


def test_its_voices_are_the_examples_of_the_package_each_with_its_own_language_first(
    engine: F5Engine,
) -> None:
    voices = {voice.id: voice.languages for voice in engine.voices()}
    assert voices == {"en": ("en", "zh"), "zh": ("zh", "en")}


def test_without_its_model_it_has_no_voices(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voicenode models download f5"):
        F5Engine(F5Options(path=str(tmp_path))).voices()


def test_a_folder_of_recordings_and_transcripts_adds_voices(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Anna B.wav", "mute.wav"):
        shutil.copy(ENGLISH.path, tmp_path / name)
    (tmp_path / "Anna B.txt").write_text(ENGLISH.transcript)
    engine = create(folder, voices_dir=str(tmp_path), languages=("de",))
    assert {voice.id: voice.languages for voice in engine.voices()}["anna-b"] == ("de",)
    assert "mute" not in {voice.id for voice in engine.voices()}
    assert "no transcript mute.txt" in caplog.text
    segment = Segment(TEXT, "anna-b", "de", parameters={"nfe_step": 1})
    assert b"".join(engine.synthesize(segment, Event()))


def test_a_folder_of_voices_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voices_dir"):
        F5Engine(F5Options(voices_dir=str(tmp_path / "none"))).voices()


def test_it_speaks_pcm_of_24_khz_about_as_long_as_the_text_takes(folder: Path) -> None:
    engine = F5Engine(F5Options(path=str(folder), device="cpu"))
    assert engine.load() == PcmFormat(24_000)
    assert 0.7 < seconds(speak(engine)) < 2.2


@pytest.mark.parametrize("model", ["E2TTS_Base", "F5TTS_Base"])
def test_every_published_model_speaks(tmp_path: Path, model: str) -> None:
    engine = create(f5_checkpoints.make(tmp_path, model), model=model)
    assert len(speak(engine)) > 20_000


def test_half_the_precision_says_nearly_the_same(folder: Path) -> None:
    exact, rough = (samples(speak(create(folder, guard=False, precision=one))) for one in ("fp32", "bf16"))
    assert not np.array_equal(exact, rough)
    assert np.corrcoef(exact, rough)[0, 1] > 0.9


def test_the_same_seed_speaks_the_same_and_none_speaks_anew(engine: F5Engine) -> None:
    assert speak(engine, seed=5) == speak(engine, seed=5)
    assert speak(engine, seed=5) != speak(engine, seed=6)
    assert speak(engine, seed=None) != speak(engine, seed=None)


def test_texts_differ_by_more_than_a_tenth_of_the_peak(engine: F5Engine) -> None:
    one, other = (samples(speak(engine, text)) for text in (TEXT, "Lazy dogs do not jump."))
    length = min(len(one), len(other))
    assert np.abs(one[:length] - other[:length]).max() > 0.1 * np.abs(one).max()


CHANGES: dict[str, Any] = {
    "nfe_step": 5,
    "cfg_strength": 1.0,
    "sway_sampling_coef": 0.0,
    "target_rms": 0.5,
    "cross_fade": 0.5,
    "seed": 2,
}


def test_every_parameter_has_an_effect_that_is_tested() -> None:
    assert set(CHANGES) == set(F5Parameters.__dataclass_fields__)


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_what_is_spoken(engine: F5Engine, name: str) -> None:
    text = TEXT if name != "cross_fade" else " ".join([TEXT] * 20)
    assert speak(engine, text, **{name: CHANGES[name]}) != speak(engine, text)


def test_speed_makes_it_shorter(folder: Path) -> None:
    engine = create(folder, guard=False)
    assert seconds(speak(engine, speed=2)) == pytest.approx(seconds(speak(engine)) / 2, rel=0.05)


def test_every_step_shows_life_and_the_first_audio_comes_before_the_last_batch(engine: F5Engine) -> None:
    text = " ".join([TEXT] * 20)
    segment = Segment(text, "en", "en", parameters={"nfe_step": 3})
    chunks = [bool(chunk) for chunk in engine.synthesize(segment, Event())]
    assert chunks[:4] == [False, False, False, True]
    assert sum(chunks) >= 2


def test_a_stop_takes_one_step(engine: F5Engine) -> None:
    stop = Event()
    speech = engine.synthesize(Segment(TEXT, "en", "en", parameters={"nfe_step": 100}), stop)
    assert [next(speech), next(speech)] == [b"", b""]
    stop.set()
    assert list(speech) == []


@pytest.mark.parametrize("text", ["...", "?!", " - ", "。"])
def test_punctuation_alone_is_a_tenth_of_a_second_of_silence(engine: F5Engine, text: str) -> None:
    assert speak(engine, text) == PcmFormat(24_000).silence(0.1)


@pytest.mark.parametrize("text", ["A", "Yes.", "好"])
def test_a_short_text_neither_drawls_nor_babbles(engine: F5Engine, text: str) -> None:
    assert 0.1 < seconds(speak(engine, text)) < 1


def test_a_text_without_a_space_is_spoken_to_its_end(engine: F5Engine) -> None:
    assert seconds(speak(engine, "a" * 1000, nfe_step=1)) > 30


def test_a_language_that_the_model_lacks_is_refused(engine: F5Engine) -> None:
    error = refusal(engine, Segment("Guten Tag", "en", "de-DE"))
    assert error.code == ErrorCode.BAD_REQUEST
    assert "it speaks en, zh, not de-DE" in str(error)


@pytest.mark.parametrize("text", ["ሰላም ዓለም", "Привет, как дела?", "สวัสดีครับ วันนี้"])
def test_letters_of_other_languages_are_refused(engine: F5Engine, text: str) -> None:
    assert "letters; it speaks en, zh" in str(refusal(engine, Segment(text, "en", "en")))


def test_an_unknown_voice_is_refused_by_name(engine: F5Engine) -> None:
    error = refusal(engine, Segment(TEXT, "nobody", "en"))
    assert error.code == ErrorCode.UNKNOWN_VOICE
    assert "'nobody'; it has en, zh" in str(error)


def loudness(pcm: bytes) -> float:
    return float(np.sqrt((samples(pcm) ** 2).mean()))


def test_voices_are_equally_loud_unless_that_is_switched_off(folder: Path, tmp_path: Path) -> None:
    """A recording four times as quiet is made as loud as the other, unless nobody levels it."""
    recording, rate = soundfile.read(ENGLISH.path, dtype="float32")
    for name, factor in (("loud", 1.0), ("quiet", 0.25)):
        soundfile.write(tmp_path / f"{name}.wav", recording * factor, rate, subtype="FLOAT")
        (tmp_path / f"{name}.txt").write_text(ENGLISH.transcript)
    ratios = []
    for normalize in (True, False):
        engine = create(folder, voices_dir=str(tmp_path), normalize=normalize)
        loud, quiet = (
            b"".join(engine.synthesize(Segment(TEXT, name, "en", parameters={"seed": 1}), Event()))
            for name in ("loud", "quiet")
        )
        ratios.append(loudness(loud) / loudness(quiet))
    assert ratios[0] == pytest.approx(1, abs=0.25)
    assert ratios[1] > 2


def test_what_says_nothing_is_tried_once_more_and_then_is_an_error(tmp_path: Path) -> None:
    folder = f5_checkpoints.make(tmp_path)
    vocos = folder / "vocos-mel-24khz" / "pytorch_model.bin"
    weights = torch.load(vocos, weights_only=True)
    weights["head.out.weight"] = torch.zeros_like(weights["head.out.weight"])
    weights["head.out.bias"] = torch.full_like(weights["head.out.bias"], -20)
    torch.save(weights, vocos)
    engine = create(folder)
    speech = engine.synthesize(Segment(TEXT, "en", "en", parameters={"nfe_step": 3}), Event())
    steps = [next(speech) for _ in range(6)]
    assert steps == [b""] * 6
    with pytest.raises(EngineError, match=r"said nothing for 'The quick brown fox\.'"):
        next(speech)


def test_a_full_gpu_is_told_so_that_the_process_can_end(
    engine: F5Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(engine._model._backbone, "forward", full)
    with pytest.raises(OutOfMemoryError, match="memory of the GPU is full"):
        speak(engine)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_with_the_reason(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"'cuda:3' cannot be used \(.+\); set `device` to auto or cpu"):
        create(folder, device="cuda:3")


def test_a_driver_that_is_too_old_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(EngineError, match=r"'cuda' cannot be used \(The NVIDIA driver .* is too old"):
        create(folder, device="cuda")


def test_a_device_of_another_name_is_a_bad_setting() -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda or cuda:N, not 'gpu'"):
        F5Options(device="gpu")


def test_a_missing_library_is_told_with_what_to_install(folder: Path) -> None:
    script = f"""
import sys
sys.modules["torch"] = None
from voicenode_f5 import F5Engine, F5Options
try:
    F5Engine(F5Options(path={str(folder)!r})).load()
except Exception as error:
    print(error.code, error)
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert shown.startswith("engine-unavailable")
    assert "not installed; run `pip install voicenode[f5]`" in shown


def test_libraries_that_do_not_fit_each_other_are_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from voicenode_f5 import F5Engine, F5Options
try:
    F5Engine(F5Options(path={str(folder)!r})).load()
except Exception as error:
    print(error.code, error)
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "do not fit each other (libcudart.so.12" in shown


def test_speaking_imports_nothing_that_it_does_not_need(folder: Path) -> None:
    script = f"""
import json, sys
from threading import Event
from voicenode.engine import Segment
from voicenode_f5 import F5Engine, F5Options
engine = F5Engine(F5Options(path={str(folder)!r}, device="cpu"))
light = [name for name in ("torch", "numpy") if name in sys.modules]
engine.load()
b"".join(engine.synthesize(Segment("Yes.", "en", "en", parameters={{"nfe_step": 1}}), Event()))
print(json.dumps([light, list(sys.modules)]))
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    light, loaded = json.loads(shown)
    assert light == []
    heavy = {
        "f5_tts",
        "transformers",
        "librosa",
        "x_transformers",
        "torchaudio",
        "datasets",
        "pypinyin",
        "vocos",
    }
    assert heavy.isdisjoint(loaded)
    assert "torch._dynamo" not in loaded


def test_a_cloned_voice_speaks_as_its_recording_does(engine: F5Engine, tmp_path: Path) -> None:
    artefacts = tmp_path / "anna.safetensors"
    artefacts.write_bytes(engine.clone_voice([str(ENGLISH.path)], ENGLISH.transcript))
    with safe_open(artefacts, framework="pt") as file:
        assert file.metadata()["model"] == "F5TTS_v1_Base"
        assert file.metadata()["transcript"].strip() == ENGLISH.transcript
    segment = Segment(TEXT, "0a1b", "en", parameters={"seed": 1, "nfe_step": 2}, artefacts=str(artefacts))
    assert b"".join(engine.synthesize(segment, Event())) == speak(engine)


def test_a_voice_can_be_cloned_before_the_weights_are_loaded() -> None:
    assert F5Engine(F5Options()).clone_voice([str(ENGLISH.path)], ENGLISH.transcript)


def test_cloning_without_a_transcript_is_refused(engine: F5Engine) -> None:
    with pytest.raises(RequestError, match="transcript is missing"):
        engine.clone_voice([str(ENGLISH.path)], None)


def test_cloning_from_what_is_no_sound_is_refused(engine: F5Engine, tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_text("no sound")
    with pytest.raises(RequestError, match=r"anna\.wav cannot be read"):
        engine.clone_voice([str(tmp_path / "anna.wav")], "Hello there.")


@pytest.mark.parametrize("metadata", [None, {"engine": "xtts"}, {"engine": "f5"}])
def test_artefacts_of_another_engine_are_an_error(
    engine: F5Engine, tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    save_file({"latents": torch.zeros(3)}, tmp_path / "anna.safetensors", metadata)
    segment = Segment(TEXT, "anna", "en", artefacts=str(tmp_path / "anna.safetensors"))
    with pytest.raises(EngineError, match="clone it again"):
        list(engine.synthesize(segment, Event()))
