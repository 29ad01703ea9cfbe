"""The engine says what upstream says: same weights, same seed, guards off."""

# ruff: noqa: RUF001 - Chinese is written with its own punctuation

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.support import f5_checkpoints
from tests.support.f5_upstream import Answers, Case, Questions, ask
from voicenode.engine import Segment
from voicenode_f5 import F5Engine, F5Options, F5Parameters
from voicenode_f5.length import upstream_frames
from voicenode_f5.recording import prepare
from voicenode_f5.reference import Reference
from voicenode_f5.text import tokens
from voicenode_f5.voices import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from voicenode_f5.model import Model

pytestmark = pytest.mark.neural

MODELS = ["F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"]
ENGLISH = "Some call me nature, others call me mother nature. "
CHINESE = "对，这就是我，万人敬仰的太乙真人。"
BASE = Case("", "", "loud", 24_000, ENGLISH, "I don't really care what you call me.")
CASES = {
    "English": BASE,
    "another text": replace(BASE, text="Always remember, I am mighty and enduring."),
    "Chinese after Chinese": replace(BASE, transcript=CHINESE, text="你好，世界。"),
    "both in one text": replace(BASE, text="他说 hello，然后走了；OK"),
    "a quiet reference": replace(BASE, audio="quiet"),
    "a reference at another rate": replace(BASE, rate=22_050),
    "few, pruned steps": replace(BASE, nfe_step=5, seed=7),
    "no guidance, no sway": replace(BASE, cfg_strength=0, sway_sampling_coef=0),
    "faster": replace(BASE, speed=1.5),
    "a short text": replace(BASE, text="Yes."),
}
TEXTS = [
    "Hello, world: it's 3.14 o'clock...  in the U.S.A; \u201cquoted\u201d \u2018words\u2019",
    "hello,world(or not)-yes/no #1 50% a@b.com",
    "Grüße aus München \N{EN DASH} schön!",
    "重庆银行行长你好，二〇二四年。OK吗 A股",
    "こんにちは 한국어 Привет",
    "一",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("f5")
    for model in MODELS:
        f5_checkpoints.make(folder, model)
    example, rate = soundfile.read(examples()[0].path, dtype="float32", frames=72_000)
    speech, _ = prepare(example / np.abs(example).max(), rate, ENGLISH)
    np.save(folder / "loud.npy", speech)
    np.save(folder / "quiet.npy", speech * np.float32(0.05))
    return folder


@pytest.fixture(scope="module")
def cases(folder: Path) -> dict[tuple[str, str], Case]:
    return {
        (model, name): replace(case, folder=str(folder), model=model, audio=str(folder / f"{case.audio}.npy"))
        for model in MODELS
        for name, case in CASES.items()
    }


@pytest.fixture(scope="module")
def upstream(folder: Path, cases: dict[tuple[str, str], Case]) -> Answers:
    paths = [str(example.path) for example in examples()]
    return ask(Questions(list(cases.values()), [ENGLISH + text for text in TEXTS], paths), folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Callable[[str], Model]:
    loaded: dict[str, Model] = {}

    def load(name: str) -> Model:
        if name not in loaded:
            engine = F5Engine(F5Options(path=str(folder), model=name, threads=1))  # type: ignore[arg-type]
            engine.load()
            loaded[name] = engine._model
        return loaded[name]

    return load


def spoken(model: Model, case: Case) -> NDArray[np.float32]:
    reference = Reference.of_samples(np.load(case.audio), case.rate, case.transcript)
    run = model.speak(
        reference,
        case.text,
        frames=upstream_frames(reference, case.text, case.speed),
        parameters=F5Parameters(
            nfe_step=case.nfe_step,
            cfg_strength=case.cfg_strength,
            sway_sampling_coef=case.sway_sampling_coef,
        ),
        seed=case.seed,
        stop=Event(),
    )
    while True:
        try:
            assert next(run) == b""
        except StopIteration as end:
            samples: NDArray[np.float32] = end.value
            return samples


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_samples_are_upstreams_within_a_ten_thousandth_of_the_peak(
    name: str,
    case: str,
    cases: dict[tuple[str, str], Case],
    upstream: Answers,
    model: Callable[[str], Model],
) -> None:
    theirs = upstream.samples[list(cases).index((name, case))]
    ours = spoken(model(name), cases[name, case])
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("name", MODELS)
def test_different_texts_differ_so_much_that_a_comparison_means_something(
    name: str, cases: dict[tuple[str, str], Case], upstream: Answers
) -> None:
    one, other = (upstream.samples[list(cases).index((name, case))] for case in ("English", "another text"))
    length = min(len(one), len(other))
    assert np.abs(one[:length] - other[:length]).max() >= 0.1 * np.abs(one).max()


def test_the_engine_with_its_guards_off_says_the_same_in_16_bits(folder: Path, upstream: Answers) -> None:
    recording = folder / "voices" / "anna.wav"
    recording.parent.mkdir()
    soundfile.write(recording, np.load(folder / "loud.npy"), 24_000, subtype="FLOAT")
    recording.with_suffix(".txt").write_text(ENGLISH)
    options = F5Options(
        str(folder), voices_dir=str(recording.parent), guard=False, normalize=False, threads=1
    )
    engine = F5Engine(options)
    engine.load()
    segment = Segment(BASE.text, "anna", "en", parameters={"seed": BASE.seed, "nfe_step": BASE.nfe_step})
    ours = np.frombuffer(b"".join(engine.synthesize(segment, Event())), "<i2") / 32767
    theirs = upstream.samples[0]
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1 / 32767


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_upstreams_also_where_the_text_follows_a_transcript(text: str, upstream: Answers) -> None:
    ours = tokens(ENGLISH)
    assert [*ours, *tokens(text, before=ours[-1])] == upstream.tokens[TEXTS.index(text)]


def test_references_are_as_long_as_upstreams(upstream: Answers) -> None:
    seconds = [
        Reference.of_recording(str(example.path), example.transcript).seconds for example in examples()
    ]
    assert seconds == pytest.approx(upstream.seconds, abs=0.02)
