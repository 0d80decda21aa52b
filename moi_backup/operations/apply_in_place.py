"""Apply what was decided for one table, under the lock it was decided under, and prove it before the commit.

One statement writes; what it wrote must be as many rows as decided. Then the days it touched are read back: the rows of
the table must be exactly the live rows before, without those that go and with those that come.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from moi_backup.lake.expected_rows import renumber, unexpected_rows
from moi_backup.lake.row_sets import RowSets
from moi_backup.model.day import INFINITY, MINUS_INFINITY, UNDATED, order_of
from moi_backup.operations.decide_in_place import Decided, digest_of_days, digests_compare
from moi_backup.operations.in_place import RefusedInPlace
from moi_backup.operations.progress import Progress
from moi_backup.operations.prove_rows import Mismatch
from moi_backup.operations.row_states import LiveState, compare
from moi_backup.postgres.surrogate_numbers import assign_new, numbers_sql
from moi_backup.postgres.user_triggers import disable, enable, firing_triggers

MOST_RUNS = 50
"""Beyond as many separate runs of days, reading the whole range back is quicker than picking."""


class Proved(NamedTuple):
    """The digest of the whole range read back, and whether it is the backup's."""

    digest: str
    equal: bool


def apply(decided: Decided, *, scratch: Path, progress: Progress) -> Proved:
    """Write and prove in the session's transaction, which is left open. Raises RefusedInPlace, Mismatch, Refused."""
    if decided.refusals:
        raise RefusedInPlace(decided.asked.target, decided.refusals)
    if decided.changes.written:
        _assign(decided)
        with _triggers_still(decided):
            _write(decided)
    return _prove(decided, scratch, progress)


def _assign(decided: Decided) -> None:
    """New numbers for the rows whose own is taken, here and among the rows that are expected."""
    if decided.surrogate is None or not decided.renumbered:
        return
    session, staged = decided.session, decided.table.staged
    assign_new(session.rows, session.script, staged, decided.surrogate)
    numbers = pa.Table.from_batches(list(session.batches(numbers_sql(staged, decided.surrogate))))
    renumber(decided.decision.sets, decided.surrogate.column, numbers)


@contextmanager
def _triggers_still(decided: Decided) -> Generator[None]:
    """Keep the triggers from firing, and leave them as they were."""
    session, triggers = decided.session, decided.triggers
    before = firing_triggers(session.rows, decided.asked.target, _EVERY_EVENT)
    disable(session.script, triggers)
    yield
    session.script("SET CONSTRAINTS ALL IMMEDIATE")
    enable(session.script, triggers)
    if firing_triggers(session.rows, decided.asked.target, _EVERY_EVENT) != before:
        raise RefusedInPlace(decided.asked.target, ["its triggers are not as they were before"])


_EVERY_EVENT = 0b1111111


def _write(decided: Decided) -> None:
    staged = decided.table.staged
    if staged.kept:
        decided.session.script(staged.expect_sql())
    deletes, updates, inserts = (rows > 0 for rows in decided.statement)
    statement = staged.apply_sql(decided.changes.columns, deletes=deletes, updates=updates, inserts=inserts)
    [found] = decided.session.rows(statement)
    if tuple(int(count) for count in found) != decided.statement:
        raise Mismatch(
            f"{decided.asked.target}: the database deleted, updated and inserted {found} rows"
            f" instead of {decided.statement}.",
            meaning="The change was rolled back; the table is as it was before.",
            remedy="A trigger, rule or policy of the target swallows rows; restore into a scratch schema and compare.",
        )
    if staged.kept:
        _prove_kept(decided)


def _prove_kept(decided: Decided) -> None:
    """Columns that the backup does not have are as they were in every row that changed."""
    staged = decided.table.staged
    [(unexpected,)] = decided.session.rows(staged.unexpected_sql())
    if unexpected:
        raise Mismatch(
            f"{decided.asked.target}: {unexpected} changed rows do not have the values of"
            f" {', '.join(staged.kept)} that they had before.",
            meaning="The change was rolled back; the table is as it was before.",
            remedy="A trigger or rule of the target changes them; restore into a scratch schema and compare.",
        )


def _prove(decided: Decided, scratch: Path, progress: Progress) -> Proved:
    asked, live = decided.asked, decided.live
    digests, counts = dict(decided.compared.live), dict(live.counts)
    recomputed = set(decided.compared.recomputed)
    touched = decided.decision.touched_days()
    if touched:
        labels, runs = _to_read(touched, {*counts, *decided.stored.counts}, asked.runs)
        after = _read_back(decided, labels, runs, scratch)
        digests = {label: digest for label, digest in digests.items() if label not in labels} | after.live
        counts = {label: rows for label, rows in counts.items() if label not in labels} | after.counts
        recomputed = recomputed - labels | after.recomputed
    if recomputed:
        progress.warn(f"{asked.target}: generated columns are computed differently now than in the backup.")
    digest = digest_of_days(digests, counts)
    return Proved(digest, equal=digest == digest_of_days(decided.stored.digests, decided.stored.counts))


class _After(NamedTuple):
    live: dict[str, str]
    counts: dict[str, int]
    recomputed: set[str]


def _read_back(
    decided: Decided, labels: frozenset[str], runs: Sequence[tuple[str, str]] | None, scratch: Path
) -> _After:
    """Read days back and compare them with what was decided; raises Mismatch."""
    shape = replace(decided.decision.sets.shape, has_base=False, summed=())
    stored = replace(decided.stored, labels=labels, numbered=False)
    live = LiveState(decided.session, decided.table.source, runs, decided.live.ring)
    with RowSets(shape, scratch=scratch / "read-back") as found:
        compared = compare(
            found, {"after": stored}, ("before", live), digests_compare=digests_compare(decided.asked, decided.table)
        )
        unexpected = unexpected_rows(decided.decision, found, days=labels)
    if unexpected:
        raise Mismatch(
            f"{decided.asked.target}: {unexpected} of the rows read back are not those that were decided"
            " from the live rows and those of the backup.",
            meaning="The change was rolled back; the table is as it was before.",
            remedy="A trigger, rule or type of the target changes rows as they are written; "
            "restore into a scratch schema and compare.",
        )
    return _After(compared.live, live.counts, set(compared.recomputed))


def _to_read(
    touched: Collection[str], known: Collection[str], whole: list[tuple[str, str]] | None
) -> tuple[frozenset[str], list[tuple[str, str]] | None]:
    """The labels to be read back and their runs (None: all): the touched days, or the whole range where they are many.

    Days that follow each other among the known ones are one run.
    """
    lone = (UNDATED, INFINITY, MINUS_INFINITY)
    runs: list[tuple[str, str]] = []
    joined = False
    for label in sorted({*known, *touched}, key=order_of):
        wanted = label in touched
        if wanted and joined and label not in lone and runs[-1][0] not in lone:
            runs[-1] = (runs[-1][0], label)
        elif wanted:
            runs.append((label, label))
        joined = wanted
    if len(runs) > MOST_RUNS:
        return frozenset({*known, *touched}), whole
    return frozenset(touched), runs
