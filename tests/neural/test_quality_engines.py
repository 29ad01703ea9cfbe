"""Every parameter that a profile sets is heard: it changes what the engine makes of one text and seed."""

from __future__ import annotations

from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from tests.support import f5_checkpoints, xtts_checkpoint
from voicenode.engine import Segment, TTSEngine
from voicenode.quality import QualityProfiles
from voicenode_f5 import F5Engine, F5Options, F5Parameters
from voicenode_xtts import XttsEngine, XttsOptions, XttsParameters

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    Samples = NDArray[np.int32]

pytestmark = pytest.mark.neural

PROFILES = QualityProfiles({"xtts": XttsParameters, "f5": F5Parameters})
ENGLISH = "The quick brown fox jumps over the lazy dog."
TEXT = " ".join([ENGLISH] * 5)
"""Long enough for F5 to speak it in parts, which are joined, and within the limit of XTTS."""
SAMPLES = 12000
"""After which the engine may stop: with random weights XTTS does not find an end."""
OTHER: dict[str, dict[str, Any]] = {
    "xtts": {"temperature": 2.0, "top_k": 3, "top_p": 0.05, "repetition_penalty": 1.0, "seed": 2},
    "f5": {
        "nfe_step": 3,
        "cfg_strength": 0.5,
        "sway_sampling_coef": 0.5,
        "cross_fade": 0.5,
        "target_rms": 1.0,
        "seed": 2,
    },
}
"""Engine -> another value than the usual one for each parameter that has an effect."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TTSEngine[Any]]:
    xtts = xtts_checkpoint.write(tmp_path_factory.mktemp("xtts"))
    f5 = f5_checkpoints.make(tmp_path_factory.mktemp("f5"))
    engines: dict[str, TTSEngine[Any]] = {
        "xtts": XttsEngine(XttsOptions(path=str(xtts), device="cpu", threads=1, guard=False)),
        "f5": F5Engine(F5Options(path=str(f5), device="cpu", threads=1, guard=False)),
    }
    for engine in engines.values():
        engine.load()
    return engines


@pytest.fixture(scope="module")
def usual(engines: dict[str, TTSEngine[Any]]) -> dict[str, Samples]:
    return {name: spoken(engine, {}) for name, engine in engines.items()}


def spoken(engine: TTSEngine[Any], parameters: Mapping[str, Any]) -> Samples:
    """The first sound, wherever its pieces end: with XTTS the clock decides that."""
    voice = engine.voices()[0].id
    few = {"nfe_step": 2} if isinstance(engine, F5Engine) else {}
    segment = Segment(TEXT, voice, "en", parameters=few | {"seed": 1} | dict(parameters))
    pcm = b""
    with closing(cast("Generator[bytes]", engine.synthesize(segment, Event()))) as chunks:
        for chunk in chunks:
            pcm += chunk
            if len(pcm) > 2 * SAMPLES:
                break
    heard = np.frombuffer(pcm, "<i2").astype(np.int32)
    return heard if isinstance(engine, F5Engine) else heard[:SAMPLES]


def alike(first: Samples, second: Samples) -> bool:
    """But for how the last bit is rounded."""
    return first.shape == second.shape and bool(np.abs(first - second).max() <= 2)


@pytest.mark.parametrize("name", ["xtts", "f5"])
def test_every_parameter_is_tried(engines: dict[str, TTSEngine[Any]], name: str) -> None:
    profile = PROFILES.made("mine", name, PROFILES.engine_defaults(name))
    idle = set(PROFILES.without_effect(profile))
    assert OTHER[name].keys() == profile.parameters.keys() - idle
    assert type(engines[name]).parameters_type in {XttsParameters, F5Parameters}


@pytest.mark.parametrize("name", ["xtts", "f5"])
def test_the_same_parameters_make_the_same_sound(
    engines: dict[str, TTSEngine[Any]], usual: dict[str, Samples], name: str
) -> None:
    assert alike(spoken(engines[name], {}), usual[name])


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, others in OTHER.items() for parameter in others]
)
def test_a_parameter_changes_the_sound(
    engines: dict[str, TTSEngine[Any]], usual: dict[str, Samples], name: str, parameter: str
) -> None:
    made = PROFILES.made("mine", name, {parameter: OTHER[name][parameter]})
    assert not alike(spoken(engines[name], made.parameters), usual[name])


def test_what_is_said_to_have_no_effect_has_none(
    engines: dict[str, TTSEngine[Any]], usual: dict[str, Samples]
) -> None:
    made = PROFILES.made("mine", "xtts", {"length_penalty": 2.0, "enable_text_splitting": True})
    assert alike(spoken(engines["xtts"], made.parameters), usual["xtts"])
