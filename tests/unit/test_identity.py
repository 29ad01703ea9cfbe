import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voicenode.errors import ErrorCode, SetupError
from voicenode.identity import FILE_NAME, node_id


def test_the_id_is_eight_hexadecimal_digits_and_stays(tmp_path: Path) -> None:
    first = node_id(tmp_path)

    assert re.fullmatch("[0-9a-f]{8}", first)
    assert node_id(tmp_path) == first


def test_two_nodes_have_two_ids(tmp_path: Path) -> None:
    assert node_id(tmp_path / "a") != node_id(tmp_path / "b")


def test_the_data_directory_is_made_and_only_the_owner_reads_the_id(tmp_path: Path) -> None:
    data_dir = tmp_path / "var" / "node"

    node_id(data_dir)

    assert (data_dir / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data_dir.iterdir()] == [FILE_NAME]


def test_many_first_starts_at_once_agree_on_one_id(tmp_path: Path) -> None:
    starters = 8
    barrier = threading.Barrier(starters)

    def start(data_dir: Path) -> str:
        barrier.wait()
        return node_id(data_dir)

    with ThreadPoolExecutor(starters) as pool:
        for attempt in range(20):
            ids = set(pool.map(start, [tmp_path / str(attempt)] * starters))
            assert len(ids) == 1, ids


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    assert node_id(tmp_path) == node_id(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", ["", "hello", "1a2b3c4d5e", "\u00e9" * 8])
def test_a_damaged_id_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="utf-8")

    with pytest.raises(SetupError, match="delete it to get a new id") as caught:
        node_id(tmp_path)

    assert caught.value.code is ErrorCode.CANNOT_START
    assert str(tmp_path / FILE_NAME) in str(caught.value)


@pytest.mark.parametrize("bad", ["file/below", "/proc/nowhere", "nul\0byte"])
def test_an_unusable_data_directory_is_one_clear_line(tmp_path: Path, bad: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SetupError, match=r"cannot be used: .*--data-dir") as caught:
        node_id(tmp_path / bad)

    assert caught.value.code is ErrorCode.CANNOT_START
    assert "\n" not in str(caught.value)


def test_a_read_only_data_directory_is_refused_even_with_an_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node_id(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # what a read-only mount answers, to root too

    with pytest.raises(SetupError, match="it cannot be written"):
        node_id(tmp_path)
