"""Requests to a store side by side, with their results in the order in which they were asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

ASKED_AHEAD = 4
WEIGHT_AHEAD = 96 * 1024 * 1024
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    weight: Callable[[Item], int] = lambda _: 0,
    forget: Callable[[Result], object] = lambda _: None,
) -> Generator[Result]:
    """`work(item)` of every item in the order of the items, on several threads; with one thread only when asked for.

    At most `threads` times ASKED_AHEAD items are begun and not yet taken, and at most WEIGHT_AHEAD bytes (`weight`) of
    them, or one. An error is raised where its result would have come. What is left when the generator is closed early
    goes to `forget`; no thread outlives it.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="at-once")
    begun: deque[tuple[Future[Result], int]] = deque()
    held = 0
    try:
        for item in items:
            heavy = weight(item)
            while begun and (len(begun) >= threads * ASKED_AHEAD or held + heavy > WEIGHT_AHEAD):
                future, freed = begun.popleft()
                held -= freed
                yield future.result()
            begun.append((pool.submit(work, item), heavy))
            held += heavy
        while begun:
            yield begun.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for future, _ in begun:
            if not future.cancelled() and future.exception() is None:
                forget(future.result())
