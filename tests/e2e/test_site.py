"""The documentation as a site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import copy_checkout

ROOT = Path(__file__).parents[2]


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=checkout,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_is_built_without_a_network_and_without_a_broken_link(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)
    assert (built.returncode, "WARNING" in built.stderr) == (0, False), built.stderr
    first = (tmp_path / "index.html").read_text()
    assert 'href="protocol/"' in first
    assert "script/run" in first
    assert "fonts.googleapis" not in first
    unread = [page for page in tmp_path.rglob("index.html") if "```" in page.read_text()]
    assert unread == []  # a block that was not understood takes what follows with it


@pytest.mark.parametrize("broken", ["[away](nowhere.md)", "[away](mqtt.md#nowhere)"])
def test_a_broken_link_fails_the_build(tmp_path: Path, broken: str) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    page = checkout / "docs/engines.md"
    page.write_text(f"{page.read_text()}\n{broken}\n")
    built = build(checkout, tmp_path / "site")
    assert built.returncode != 0
    assert "nowhere" in built.stderr
