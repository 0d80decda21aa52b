"""Work on several things side by side, each after those it needs; the first of the ready ones is begun first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_dependency_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    needs: Mapping[Item, frozenset[Item]],
    threads: int,
    stop: Callable[[], None],
) -> list[Result]:
    """The results in the order in which they came. `needs` of things that are not among the items count as done.

    With one thread the caller's own does it. When the caller is interrupted, nothing more is begun, `stop` is called
    to end what is under way, and that is waited for.
    """
    if threads <= 1 or len(items) <= 1:
        return _one_by_one(work, items, needs)
    waiting, results = list(items), list[Result]()
    running: dict[Future[Result], Item] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="restore") as pool:
        try:
            while waiting or running:
                while len(running) < threads and (item := _ready(waiting, [*running.values()], needs)) is not None:
                    waiting.remove(item)
                    running[pool.submit(work, item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    results.append(future.result())
        except BaseException:
            stop()
            raise
    return results


def _one_by_one(
    work: Callable[[Item], Result], items: Sequence[Item], needs: Mapping[Item, frozenset[Item]]
) -> list[Result]:
    waiting, results = list(items), list[Result]()
    while (item := _ready(waiting, [], needs)) is not None:
        waiting.remove(item)
        results.append(work(item))
    return results


def _ready(waiting: Sequence[Item], running: Sequence[Item], needs: Mapping[Item, frozenset[Item]]) -> Item | None:
    """The first that needs nothing that is still to come; where all need each other, the first of all."""
    open_ones = {*waiting, *running}
    ready = next((item for item in waiting if not (needs.get(item, frozenset()) - {item}) & open_ones), None)
    return ready if ready is not None or running else next(iter(waiting), None)
