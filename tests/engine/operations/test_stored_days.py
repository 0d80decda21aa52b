"""Which days differ from what is known elsewhere."""

from __future__ import annotations

from moi_backup.operations.stored_days import EMPTY, StoredDay, changed_days

STORED = {
    label: StoredDay(label, rows=3, bytes=30, digest=digest)
    for label, digest in (("2025-10-01", "a"), ("2025-10-02", "b"), ("2025-10-03", "c"))
}


def test_a_day_counts_as_changed_when_its_digest_is_not_the_known_one() -> None:
    """Unknown and different days come back, in day order; equal ones do not."""
    known = {"2025-10-02": "b", "2025-10-03": "other"}
    assert [day.day for day in changed_days(STORED, known)] == ["2025-10-01", "2025-10-03"]


def test_a_known_day_that_is_gone_comes_back_empty_once() -> None:
    """A day that had rows and has none is told with 0 rows, until that is known too."""
    known = {label: day.digest for label, day in STORED.items()}
    assert changed_days(STORED, known | {"2025-09-30": "z"}) == [StoredDay("2025-09-30", rows=0, digest=EMPTY)]
    assert changed_days(STORED, known | {"2025-09-30": EMPTY}) == []
