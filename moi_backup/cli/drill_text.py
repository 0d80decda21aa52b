"""A drill's report as people read it: the answer, the tables, what is not as it should be, the time of recovery."""

from __future__ import annotations

from moi_backup.cli import wording
from moi_backup.cli.output import Output
from moi_backup.model.drill import DrillCheck, DrilledTable, DrillReport

_ANSWERS = {"passed": "Passed", "warning": "Passed with warnings", "failed": "Failed"}
_PHASES = ("read", "load", "indexes", "proof")


def tell_report(output: Output, report: DrillReport, *, timezone: str) -> None:
    """Print the report of a drill."""
    taken = wording.local_time(report.taken_at, timezone=timezone)
    output.line(f"{_ANSWERS[report.verdict]}: drill {report.id} of backup {report.backup}, taken {taken}.")
    output.line(_where(report))
    output.table(
        ("table", "status", "rows", "found", *_PHASES, "time", "digest of the committed rows"),
        [_row(table) for table in report.tables],
        right=("rows", "found", *_PHASES, "time"),
    )
    output.line()
    for verdict in ("failed", "warning", "unknown"):
        for check in report.checks:
            if check.verdict == verdict:
                output.line(f"{verdict.capitalize()}: {_said(check)}")
    passed = sum(check.verdict == "passed" for check in report.checks)
    output.line(f"{passed} of {wording.counted(len(report.checks), 'check')} passed.")
    for note in report.notes:
        output.line(f"Note: {note}")
    _tell_recovery(output, report)


def _row(table: DrilledTable) -> tuple[str, ...]:
    return (
        table.name,
        table.status,
        wording.count(table.rows),
        wording.count(table.rows_found),
        *(wording.duration(table.phases.get(phase, 0.0)) for phase in _PHASES),
        wording.duration(table.seconds),
        f"{table.digest} equal to the backup" if table.equal else "-",
    )


def _said(check: DrillCheck) -> str:
    return f"{check.statement}{f' ({check.table})' if check.table else ''}: {check.text}"


def _where(report: DrillReport) -> str:
    server = report.server
    kept = f"database {server.database} is kept" if server.kept else f"database {server.database}, dropped"
    started = ", started for this drill" if server.temporary else ""
    return f"On {server.address}, Postgres {server.version}{started}; {kept}."


def _tell_recovery(output: Output, report: DrillReport) -> None:
    recovery = report.recovery
    pace = (
        f"{wording.count(round(recovery.rows_per_second))} rows/s, {wording.size(recovery.bytes_per_second)}/s stored"
    )
    output.line(f"Recovery took {wording.duration(recovery.seconds)} ({pace}).")
    if recovery.forecast:
        output.line(f"Everything in this backup would take about {wording.duration(recovery.everything)}.")
    for found in recovery.classes:
        told = "forecast" if found.forecast else "measured"
        limit = wording.age(found.objective)
        answer = "within" if found.within else "over"
        output.line(f"{found.data_class}: {wording.duration(found.seconds)} {told}, {answer} the objective of {limit}.")
