"""How long the recovery took and would take, and the objectives it is compared with. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from moi_backup.model.drill import ClassRecovery, DrillCheck, DrilledTable, RecoveryTime
from moi_backup.model.objectives import OBJECTIVES


class Undrilled(NamedTuple):
    """A table of the backup that was not drilled: its class, its rows, its bytes as stored."""

    data_class: str
    rows: int
    bytes: int


def recovery_time(tables: Sequence[DrilledTable], undrilled: Sequence[Undrilled], *, seconds: float) -> RecoveryTime:
    """The measured `seconds` from the plan to the end of the restore, and what they say of everything.

    What was not drilled takes as long for each row and for each byte as what was, the slower of the two counting.
    Classes are recovered one after another with the most urgent first, but here each is taken alone, with what belongs
    to no table (`rest`) in full.
    """
    restored = [table for table in tables if table.status == "restored"]
    rows, size = sum(table.rows for table in restored), sum(table.bytes for table in restored)
    phases = _sum(table.phases for table in restored)
    inside = sum(table.seconds for table in tables)
    phases["rest"] = max(seconds - inside, 0.0)
    cost = _Cost(inside, rows, size)
    return RecoveryTime(
        seconds=seconds,
        rows=rows,
        bytes=size,
        rows_per_second=rows / seconds if seconds else 0.0,
        bytes_per_second=size / seconds if seconds else 0.0,
        phases=phases,
        everything=seconds + cost.of(undrilled),
        forecast=bool(undrilled),
        classes=tuple(_classes(tables, undrilled, cost, rest=phases["rest"])),
    )


def objective_checks(recovery: RecoveryTime) -> Iterator[DrillCheck]:
    """Whether the recovery of each class stays within its objective; one that does not is a warning."""
    for found in recovery.classes:
        how = "by forecast" if found.forecast else "measured"
        yield DrillCheck(
            statement=f"the recovery of {found.data_class} data stays within its objective",
            verdict="passed" if found.within else "warning",
            text=f"{found.seconds:,.1f} s {how}, {found.objective:,.0f} s allowed.",
            facts={"seconds": found.seconds, "objective": found.objective},
        )


class _Cost(NamedTuple):
    """What the drilled tables cost together."""

    seconds: float
    rows: int
    bytes: int

    def of(self, tables: Iterable[Undrilled]) -> float:
        """Seconds for other tables."""
        listed = list(tables)
        by_rows = sum(table.rows for table in listed) / self.rows if self.rows else 0.0
        by_bytes = sum(table.bytes for table in listed) / self.bytes if self.bytes else 0.0
        return self.seconds * max(by_rows, by_bytes)


def _classes(
    tables: Sequence[DrilledTable], undrilled: Sequence[Undrilled], cost: _Cost, *, rest: float
) -> Iterator[ClassRecovery]:
    for name, objective in OBJECTIVES.items():
        measured = [table.seconds for table in tables if table.data_class == name]
        others = [table for table in undrilled if table.data_class == name]
        if measured or others:
            seconds = sum(measured) + cost.of(others) + rest
            within = seconds <= objective.recovery_time
            yield ClassRecovery(
                data_class=name,
                seconds=seconds,
                forecast=bool(others),
                objective=objective.recovery_time,
                within=within,
            )


def _sum(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for phases in found:
        for name, seconds in phases.items():
            total[name] = total.get(name, 0.0) + seconds
    return total
