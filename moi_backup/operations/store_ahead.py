"""Encoding and storing chunks beside the reading of the next ones, with a bound on the rows that wait in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

THREADS = 2
WAITING_BYTES = 96 * 1024 * 1024
WAITING_CHUNKS = 64
Result = TypeVar("Result")


class StoreAhead:
    """Runs jobs on at least two threads, in order of submission; `submit` waits while too much is unfinished.

    Leaving the context waits for all jobs. A job's error is raised at the next `submit` or by `Future.result`.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(max(threads, THREADS), thread_name_prefix="store")
        self._waiting: deque[tuple[Future[Any], int]] = deque()
        self._bytes = 0

    def submit(self, job: Callable[[], Result], *, weight: int) -> Future[Result]:
        """Run a job that keeps about `weight` bytes of rows in memory until it is done."""
        while self._waiting and (self._bytes + weight > WAITING_BYTES or len(self._waiting) >= WAITING_CHUNKS):
            done, freed = self._waiting.popleft()
            self._bytes -= freed
            done.result()
        future = self._pool.submit(job)
        self._waiting.append((future, weight))
        self._bytes += weight
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
