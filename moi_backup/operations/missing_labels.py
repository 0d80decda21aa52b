"""Enum labels that rows of a backup have and the live type has no more."""

from __future__ import annotations

from moi_backup.lake.decision import Decision
from moi_backup.model.column_plan import ColumnPlan


def missing_labels(decision: Decision, plan: ColumnPlan) -> list[str]:
    """A reason for each column of an enum that rows to be written have an unknown label of, naming the labels."""
    shape = decision.sets.shape
    refusals: list[str] = []
    for carried in plan.carried:
        labels, name = carried.live.labels, carried.form.name
        if labels is None or carried.form.generated:
            continue
        found = decision.sets.sql(
            f"SELECT DISTINCT {shape.field(name)} FROM come WHERE id IN (SELECT id FROM come_taken)"
        )
        if unknown := sorted({label for (label,) in found if label is not None}.difference(labels)):
            refusals.append(
                f"column {name}: {carried.form.pg_type} has no label {', '.join(map(repr, unknown))} any more"
            )
    return refusals
