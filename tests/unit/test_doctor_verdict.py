"""What is said of an engine: five reasons why it cannot speak, and five answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicenode.doctor import verdict
from voicenode.doctor.probe import Report
from voicenode.doctor.row import Row, State
from voicenode.doctor.verdict import Patient, judge
from voicenode.gpu import Gpu, Gpus

GB = 1_000_000_000
PATIENT = Patient(
    name="xtts",
    path="voicenode_xtts:XttsEngine",
    python="/usr/bin/python3",
    options={"device": "auto"},
    memory=2 * GB,
    budget=None,
    demanded=False,
)
VERSIONS = {"torch": "2.11.0", "torchaudio": "2.11.0"}
WELL = Report(VERSIONS, [], None, voices=58, gpus=["1b9a"])
GPUS = Gpus("580.65", (13, 0), (Gpu("Card", "GPU-1b9a", 24 * GB, 4 * GB, 20 * GB),))


def of_engine(patient: Patient, report: Report, gpus: Gpus | None = GPUS, *, is_running: bool = False) -> Row:
    (row,) = [
        row for row in judge(patient, report, gpus, is_running=is_running) if row.check == "engine xtts"
    ]
    return row


def on(device: str) -> Patient:
    return replace(PATIENT, options={"device": device})


def test_an_engine_that_can_speak_is_told_with_its_device() -> None:
    assert of_engine(PATIENT, WELL) == Row(
        "engine xtts", State.OK, "58 voices, on Card, needs 2.0 GB, 20.0 GB free"
    )


def test_an_engine_that_nobody_asked_for_may_be_missing() -> None:
    report = replace(WELL, versions={**VERSIONS, "coqui-tts": None}, problem="no", gpus=None)
    assert of_engine(PATIENT, report) == Row(
        "engine xtts",
        State.ABSENT,
        "not installed (no coqui-tts)",
        "`/usr/bin/python3 -m pip install 'voicenode[xtts]'` adds it",
    )


def test_an_engine_that_the_settings_name_must_be_installed() -> None:
    report = replace(WELL, versions={"torch": None}, problem="no", gpus=None)
    row = of_engine(replace(PATIENT, demanded=True), report)
    assert (row.state, row.found) == (State.WRONG, "not installed (no torch)")
    assert "pip install 'voicenode[xtts]'" in row.advice


@pytest.mark.parametrize(
    ("torch", "audio", "words"),
    [
        ("2.15.0", "2.11.0", "not of one version"),
        ("2.11.0+cpu", "2.11.0", "lacks libc10_cuda, which torchaudio 2.11.0 needs"),
    ],
)
def test_libraries_that_do_not_fit_are_explained(torch: str, audio: str, words: str) -> None:
    problem = "cannot be imported (OSError: libc10_cuda.so: no such file); install it again"
    report = replace(WELL, versions={"torch": torch, "torchaudio": audio}, problem=problem, gpus=None)
    packages, engine = judge(on("cuda"), report, GPUS, is_running=False)
    assert packages.state is State.WRONG
    assert words in packages.found
    assert packages.advice.startswith("run `/usr/bin/python3 -m pip install --force-reinstall")
    assert (engine.state, engine.advice) == (State.WRONG, "install it again")


def test_missing_weights_are_answered_with_the_engines_own_words() -> None:
    row = of_engine(PATIENT, replace(WELL, problem="there is no model in /m; download it", voices=0))
    assert row == Row("engine xtts", State.WRONG, "there is no model in /m", "download it")


def test_a_gpu_that_is_demanded_must_be_there() -> None:
    row = of_engine(on("cuda:1"), replace(WELL, gpus=[], no_gpu="Found no NVIDIA driver"), None)
    assert row.state is State.WRONG
    assert row.found == "no GPU, though engines.xtts.device is cuda:1: Found no NVIDIA driver"
    assert "engines.xtts.device: cpu" in row.advice


def test_a_gpu_beyond_the_last_is_not_there() -> None:
    assert "PyTorch finds 1, counted from 0" in of_engine(on("cuda:1"), WELL).found


def test_a_driver_that_is_too_old_is_wrong_though_the_processor_would_do() -> None:
    report = replace(WELL, gpus=[], no_gpu="The NVIDIA driver on your system is too old")
    row = of_engine(PATIENT, report)
    assert (row.state, "too old" in row.found, "Card" in row.found) == (State.WRONG, True, True)


def test_without_any_gpu_the_processor_will_do() -> None:
    assert "on the processor" in of_engine(PATIENT, replace(WELL, gpus=[], no_gpu="none"), None).found


def test_an_engine_needs_memory_unless_it_is_loaded_already() -> None:
    full = Gpus("580.65", (13, 0), (Gpu("Card", "GPU-1b9a", 24 * GB, 23 * GB, GB),))
    row = of_engine(PATIENT, WELL, full)
    assert row.found == "not enough memory: it needs 2.0 GB, and Card has 1.0 GB free"
    assert row.advice
    assert of_engine(PATIENT, WELL, full, is_running=True).state is State.OK


def test_the_memory_of_the_machine_counts_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_free_memory", lambda: GB)
    assert of_engine(on("cpu"), WELL).found.endswith("and the processor has 1.0 GB free")


def test_a_bound_that_is_too_small_is_told() -> None:
    row = of_engine(replace(PATIENT, budget=GB), WELL)
    assert (row.state, row.advice) == (State.WRONG, "set pool.memory to 1908 or more")


def test_all_that_is_wrong_is_told_at_once() -> None:
    report = replace(WELL, problem="no weights; download them", gpus=[], no_gpu="no driver")
    rows = judge(on("cuda"), report, None, is_running=False)
    assert [row.state for row in rows] == [State.OK, State.WRONG, State.WRONG]
