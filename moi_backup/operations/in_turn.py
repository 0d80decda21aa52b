"""Tables that are restored in place one after the other, where one may wait for the rows of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moi_backup.model.restore import TableOutcome

Restored = tuple[TableOutcome, list[str]]
"""What became of a table, and what failed after its commit."""


def in_turn(tables: Sequence[Callable[[], Restored]], *, done: Callable[[Restored], None]) -> None:
    """Restore all; `done` hears of each as it comes, of one that is tried again once more.

    One that is refused is tried again as long as another was written meanwhile: the row that it refers to may be there
    now, or the row that referred to it may be gone.
    """
    found: dict[int, Restored] = {}
    waiting = list(range(len(tables)))
    while waiting:
        for number in waiting:
            found[number] = tables[number]()
            done(found[number])
        written = any(_written(found[number][0]) for number in waiting)
        waiting = [number for number in waiting if written and found[number][0].status == "refused"]


def _written(outcome: TableOutcome) -> bool:
    return outcome.status == "restored" and outcome.changes is not None and outcome.changes.written > 0
