from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

pytest.importorskip("TTS")

import torch

from tests.support import xtts_checkpoint
from voicenode.engine import EngineError, ErrorCode, OutOfMemoryError, PcmFormat, RequestError, Segment
from voicenode.guard import longest_seconds
from voicenode_xtts import XttsEngine, XttsOptions
from voicenode_xtts.pacing import FIRST

pytestmark = pytest.mark.neural

FORMAT = PcmFormat(24000)
TEXT = "The quick brown fox."
VOICE = "claribel-dervla"


def engine_of(folder: Path, **options: bool) -> XttsEngine:
    """An engine whose model stops after one second to four, as the dice fall."""
    engine = XttsEngine(XttsOptions(path=str(folder), device="cpu", threads=1, **options))  # type: ignore[arg-type]
    assert engine.load() == FORMAT
    engine._narrator._model.gpt.mel_head.bias[1025] = 4.0
    return engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> XttsEngine:
    return engine_of(folder)


@pytest.fixture(scope="module")
def plain(folder: Path) -> XttsEngine:
    """Without guard and loudness."""
    return engine_of(folder, guard=False, normalize=False)


@pytest.fixture
def quick_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    xtts_checkpoint.quicken(monkeypatch)


def chunks(
    engine: XttsEngine,
    text: str = TEXT,
    voice: str = VOICE,
    *,
    speed: float = 1.0,
    **parameters: float | None,
) -> Iterator[bytes]:
    segment = Segment(text, voice, "en", speed=speed, parameters={"seed": 0} | parameters)
    return engine.synthesize(segment, Event())


def speak(engine: XttsEngine, *arguments: Any, **options: Any) -> bytes:  # noqa: ANN401
    return b"".join(chunks(engine, *arguments, **options))


def samples(pcm: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(pcm, "<i2") / 32767


@pytest.mark.usefixtures("quick_decoder")
def test_the_same_seed_says_the_same_and_another_one_does_not(plain: XttsEngine) -> None:
    said = speak(plain)
    assert speak(plain) == said
    assert speak(plain, seed=2) != said
    assert len({speak(plain, seed=None) for _ in range(4)}) > 1


def test_two_texts_and_two_voices_are_heard_to_differ(plain: XttsEngine) -> None:
    said = samples(speak(plain))
    for other in (
        samples(speak(plain, "Hello, world.")),
        samples(speak(plain, voice="eugenio-mataraci")),
    ):
        both = min(len(said), len(other))
        assert np.abs(said[:both] - other[:both]).max() > 0.1 * np.abs(said).max()


@pytest.mark.usefixtures("quick_decoder")
@pytest.mark.parametrize(
    "parameter", [{"temperature": 1.6}, {"top_k": 2}, {"top_p": 0.1}, {"repetition_penalty": 1.0}], ids=str
)
def test_each_parameter_changes_the_speech(plain: XttsEngine, parameter: dict[str, float]) -> None:
    assert speak(plain, **parameter) != speak(plain)


@pytest.mark.usefixtures("quick_decoder")
@pytest.mark.parametrize("parameter", [{"length_penalty": 2.0}, {"enable_text_splitting": True}], ids=str)
def test_parameters_of_imported_profiles_are_accepted_without_effect(
    plain: XttsEngine, parameter: dict[str, float]
) -> None:
    assert speak(plain, **parameter) == speak(plain)


@pytest.mark.usefixtures("quick_decoder")
@pytest.mark.parametrize("speed", [0.5, 1.25, 2.0])
def test_speed_is_honoured(plain: XttsEngine, speed: float) -> None:
    usual, changed = len(speak(plain)), len(speak(plain, speed=speed))
    assert usual / changed == pytest.approx(speed, rel=0.03)


@pytest.mark.usefixtures("quick_decoder")
def test_audio_leaves_while_tokens_are_made(plain: XttsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = plain._narrator._model.decoder
    generate, made = decoder.generate, []

    def counted(*arguments: Any) -> Generator[Any, None, None]:  # noqa: ANN401
        for item in generate(*arguments):
            made.append(item)
            yield item

    monkeypatch.setattr(decoder, "generate", counted)
    heard = [len(made) for chunk in chunks(plain) if chunk]
    assert FIRST <= heard[0] < len(made)  # more where the machine is busy
    assert len(heard) > 1
    assert heard[-1] == len(made)


@pytest.mark.usefixtures("quick_decoder")
def test_a_stop_is_seen_at_the_next_token(plain: XttsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, stop = plain._narrator._model.decoder, Event()
    generate, made = decoder.generate, []

    def stopped(*arguments: Any) -> Generator[Any, None, None]:  # noqa: ANN401
        for item in generate(*arguments):
            made.append(item)
            if len(made) == 5:
                stop.set()
            yield item

    monkeypatch.setattr(decoder, "generate", stopped)
    segment = Segment(TEXT, VOICE, "en", parameters={"seed": 0})
    assert not b"".join(plain.synthesize(segment, stop))
    assert len(made) == 5


@pytest.mark.usefixtures("quick_decoder")
def test_a_guarded_voice_speaks_no_longer_than_its_text(engine: XttsEngine, folder: Path) -> None:
    endless = engine_of(folder)
    endless._narrator._model.gpt.mel_head.bias[1025] = -torch.inf
    for speaker in (engine, endless):
        seconds = FORMAT.seconds(len(speak(speaker, "Yes.")))
        assert 0 < seconds <= longest_seconds("Yes.", "en") + 0.1


def test_a_voice_has_one_gain_which_its_first_sound_tells(folder: Path, plain: XttsEngine) -> None:
    engine = engine_of(folder)
    raw, levelled = (b"".join(chunks(each)) for each in (plain, engine))
    gain = engine._gains[VOICE]
    first = samples(levelled)[: FORMAT.rate // 2]
    assert np.sqrt((first**2).mean()) == pytest.approx(0.1, rel=0.05)
    assert engine._gains[VOICE] == gain
    assert speak(engine) == levelled
    before_the_fade = slice(0, -FORMAT.rate // 10)
    expected = samples(raw)[before_the_fade] * gain
    assert np.allclose(samples(levelled)[before_the_fade], expected, atol=1e-4)


def test_punctuation_alone_is_a_tenth_of_a_second_of_silence(engine: XttsEngine) -> None:
    assert speak(engine, "?!...") == FORMAT.silence(0.1)


@pytest.mark.usefixtures("quick_decoder")
def test_a_text_that_is_too_long_for_one_take_is_spoken_in_several(engine: XttsEngine) -> None:
    one = FORMAT.seconds(len(speak(engine, "1 2 3 4 5 6 7 8 9 10.")))
    assert FORMAT.seconds(len(speak(engine, "1234567890" * 25))) > 3 * one


@pytest.mark.parametrize(
    ("segment", "code"),
    [
        (Segment(TEXT, "nobody", "en"), ErrorCode.UNKNOWN_VOICE),
        (Segment(TEXT, VOICE, "en", speaker="loud"), ErrorCode.UNKNOWN_SPEAKER),
        (Segment(TEXT, VOICE, "sv"), ErrorCode.BAD_REQUEST),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_said_is_refused(engine: XttsEngine, segment: Segment, code: ErrorCode) -> None:
    with pytest.raises(RequestError) as caught:
        list(engine.synthesize(segment, Event()))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory")],
)
def test_a_full_device_is_told_so_that_the_process_ends(
    engine: XttsEngine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(engine._narrator._model.decoder, "generate", fail)
    with pytest.raises(OutOfMemoryError) as caught:
        speak(engine)
    assert caught.value.code == ErrorCode.OUT_OF_MEMORY


def test_artefacts_that_are_damaged_or_of_another_model_are_told(engine: XttsEngine, tmp_path: Path) -> None:
    from safetensors.torch import save_file  # noqa: PLC0415

    other = tmp_path / "other.safetensors"
    save_file(xtts_checkpoint.latents(width=128), other)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(other.read_bytes()[:1000])
    for path, message in ((other, "another model"), (damaged, "damaged")):
        with pytest.raises(EngineError, match=message):
            list(engine.synthesize(Segment(TEXT, "mine", "en", artefacts=str(path)), Event()))
