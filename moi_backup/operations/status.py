"""Is the data protected? The answer first, then the facts behind it, each with its severity."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from moi_backup.errors import Damaged, MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.check_configuration import read_catalog
from moi_backup.operations.list_backups import ListedBackup, listed
from moi_backup.operations.list_drills import last_drill
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import is_recovery_point, try_backups
from moi_backup.repository.chain import Chain, published, scan_chain
from moi_backup.repository.marks import damaged_chunks
from moi_backup.repository.reachability import reachable_chunks
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.repository import Repository

Level = Literal["ok", "warning", "critical"]
WARNING_AGE, CRITICAL_AGE = timedelta(hours=26), timedelta(hours=48)
FULL_DISK = 0.90
_EXIT_CODES: dict[Level, int] = {"ok": 0, "warning": 4, "critical": 5}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person should know: how bad, which component, what."""

    level: Level
    component: str
    message: str


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The place of the backups; sizes in bytes. A bucket has no disk: null."""

    address: str
    id: str
    objects: int
    bytes: int
    disk_free: int | None
    disk_total: int | None
    damaged_chunks: int
    damaged_in_newest: int


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The protected database; `unprotected` null means that it could not be asked."""

    address: str
    reachable: bool
    protected: tuple[str, ...]
    unprotected: tuple[str, ...] | None


class DrillFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The last drill of the newest backup, or (not `of_newest`) of an older one; times in seconds.

    `recovery_time` is that of the whole backup, measured or forecast.
    """

    id: str
    backup: str
    of_newest: bool
    verdict: str
    age_seconds: float
    recovery_time: float
    forecast: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of protection. `age_seconds` is that of the newest complete backup's snapshot, null without one."""

    level: Level
    checked_at: str
    age_seconds: float | None
    newest: ListedBackup | None
    newest_full: str | None
    backups: int
    complete_backups: int
    oldest: str | None
    repository: RepositoryFacts
    source: SourceFacts
    drill: DrillFacts | None
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 protected, 4 warning, 5 critical."""
        return _EXIT_CODES[self.level]


@dataclass(frozen=True, slots=True)
class _Backups:
    """The listed backups: those whose manifests can be read, and findings about the others."""

    listed: tuple[str, ...]
    complete: tuple[BackupManifest, ...]
    findings: tuple[Finding, ...]

    @property
    def newest(self) -> BackupManifest | None:
        return self.complete[-1] if self.complete else None

    @property
    def newest_full(self) -> str | None:
        return next((backup.id for backup in reversed(self.complete) if backup.kind == "full"), None)


def read_status(workspace: Workspace) -> Status:
    """The state of protection now; raises NoRepository. A database that does not answer is a warning, not an error."""
    repository = workspace.open()
    now = workspace.clock.now()
    backups = _read_backups(repository)
    newest = backups.newest
    facts = _repository_facts(workspace, repository, newest)
    source, source_findings = _source(workspace)
    drill, drill_findings = _drill(repository, newest, now=now)
    age = None if newest is None else now - datetime.fromisoformat(newest.started_at)
    findings = (
        *judge_age(age),
        *backups.findings,
        *_judge_repository(facts),
        *source_findings,
        *_judge_cover(newest, source),
        *drill_findings,
    )
    return Status(
        level=_worst(findings),
        checked_at=now.isoformat(timespec="microseconds"),
        age_seconds=None if age is None else age.total_seconds(),
        newest=None if newest is None else listed(newest, now=now),
        newest_full=backups.newest_full,
        backups=len(backups.listed),
        complete_backups=len(backups.complete),
        oldest=backups.listed[0] if backups.listed else None,
        repository=facts,
        source=source,
        drill=drill,
        findings=findings,
    )


def _worst(findings: Sequence[Finding]) -> Level:
    levels = {finding.level for finding in findings}
    return "critical" if "critical" in levels else "warning" if "warning" in levels else "ok"


def judge_age(age: timedelta | None) -> Iterator[Finding]:
    """What the age of the newest complete backup means (None: there is none)."""
    if age is None:
        message = "There is no complete backup: nothing could be restored. Take one with moi-backup backup --full."
        yield Finding(level="critical", component="backups", message=message)
    elif age > WARNING_AGE:
        level: Level = "critical" if age > CRITICAL_AGE else "warning"
        limit = CRITICAL_AGE if level == "critical" else WARNING_AGE
        hours, allowed = age.total_seconds() / 3600, limit.total_seconds() / 3600
        message = f"The newest complete backup is {hours:.0f} h old; more than {allowed:.0f} h is {level}."
        yield Finding(level=level, component="backups", message=message)


def _read_backups(repository: Repository) -> _Backups:
    scan = scan_chain(repository)
    chain = Chain(scan.entries, scan.head)
    findings = [Finding(level="critical", component="integrity", message=damage.what) for damage in scan.damage]
    complete: list[BackupManifest] = []
    for _, manifest in try_backups(repository, chain, published(chain)):
        if not isinstance(manifest, BackupManifest):
            findings.append(Finding(level="critical", component="integrity", message=manifest.what))
        elif is_recovery_point(manifest):
            complete.append(manifest)
    return _Backups(tuple(published(chain)), tuple(complete), tuple(findings))


def _repository_facts(workspace: Workspace, repository: Repository, newest: BackupManifest | None) -> RepositoryFacts:
    sizes = [info.size for info in repository.store.list("")]
    damaged = damaged_chunks(repository.store)
    in_bucket = repository.store.free_bytes() is None
    disk = None if in_bucket else shutil.disk_usage(workspace.settings.repository.path)
    return RepositoryFacts(
        address=repository.store.address,
        id=repository.id,
        objects=len(sizes),
        bytes=sum(sizes),
        disk_free=disk and disk.free,
        disk_total=disk and disk.total,
        damaged_chunks=len(damaged),
        damaged_in_newest=_needed(repository, newest, damaged),
    )


def _needed(repository: Repository, newest: BackupManifest | None, damaged: frozenset[str]) -> int:
    """How many of the damaged chunks the newest complete backup needs."""
    if newest is None or not damaged:
        return 0
    lost: list[Unreadable] = []  # verify names them
    chunks = reachable_chunks(repository, [newest], on_damage=lost.append)
    return sum(item.chunk.stored in damaged for item in chunks)


def _judge_repository(facts: RepositoryFacts) -> Iterator[Finding]:
    if facts.damaged_in_newest:
        message = (
            f"The newest complete backup needs stored chunks that are damaged: {facts.damaged_in_newest}. "
            "moi-backup backup --full writes again what the database still has."
        )
        yield Finding(level="critical", component="integrity", message=message)
    elif facts.damaged_chunks:
        message = f"Older backups need stored chunks that are damaged: {facts.damaged_chunks}. See moi-backup verify."
        yield Finding(level="warning", component="integrity", message=message)
    if facts.disk_free is None or facts.disk_total is None:
        return
    used = 1 - facts.disk_free / facts.disk_total
    if used > FULL_DISK:
        message = f"The disk of {facts.address} is {used:.0%} full."
        yield Finding(level="warning", component="storage", message=message)


def _source(workspace: Workspace) -> tuple[SourceFacts, list[Finding]]:
    shown = workspace.settings.source.shown
    try:
        tables, unprotected = read_catalog(workspace)
    except MoiError as error:
        message = f"The database could not be asked what is unprotected. {error.what}"
        facts = SourceFacts(address=shown, reachable=False, protected=(), unprotected=None)
        return facts, [Finding(level="warning", component="database", message=message)]
    names = tuple(str(table.name) for table in tables)
    return SourceFacts(address=shown, reachable=True, protected=names, unprotected=unprotected), []


def _drill(
    repository: Repository, newest: BackupManifest | None, *, now: datetime
) -> tuple[DrillFacts | None, list[Finding]]:
    """The last drill, and what it means: one that failed, or that cannot be read, is a warning."""
    try:
        report = last_drill(repository, newest)
    except Damaged as error:
        return None, [Finding(level="warning", component="drill", message=f"A drill's report: {error.what}")]
    if report is None:
        return None, []
    facts = DrillFacts(
        id=report.id,
        backup=report.backup,
        of_newest=newest is not None and report.backup == newest.id,
        verdict=report.verdict,
        age_seconds=(now - datetime.fromisoformat(report.finished_at)).total_seconds(),
        recovery_time=report.recovery.everything,
        forecast=report.recovery.forecast,
    )
    message = f"The last drill, {report.id} of backup {report.backup}, failed: see moi-backup drills {report.id}."
    failed = [Finding(level="warning", component="drill", message=message)] if report.verdict == "failed" else []
    return facts, failed


def _judge_cover(newest: BackupManifest | None, source: SourceFacts) -> Iterator[Finding]:
    """Protected tables the newest backup does not have: they were configured or created after it."""
    if newest is None:
        return
    held = {str(entry.table) for entry in newest.tables}
    missing = [name for name in source.protected if name not in held]
    if missing:
        message = f"Not in the newest backup yet: {', '.join(missing)}."
        yield Finding(level="warning", component="backups", message=message)
