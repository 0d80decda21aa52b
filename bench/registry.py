"""All measures by name. Another kind of measure is a module of its own and a line here."""

from __future__ import annotations

from bench import bucket, difference, encryption, history, in_place, large, measures, verification
from bench.round import Measure

MEASURES: dict[str, Measure] = {
    "export": measures.export,
    "size": measures.size,
    "incremental": measures.incremental,
    "restore": measures.whole_restore,
    "in-place": in_place.full_table,
    "day": measures.one_day,
    "diff": difference.changed_rows,
    "verify": verification.read_data,
    "encryption": encryption.overhead,
    "history": history.long_history,
    "bucket": bucket.day_spans,
    "dagster": measures.dagster,
    "memory": measures.memory,
}
ON_REQUEST: dict[str, Measure] = {"large": large.large}
