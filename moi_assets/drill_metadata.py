"""The report of a recovery drill as Dagster shows it."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from moi_assets.restoration import Metadata, bullets
from moi_backup.model.drill import DrillCheck, DrilledTable, DrillReport
from moi_backup.operations.markdown import markdown_rows

_CHECKS = ("verdict", "statement", "table", "what was found")
_TABLES = ("table", "status", "rows", "rows found", "seconds", "equal to the backup")
_CLASSES = ("class", "recovery in seconds", "objective in seconds", "within", "how known")
_WORST_FIRST = ("failed", "warning", "unknown", "passed")


def drill_metadata(report: DrillReport, *, reason: str) -> Metadata:
    """Verdict, checks, recovery times in seconds, and the id of the report."""
    recovery = report.recovery
    return {
        "report": dg.MetadataValue.text(report.id),
        "verdict": dg.MetadataValue.text(report.verdict),
        "backup": dg.MetadataValue.text(report.backup),
        "covers": dg.MetadataValue.text(covers(report)),
        "recovery time": dg.MetadataValue.float(recovery.seconds),
        "recovery time of everything": dg.MetadataValue.float(recovery.everything),
        "everything is": dg.MetadataValue.text("forecast" if recovery.forecast else "measured"),
        "rows": dg.MetadataValue.int(recovery.rows),
        "rows a second": dg.MetadataValue.float(recovery.rows_per_second),
        "checks": dg.MetadataValue.md(_checks(report.checks)),
        "tables": dg.MetadataValue.md(markdown_rows(_TABLES, map(_table, report.tables))),
        "objectives": dg.MetadataValue.md(_objectives(report)),
        "server": dg.MetadataValue.text(f"{report.server.address}, Postgres {report.server.version}"),
        "database": dg.MetadataValue.text(f"{report.server.database}{' (kept)' if report.server.kept else ''}"),
        "notes": bullets(report.notes),
        "reason": dg.MetadataValue.text(reason),
    }


def require_passed(report: DrillReport) -> None:
    """Raise dg.Failure naming every failed check; warnings fail nothing."""
    if report.verdict != "failed":
        return
    failed = [f"{_of(check)}: {check.text}" for check in report.checks if check.verdict == "failed"]
    what = f"The drill of backup {report.backup} failed (report {report.id})."
    remedy = f"moi-backup drills {report.id} shows all of it; moi-backup verify --read-data looks at every object."
    raise dg.Failure(description="\n".join([what, *failed, remedy]), allow_retries=False)


def covers(report: DrillReport) -> str:
    """What the drill says something of."""
    limits = ["a limited backup"] * report.limited + ["some tables"] * report.partial
    return ", ".join(limits) or "everything"


def _checks(checks: Iterable[DrillCheck]) -> str:
    found = sorted(checks, key=lambda check: _WORST_FIRST.index(check.verdict))
    return markdown_rows(_CHECKS, [(check.verdict, check.statement, check.table or "", check.text) for check in found])


def _table(table: DrilledTable) -> tuple[object, ...]:
    seconds = f"{table.seconds:.1f}"
    return (table.name, table.status, table.rows, table.rows_found, seconds, "yes" if table.equal else "no")


def _objectives(report: DrillReport) -> str:
    rows = [
        (
            found.data_class,
            f"{found.seconds:.1f}",
            f"{found.objective:.0f}",
            "yes" if found.within else "no",
            "forecast" if found.forecast else "measured",
        )
        for found in report.recovery.classes
    ]
    return markdown_rows(_CLASSES, rows)


def _of(check: DrillCheck) -> str:
    return f"{check.statement} ({check.table})" if check.table else check.statement
