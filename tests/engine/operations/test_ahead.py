import threading
from collections.abc import Iterator

import pytest

from moi_backup.operations.read_ahead import read_ahead
from moi_backup.operations.store_ahead import WAITING_BYTES, StoreAhead


def test_reading_ahead_changes_nothing_but_the_time() -> None:
    """All items arrive once and in order."""
    assert list(read_ahead(iter(range(100)))) == list(range(100))


def test_an_error_arrives_where_the_items_are_used() -> None:
    """What was made before the error is delivered first."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(read_ahead(items()))
    assert seen == [1]


def test_closing_early_closes_the_source_and_ends_its_thread() -> None:
    """Whoever stops in the middle leaves no thread behind, and the source's clean-up runs."""
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    ahead = read_ahead(items())
    assert next(ahead) == 0
    ahead.close()
    assert closed.is_set()
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())


def test_jobs_wait_while_too_much_is_in_memory() -> None:
    """A job beyond the bound begins only after an earlier one has ended."""
    gate, submitted = threading.Event(), threading.Event()
    with StoreAhead() as ahead:
        first = ahead.submit(gate.wait, weight=WAITING_BYTES)

        def more() -> None:
            ahead.submit(lambda: None, weight=1)
            submitted.set()

        thread = threading.Thread(target=more)
        thread.start()
        assert not submitted.wait(0.2)
        gate.set()
        assert submitted.wait(5)
        thread.join()
    assert first.done()


def test_a_failed_job_stops_the_next_submission() -> None:
    """An error while storing is not lost."""

    def fail() -> None:
        raise OSError("disk full")

    def run() -> None:
        with StoreAhead() as ahead:
            ahead.submit(fail, weight=WAITING_BYTES)
            ahead.submit(lambda: None, weight=1)

    with pytest.raises(OSError, match="disk full"):
        run()
