"""Reading ahead in a thread: the next items are made while the last one is used. Bounded.

Errors arrive where they are consumed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterator[Item], *, depth: int = 3) -> Generator[Item, None, None]:
    """The same items, up to `depth` of them made in advance.

    Closing the generator stops the thread and closes `items`.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    stop = threading.Event()

    def fill() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not _put(ready, item, stop):
                    break
        except BaseException as raised:  # noqa: BLE001 - handed to the consumer, which raises it
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            _put(ready, _End(error), stop)

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def _put(ready: queue.Queue[Item | _End], item: Item | _End, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False
