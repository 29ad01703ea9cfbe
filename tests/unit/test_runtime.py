from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from voicenode.errors import ErrorCode, RequestError, StoreError
from voicenode.runtime import Adjustable, RuntimeSettings, changes
from voicenode.stores.file import FileStore


class Dial:
    """Something to set, between 0 and 10."""

    def __init__(self) -> None:
        self.value = 5

    def turn(self, value: Any) -> None:  # noqa: ANN401 - whatever a client sends
        if not isinstance(value, int) or not 0 <= value <= 10:
            raise RequestError(ErrorCode.BAD_REQUEST, f"a dial goes from 0 to 10, not to {value}")
        self.value = value


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    async with FileStore(tmp_path) as store:
        yield store


@pytest.fixture
def dials() -> dict[str, Dial]:
    return {"left": Dial(), "right": Dial()}


def settings(store: FileStore, dials: dict[str, Dial]) -> RuntimeSettings:
    return RuntimeSettings(store, {name: Adjustable(5, dial.turn) for name, dial in dials.items()})


async def test_a_change_holds_at_once_and_after_a_restart(store: FileStore, dials: dict[str, Dial]) -> None:
    assert await settings(store, dials).change({"left": 7}) == {"left": 7, "right": 5}
    assert dials["left"].value == 7
    anew = {"left": Dial(), "right": Dial()}
    started = settings(store, anew)
    await started.load()
    assert started.current() == {"left": 7, "right": 5}
    assert anew["left"].value == 7


async def test_null_goes_back_to_what_is_configured(store: FileStore, dials: dict[str, Dial]) -> None:
    runtime = settings(store, dials)
    await runtime.change({"left": 7})
    assert await runtime.change({"left": None}) == {"left": 5, "right": 5}
    assert dials["left"].value == 5


@pytest.mark.parametrize("changes", [{"left": 7, "up": 1}, {"left": 7, "right": 11}])
async def test_of_several_changes_all_hold_or_none(
    store: FileStore, dials: dict[str, Dial], changes: dict[str, int]
) -> None:
    runtime = settings(store, dials)
    with pytest.raises(RequestError):
        await runtime.change(changes)
    assert runtime.current() == {"left": 5, "right": 5}
    assert dials["left"].value == 5


async def test_a_change_that_cannot_be_kept_does_not_hold(tmp_path: Path, dials: dict[str, Dial]) -> None:
    file = tmp_path / "file"
    file.touch()
    async with FileStore(file / "store") as store:
        runtime = settings(store, dials)
        with pytest.raises(StoreError):
            await runtime.change({"left": 7})
    assert runtime.current() == {"left": 5, "right": 5}
    assert dials["left"].value == 5


async def test_what_was_kept_and_no_longer_fits_is_left_out(store: FileStore, dials: dict[str, Dial]) -> None:
    await store.put("settings", "runtime", {"left": 99, "right": 3, "gone": 1})
    runtime = settings(store, dials)
    await runtime.load()
    assert runtime.current() == {"left": 5, "right": 3}


async def test_what_no_longer_fits_is_told_once(
    store: FileStore, dials: dict[str, Dial], caplog: pytest.LogCaptureFixture
) -> None:
    await store.put("settings", "runtime", {"left": 99, "right": 3})
    for _ in range(2):
        await settings(store, dials).load()
    assert [record.getMessage() for record in caplog.records] == [
        "a setting that was changed no longer holds, and is forgotten: a dial goes from 0 to 10, not to 99"
    ]
    assert await changes(store) == {"right": 3}


async def test_a_refused_change_is_told_though_what_held_before_is_gone(
    store: FileStore, dials: dict[str, Dial]
) -> None:
    gone: set[int] = set()

    def turn(value: int) -> None:
        if value in gone:
            raise RequestError(ErrorCode.UNKNOWN_VOICE, "that is gone")
        dials["left"].turn(value)

    runtime = RuntimeSettings(
        store, {"left": Adjustable(5, turn), "right": Adjustable(5, dials["right"].turn)}
    )
    await runtime.change({"left": 7})
    gone.add(7)
    with pytest.raises(RequestError, match="not to 11"):
        await runtime.change({"left": 6, "right": 11})
    with pytest.raises(RequestError, match="not to 12"):
        await runtime.change({"right": 12})
    assert dials["right"].value == 5
