"""`moi-backup status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation

if TYPE_CHECKING:
    from moi_backup.operations.status import RepositoryFacts, Status

_ANSWERS = {"ok": "Protected", "warning": "Warning", "critical": "Critical"}


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Say whether the data is protected. Exit code 0 yes, 4 with a warning, 5 critical, 10 no repository."""
    from moi_backup.operations.status import read_status

    status = read_status(invocation.workspace)
    output = invocation.output
    output.document(status)
    output.line(_answer(status))
    for finding in status.findings:
        output.line(f"  {finding.level}: {finding.component}: {finding.message}")
    output.line()
    for name, text in _facts(status, timezone=invocation.timezone):
        output.line(f"{name:<12} {text}")
    return status.exit_code


def _answer(status: Status) -> str:
    if status.newest is None or status.age_seconds is None:
        return f"{_ANSWERS[status.level]}: there is no complete backup."
    newest, age = status.newest, wording.age(status.age_seconds)
    tables = wording.counted(newest.tables, "table")
    held = f"{newest.id}, {wording.count(newest.rows)} rows in {tables}"
    return f"{_ANSWERS[status.level]}: the newest complete backup is {age} old ({held})."


def _disk(repository: RepositoryFacts) -> str:
    free, total = repository.disk_free, repository.disk_total
    if free is None or total is None:
        return "none: the repository is in a bucket"
    return f"{wording.size(free)} free of {wording.size(total)} ({1 - free / total:.0%} used)"


def _drill(status: Status) -> str:
    drill = status.drill
    if drill is None:
        return "none yet: moi-backup drill"
    how = "about " if drill.forecast else ""
    which = "of the newest" if drill.of_newest else f"of {drill.backup}; the newest has not been drilled"
    ago = wording.age(drill.age_seconds)
    return f"{drill.verdict}, {ago} ago, recovery {how}{wording.duration(drill.recovery_time)} ({drill.id} {which})"


def _facts(status: Status, *, timezone: str) -> list[tuple[str, str]]:
    repository, source = status.repository, status.source
    facts = [
        ("repository", f"{repository.address} ({repository.id})"),
        ("holds", f"{wording.size(repository.bytes)} in {wording.counted(repository.objects, 'object')}"),
        ("disk", _disk(repository)),
        ("backups", f"{status.backups}, {status.complete_backups} of them complete; oldest {status.oldest or 'none'}"),
    ]
    if status.newest is not None:
        taken = wording.local_time(status.newest.started_at, timezone=timezone)
        facts += [("newest", f"{status.newest.id} ({status.newest.kind}), {taken}")]
        facts += [("newest full", status.newest_full or "none")]
    unprotected = "unknown" if source.unprotected is None else ", ".join(source.unprotected) or "nothing"
    return [
        *facts,
        ("drill", _drill(status)),
        ("database", f"{source.address}{'' if source.reachable else ' (not asked)'}"),
        ("protected", ", ".join(source.protected) or "unknown"),
        ("unprotected", unprotected),
    ]
