"""One large table: every operation in a process of its own, with its time and its peak of memory.

It takes long and is run on request: `python -m bench --only large --rows 20000000 --repeat 1`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.measured import Measured
from bench.place import TABLE
from bench.round import Round
from bench.timing import Sample, peak_memory, seconds

PEAK_MB = 400.0
OPERATIONS = {
    "full backup": ("backup", "--full", "--quiet"),
    "full backup, nothing changed": ("backup", "--full", "--quiet"),
    "incremental backup, nothing changed": ("backup", "--quiet"),
    "verify --read-data": ("verify", "--read-data", "--quiet"),
    "restore into a scratch schema": (
        "restore", "latest", "--to", "source", "--table", str(TABLE), "--schema", "scratch", "--quiet",
    ),
}  # fmt: skip


def large(of: Round) -> Iterator[Measured]:
    """Time and peak memory of each operation, one after the other on one repository."""
    place = of.place
    place.empty_repository()
    for what, arguments in OPERATIONS.items():
        peaks: list[float] = []
        took = seconds(lambda: peaks.append(peak_memory(*arguments, environment=place.environment)))  # noqa: B023
        yield Measured(f"{what}, {of.rows:,} rows", Sample((took,)), "s")
        yield Measured(f"peak memory: {what}, {of.rows:,} rows", Sample(tuple(peaks)), "MB", aim=PEAK_MB)
