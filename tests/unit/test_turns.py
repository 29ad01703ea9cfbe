import asyncio

from voicenode.workers.turns import TurnQueue


async def wait_for(queue: TurnQueue, name: str, order: list[str], *, live: bool = True) -> None:
    await queue.take(live=live)
    order.append(name)


async def queue_up(queue: TurnQueue, names: str, order: list[str]) -> list[asyncio.Task[None]]:
    """Let each of `names` wait for a turn, in this order; lower case is batch work."""
    tasks = []
    for name in names:
        tasks.append(asyncio.create_task(wait_for(queue, name, order, live=name.isupper())))
        await asyncio.sleep(0)
    return tasks


async def test_turns_are_given_in_order_and_live_first() -> None:
    queue, order = TurnQueue(1), list[str]()
    await queue.take(live=True)
    tasks = await queue_up(queue, "abCDe", order)
    for _ in tasks:
        queue.give_back()
    await asyncio.gather(*tasks)
    assert order == ["C", "D", "a", "b", "e"]


async def test_as_many_run_at_once_as_there_are_streams() -> None:
    queue, order = TurnQueue(2), list[str]()
    tasks = await queue_up(queue, "ABC", order)
    assert order == ["A", "B"]
    assert (queue.running, queue.waiting, queue.free) == (2, 1, False)
    queue.give_back()
    await asyncio.gather(*tasks)
    assert order == ["A", "B", "C"]


async def test_who_leaves_the_queue_is_passed_over() -> None:
    queue, order = TurnQueue(1), list[str]()
    await queue.take(live=True)
    left, stayed = await queue_up(queue, "AB", order)
    left.cancel()
    await asyncio.wait([left])
    assert queue.waiting == 1
    queue.give_back()
    await stayed
    assert order == ["B"]


async def test_a_turn_given_to_one_who_just_left_goes_to_the_next() -> None:
    queue, order = TurnQueue(1), list[str]()
    await queue.take(live=True)
    left, stayed = await queue_up(queue, "AB", order)
    queue.give_back()
    left.cancel()
    await asyncio.wait([left, stayed])
    assert order == ["B"]
    queue.give_back()
    assert queue.free


async def test_those_who_wait_begin_when_there_are_more_streams() -> None:
    queue, order = TurnQueue(1), list[str]()
    tasks = await queue_up(queue, "ABC", order)
    queue.streams = 2
    await asyncio.gather(*tasks[:2])
    assert order == ["A", "B"]
    queue.give_back()
    await asyncio.gather(*tasks)


async def test_nobody_begins_while_more_run_than_there_are_streams() -> None:
    queue, order = TurnQueue(2), list[str]()
    tasks = await queue_up(queue, "ABC", order)
    queue.streams = 1
    queue.give_back()
    assert (queue.running, queue.waiting) == (1, 1)
    queue.give_back()
    await asyncio.gather(*tasks)
    assert order == ["A", "B", "C"]
