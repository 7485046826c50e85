"""The memory plan of a network: best_order() returns an order of the steps, plan() the offset of each buffer.

A step here is only the buffers that it reads and the one that it writes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 16  # bytes
STATES = 20_000  # sets of finished steps that the search for an order looks at
SHUFFLES = 300  # orders of placing that are tried while the plan is above the liveness peak


@dataclass(frozen=True)
class Use:
    """The memory use of a step: buffers that it reads, the one it writes, inputs that it may write over."""

    reads: tuple[int, ...]
    writes: int
    over: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """order     the steps' numbers as they run
    offsets   bytes from the arena's begin, one per buffer
    lives     (first, last) place in the order at which a buffer holds something; -1 is before the first
    size      bytes of the arena
    peak      the most bytes that are alive at one place: no plan of this order is smaller
    """

    order: tuple[int, ...]
    offsets: tuple[int, ...]
    lives: tuple[tuple[int, int], ...]
    size: int
    peak: int


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(sizes: Sequence[int], uses: Sequence[Use], inputs: Sequence[int], outputs: Sequence[int]) -> Plan:
    """The Plan: the offset of every buffer in one arena.

    sizes    bytes of each buffer
    uses     the steps, in an order in which they can run
    inputs   buffers that are filled before the first step; outputs: to be kept until the end
    """
    room = [aligned(size) for size in sizes]
    order = best_order(room, uses, inputs, outputs)
    merged = _written_over(room, [uses[n] for n in order], outputs)
    lives = _lives(len(sizes), [uses[n] for n in order], inputs, outputs)
    groups: dict[int, tuple[int, int]] = {}
    for buffer, root in enumerate(merged):
        first, last = groups.get(root, lives[buffer])
        groups[root] = min(first, lives[buffer][0]), max(last, lives[buffer][1])
    places = {root: (room[root], *life) for root, life in groups.items()}
    peak = max(
        (sum(size for size, first, last in places.values() if first <= n <= last) for n in range(-1, len(uses))),
        default=0,
    )
    found, size = _placed(places, peak)
    return Plan(tuple(order), tuple(found[root] for root in merged), tuple(lives), size, peak)


def best_order(room: Sequence[int], uses: Sequence[Use], inputs: Sequence[int], outputs: Sequence[int]) -> list[int]:
    """An order of the steps with the least peak of live bytes; the given order where the search exceeds STATES.

    The sets of finished steps are a graph; the best path is the one whose worst step is least: Dijkstra's algorithm
    with the maximum in place of the sum. A chain has one set per step, branches multiply them.
    """
    readers: dict[int, int] = {}
    for use in uses:
        for buffer in set(use.reads):
            readers[buffer] = readers.get(buffer, 0) + 1
    made = {use.writes: n for n, use in enumerate(uses)}
    needs = [{made[buffer] for buffer in use.reads if buffer in made} for use in uses]

    def living(done: frozenset[int]) -> dict[int, int]:
        """{buffer: readers to come} after some steps."""
        left = {buffer: readers.get(buffer, 0) for buffer in inputs}
        left |= {uses[n].writes: readers.get(uses[n].writes, 0) for n in done}
        for n in done:
            for buffer in set(uses[n].reads):
                left[buffer] -= 1
        return {buffer: count for buffer, count in left.items() if count or buffer in outputs}

    start: frozenset[int] = frozenset()
    queue: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
    seen = {start: 0}
    while queue and len(seen) < STATES:
        worst, _, path = heapq.heappop(queue)
        if len(path) == len(uses):
            return list(path)
        done = frozenset(path)
        if seen[done] < worst:
            continue
        alive = living(done)
        held = sum(room[buffer] for buffer in alive)
        for n, use in enumerate(uses):
            if n in done or not needs[n] <= done:
                continue
            over = any(
                alive.get(buffer) == 1 and room[buffer] == room[use.writes] and buffer not in outputs
                for buffer in use.over
            )
            reached = max(worst, held + (0 if over else room[use.writes]))
            after = done | {n}
            if reached < seen.get(after, 1 << 62):
                seen[after] = reached
                # among equals the path that is longest, then the given order
                heapq.heappush(queue, (reached, -len(path), (*path, n)))
    return list(range(len(uses)))


def _lives(count: int, uses: Sequence[Use], inputs: Sequence[int], outputs: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) use of each buffer, as places in the order; (0, -1) for a buffer that no step uses."""
    lives = [(0, -1)] * count
    for buffer in inputs:
        lives[buffer] = (-1, -1)
    for n, use in enumerate(uses):
        lives[use.writes] = (n, n)
        for buffer in use.reads:
            lives[buffer] = (lives[buffer][0], n)
    for buffer in outputs:
        lives[buffer] = (lives[buffer][0], len(uses))
    return lives


def _written_over(room: Sequence[int], uses: Sequence[Use], outputs: Sequence[int]) -> list[int]:
    """For each buffer the first one that shares its place: an output may take the place of an input that ends there."""
    last = {buffer: n for n, use in enumerate(uses) for buffer in use.reads}
    merged = list(range(len(room)))
    for n, use in enumerate(uses):
        for buffer in use.over:
            if last[buffer] == n and room[buffer] == room[use.writes] and buffer not in outputs:
                merged[use.writes] = merged[buffer]
                break
    return merged


def _placed(places: dict[int, tuple[int, int, int]], peak: int) -> tuple[dict[int, int], int]:
    """({buffer: offset}, bytes) by best fit in several orders, until the liveness peak is reached.

    places  {buffer: (size, first, last)}
    """
    keys = [
        lambda item: (-item[1][0], item[1][1]),
        lambda item: (-(item[1][2] - item[1][1]), -item[1][0]),
        lambda item: (item[1][1], -item[1][0]),
        lambda item: (-item[1][0] * (item[1][2] - item[1][1] + 1), item[1][1]),
    ]
    items = [(buffer, place) for buffer, place in places.items() if place[2] >= place[1]]
    orders = [sorted(items, key=key) for key in keys]
    rng = random.Random(0)
    best: tuple[dict[int, int], int] | None = None
    for n in range(len(keys) + SHUFFLES):
        order = orders[n] if n < len(orders) else rng.sample(items, len(items))
        found = _best_fit(order)
        size = max((found[buffer] + place[0] for buffer, place in order), default=0)
        if best is None or size < best[1]:
            best = found, size
        if best[1] == peak:
            break
    assert best is not None
    return {buffer: best[0].get(buffer, 0) for buffer in places}, best[1]


def _best_fit(order: Sequence[tuple[int, tuple[int, int, int]]]) -> dict[int, int]:
    """Place each buffer in turn into the smallest sufficient gap between buffers that live at the same time."""
    offsets: dict[int, int] = {}
    placed: list[tuple[int, tuple[int, int, int]]] = []
    for buffer, (size, first, last) in order:
        taken = sorted(
            (offsets[other], offsets[other] + held)
            for other, (held, begin, end) in placed
            if begin <= last and first <= end
        )
        gap, at, edge = 1 << 62, None, 0
        for begin, end in taken:
            if size <= begin - edge < gap:
                gap, at = begin - edge, edge
            edge = max(edge, end)
        offsets[buffer] = edge if at is None else at
        placed.append((buffer, (size, first, last)))
    return offsets
