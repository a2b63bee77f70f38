"""Test the queue of keys to reconcile: each once, changes before the periodic resync, later ones when they are due."""

import asyncio

from gozen_operator.process.work_queue import WorkQueue
from gozen_operator.reconcile.object_fields import Key

ONE, TWO, THREE = (Key("Exposure", "night", name) for name in ("one", "two", "three"))


async def _taken(queue: WorkQueue, count: int) -> list[Key]:
    found = []
    for _ in range(count):
        found.append(await asyncio.wait_for(queue.take(), 30))
        queue.done(found[-1])
    return found


def test_what_has_changed_goes_before_the_round_and_each_is_looked_at_once():
    async def run():
        queue = WorkQueue(lambda: 0.0)
        queue.add_round([ONE, TWO, THREE])
        queue.add([THREE, THREE])
        queue.add_round([THREE])
        assert len(queue) == 3
        return await _taken(queue, 3), len(queue)

    assert asyncio.run(run()) == ([THREE, ONE, TWO], 0)


def test_a_key_that_changes_while_it_is_looked_at_is_looked_at_again():
    async def run():
        queue = WorkQueue(lambda: 0.0)
        queue.add([ONE])
        key = await queue.take()
        queue.add([ONE, TWO])
        first = await queue.take()
        queue.done(key)
        return first, await queue.take()

    assert asyncio.run(run()) == (TWO, ONE)


def test_the_earliest_of_several_wishes_counts():
    async def run():
        now = [0.0]
        queue = WorkQueue(lambda: now[0])
        queue.add_later(ONE, 50.0)
        queue.add_later(ONE, 5.0)
        queue.add_later(TWO, 20.0)
        now[0] = 6.0
        first = await _taken(queue, 1)
        now[0] = 60.0
        return first + await _taken(queue, 1), len(queue)

    assert asyncio.run(run()) == ([ONE, TWO], 0)


def test_the_oldest_look_is_known_until_it_ends():
    async def run():
        now = [100.0]
        queue = WorkQueue(lambda: now[0])
        found = [queue.oldest()]
        queue.add([ONE, TWO])
        await queue.take()
        now[0] = 130.0
        await queue.take()
        now[0] = 140.0
        found.append(queue.oldest())
        queue.add([ONE])
        queue.done(ONE)
        found.append(queue.oldest())
        queue.done(TWO)
        return [*found, queue.oldest()]

    assert asyncio.run(run()) == [None, (ONE, 40.0), (TWO, 10.0), None]
