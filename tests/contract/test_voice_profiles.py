"""Voice profiles in every store: whatever happens to a writer, a voice is whole or absent."""

from collections.abc import Callable

from tests.support.stores import open_store, run_program


async def test_whoever_is_killed_while_he_clones_renames_or_deletes_leaves_whole_voices(
    url: str, endurance: Callable[[int], int]
) -> None:
    await run_program("tests.support.cloning_crash", "crash", url, str(endurance(300)))
    async with open_store(url) as store:
        await store.sweep()
        assert await store.verify() == []


async def test_of_twenty_processes_that_clone_one_name_one_wins(url: str) -> None:
    assert await run_program("tests.support.cloning_crash", "race", url, "20") == "1 19\n"
