"""The drills of a repository: all of them in short, one in full, and the last one that says something of a backup."""

from __future__ import annotations

from datetime import datetime

import msgspec

from moi_backup.errors import Damaged, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.drill import DrillReport, DrillVerdict
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.records import read_record, record_ids
from moi_backup.repository.repository import Repository


class ListedDrill(msgspec.Struct, frozen=True, kw_only=True):
    """One drill in a list. `seconds` is the measured recovery time, `everything` the one of the whole backup."""

    id: str
    backup: str
    finished_at: str
    verdict: DrillVerdict
    limited: bool
    partial: bool
    tables: int
    rows: int
    seconds: float
    everything: float
    problems: int


class UnreadableDrill(msgspec.Struct, frozen=True, kw_only=True):
    """A report that cannot be read."""

    id: str
    detail: str


class DrillList(msgspec.Struct, frozen=True, kw_only=True):
    """All drills, the newest first."""

    drills: tuple[ListedDrill, ...]
    unreadable: tuple[UnreadableDrill, ...]


def list_drills(workspace: Workspace) -> DrillList:
    """Every drill, the newest first; a report that cannot be read does not hide the others."""
    repository = workspace.open()
    drills: list[ListedDrill] = []
    unreadable: list[UnreadableDrill] = []
    for drill_id in reversed(list(record_ids(repository, "drills"))):
        try:
            drills.append(_listed(read_record(repository, "drills", drill_id, DrillReport)))
        except Damaged as error:
            unreadable.append(UnreadableDrill(id=drill_id, detail=error.what))
    return DrillList(drills=tuple(drills), unreadable=tuple(unreadable))


def show_drill(workspace: Workspace, text: str) -> DrillReport:
    """The report of a drill by its id, a unique prefix, or `latest`; raises UsageError for what is none."""
    repository = workspace.open()
    known = list(record_ids(repository, "drills"))
    found = known[-1:] if text == "latest" else [drill_id for drill_id in known if drill_id.startswith(text)]
    if len(found) != 1:
        what = f"{text!r} is the beginning of {len(found)} drills" if found else f"No drill is called {text!r}"
        raise UsageError(f"{what}.", remedy="moi-backup drills lists all; moi-backup drill makes one.")
    return read_record(repository, "drills", found[0], DrillReport)


def last_drill(repository: Repository, newest: BackupManifest | None) -> DrillReport | None:
    """The last drill of the newest backup, else the last one of any; None without any drill.

    Raises Damaged when a report on the way there cannot be read.
    """
    latest: DrillReport | None = None
    for drill_id in reversed(list(record_ids(repository, "drills"))):
        report = read_record(repository, "drills", drill_id, DrillReport)
        latest = latest or report
        if newest is None or report.backup == newest.id:
            return report
        if datetime.fromisoformat(report.started_at) < datetime.fromisoformat(newest.started_at):
            break
    return latest


def _listed(report: DrillReport) -> ListedDrill:
    return ListedDrill(
        id=report.id,
        backup=report.backup,
        finished_at=report.finished_at,
        verdict=report.verdict,
        limited=report.limited,
        partial=report.partial,
        tables=len(report.tables),
        rows=report.recovery.rows,
        seconds=report.recovery.seconds,
        everything=report.recovery.everything,
        problems=sum(check.verdict in ("failed", "warning") for check in report.checks),
    )
