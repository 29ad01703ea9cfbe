"""Benchmarks of the natural engines run to their end, on models so small that their figures say nothing."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("TTS")
pytest.importorskip("f5_tts")

from script.benchmarks.__main__ import main

pytestmark = [pytest.mark.neural, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("name", "options", "held"),
    [
        (
            "xtts",
            ["--rounds", "1"],
            {
                "exact: greedy tokens that are upstream's",
                "exact: joined stream from one decode",
                "another text from the same decode",
                "fast: mel spectrum from the exact one",
            },
        ),
        ("xtts-playback", [], set()),
        ("f5", ["--rounds", "1"], {"difference of the samples"}),
        ("cloning", ["--rounds", "1"], {"200 voices in Redis: a page of 1,000 of list-voices, p50"}),
    ],
)
def test_a_benchmark_runs_to_its_end_and_keeps_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], held: set[str]
) -> None:
    kept = tmp_path / f"{name}.json"
    monkeypatch.setattr("sys.argv", ["script/bench", name, "--small", "--json", str(kept), *options])
    main()
    rows = json.loads(kept.read_text())["rows"]
    assert [row["name"] for row in rows if not math.isfinite(row["ours"])] == []
    assert held <= {row["name"] for row in rows if row["holds"]}
    table = kept.with_suffix(".md").read_text()
    assert [row["name"] for row in rows if f"| {row['name']} |" not in table] == []
    picture = kept.with_suffix(".svg")
    assert picture.exists() == (picture.name in table)
    if picture.exists():
        assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314  (our own)
