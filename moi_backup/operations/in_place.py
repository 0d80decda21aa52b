"""A table that is restored in place: what is asked of it, what its live side is, and how a refusal is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from moi_backup.errors import MoiError
from moi_backup.model.column_plan import ColumnPlan, plan_columns
from moi_backup.model.conflict_policy import ConflictPolicy
from moi_backup.model.day import DayRange
from moi_backup.model.restore_record import FileReference
from moi_backup.model.table import Column, TableManifest, TableName
from moi_backup.operations.stored_table import StoredTable
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.live_columns import live_columns
from moi_backup.postgres.restore_checks import family
from moi_backup.postgres.session import session_settings
from moi_backup.postgres.staged_changes import StagedChanges

_FOUND_DEAD = (
    "SET LOCAL tcp_keepalives_idle = 30",
    "SET LOCAL tcp_keepalives_interval = 10",
    "SET LOCAL tcp_keepalives_count = 3",
    "SET LOCAL tcp_user_timeout = 60000",
)
"""The lock that keeps writers out ends within a minute of losing this machine; the system's own limit is two hours."""


class RefusedInPlace(MoiError):
    """Something of the live table stands against the restore; it was left as it was."""

    def __init__(self, table: TableName, why: Iterable[object]) -> None:
        self.why = "; ".join(str(reason) for reason in why)
        super().__init__(
            f"{table} cannot be restored in place: {self.why}.",
            meaning="Nothing was written to it.",
            remedy="Remove what stands against it, choose other days, rows or another policy, "
            "or restore into a scratch schema (--schema) and copy what you need.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlace:
    """What is asked of one table: its state in the backup, and the options as in `RestoreRequest`.

    `undoing` is the list of the changes that are undone: with them the backup's state becomes the base of a merge.
    """

    target: TableName
    stored: StoredTable
    days: DayRange | None
    policy: ConflictPolicy
    base: StoredTable | None = None
    undoing: FileReference | None = None
    newer_by: str | None = None
    where: str | None = None
    disable_triggers: bool = False
    renames: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def runs(self) -> list[tuple[str, str]] | None:
        """The days as the reading of rows takes them."""
        return None if self.days is None else [(self.days.first, self.days.last)]


class LiveTable(NamedTuple):
    """The live side: how its rows are read, and where changes of them are staged.

    `plan` tells how the backup's columns are carried, `manifest` is the backup's table in the columns of this one.
    """

    source: RowSource
    staged: StagedChanges
    plan: ColumnPlan
    manifest: TableManifest

    @property
    def drifted(self) -> bool:
        """Whether the columns are not those of the backup."""
        return bool(self.plan.drift)


def begin(session: ArrowSession, *, isolation: str, lock_timeout_ms: int) -> None:
    """Begin a transaction with the session settings; no snapshot is taken yet."""
    version = int(session.rows("SELECT pg_catalog.current_setting('server_version_num')")[0][0])
    session.script(f"BEGIN ISOLATION LEVEL {isolation} READ WRITE")
    for setting in (*session_settings(server_version=version, lock_timeout_ms=lock_timeout_ms), *_FOUND_DEAD):
        session.script(setting)


def live_table(session: ArrowSession, asked: InPlace) -> LiveTable:
    """The live table that is to be changed; raises RefusedInPlace when it is none or its columns do not fit."""
    target = asked.target
    name = quote_literal(qualified(target))
    found = session.rows(f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({name})")
    if not found:
        raise RefusedInPlace(target, ["it does not exist"])
    if found[0][0] not in ("r", "p"):
        raise RefusedInPlace(target, ["it is not a table"])
    foreign = f"SELECT FROM pg_catalog.pg_class WHERE relkind = 'f' AND oid IN {family(target)}"
    if session.rows(f"SELECT EXISTS ({foreign})")[0][0]:
        raise RefusedInPlace(target, ["a partition of it is a table of another server, which no lock keeps still"])
    only = found[0][0] == "r"
    plan = plan_columns(asked.stored.manifest, live_columns(session.rows, target), renames=asked.renames)
    if plan.refusals:
        raise RefusedInPlace(target, plan.refusals)
    manifest = plan.as_live(asked.stored.manifest)
    source = RowSource(target, only, _read_columns(plan), manifest.day, manifest.order_by)
    kept = tuple(found.column.name for found in plan.added)
    return LiveTable(source, StagedChanges(target, plan.columns, only=only, kept=kept), plan, manifest)


def _read_columns(plan: ColumnPlan) -> tuple[Column, ...]:
    """The columns as rows are digested: one that is generated in the backup counts for no digest."""
    return tuple(msgspec.structs.replace(carried.form, generated=carried.stored.generated) for carried in plan.carried)
