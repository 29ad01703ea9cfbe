"""Which packages are asked for, and which versions go together."""

from __future__ import annotations

from importlib import metadata

import pytest

from voicenode.doctor.requirements import Package, misfits, packages, why_no_pair

REQUIRED = [
    "numpy>=1.26",
    "surely-not-installed",
    "coqui-tts[ja,ko]<0.29,>=0.28; extra == 'xtts'",
    'torch==2.11.0; extra == "f5"',
]


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRED)


@pytest.mark.usefixtures("required")
def test_the_packages_of_voicenode_and_of_each_extra_are_told_apart() -> None:
    assert [package.name for package in packages()] == ["numpy", "surely-not-installed"]
    assert [(package.name, package.wanted) for package in packages("xtts")] == [("coqui-tts", "<0.29,>=0.28")]
    assert [package.wanted for package in packages("f5")] == ["==2.11.0"]
    assert packages("espeak") == []


@pytest.mark.usefixtures("required")
def test_what_is_not_installed_has_no_version() -> None:
    numpy, missing = packages()
    assert numpy.fits()
    assert (missing.version, missing.fits()) == (None, False)


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("0.28.3", ">=0.28,<0.29", True),
        ("0.29.0", ">=0.28,<0.29", False),
        ("0.9", ">=0.28", False),
        ("2.11.0+cu130", "==2.11.0", True),
        ("2.11", "==2.11.0", True),
        ("2.15.0", "==2.11.0", False),
        ("1", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, wanted: str, fits: bool) -> None:  # noqa: FBT001
    package = Package("one", wanted, version)
    assert package.fits() is fits
    assert misfits([package]) == ([] if fits else [f"one {version} is not {wanted}"])


@pytest.mark.parametrize("audio", ["2.11.0", "2.11.1", "2.11.0+cpu"])
def test_a_pair_of_one_version_fits(audio: str) -> None:
    assert why_no_pair({"torch": "2.11.0", "torchaudio": audio}) is None


def test_nothing_is_said_of_a_pair_that_is_not_there() -> None:
    assert why_no_pair({"torch": "2.11.0", "torchaudio": None}) is None
    assert why_no_pair({}) is None
