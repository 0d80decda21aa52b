"""The live side of a comparison: every table in one snapshot, under locks that TRUNCATE and DROP cannot pass."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from moi_backup.model.configuration import Configuration
from moi_backup.model.diff import LIVE, ComparedState
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import Column, DayColumn, DayKind, TableManifest, TableName
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.diff_plan import Definition, DiffPlan
from moi_backup.operations.hold_snapshot import hold_snapshot
from moi_backup.operations.progress import Progress
from moi_backup.operations.protect import protect, protected_names
from moi_backup.operations.row_states import LiveState
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.catalog import CatalogTable, list_tables, read_tables
from moi_backup.postgres.change_scan import count_days
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.day_sql import day_predicate
from moi_backup.postgres.export import RowSource, shared_snapshot
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.session import Connection, CoordinatingSnapshot, connect, run, session_settings, snapshot_text
from moi_backup.postgres.types import as_text, base_type

_DAY_TYPES: dict[DayKind, str] = {
    "date": "date",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
Runs = Sequence[tuple[str, str]] | None


@dataclass(frozen=True)
class LiveSide:
    """The tables that are there, as the snapshot shows them; of `refused` ones the role may not read every row."""

    state: ComparedState
    conn: Connection
    session: ArrowSession
    snapshot: CoordinatingSnapshot | None
    configuration: Configuration
    tables: dict[TableName, CatalogTable]
    refused: frozenset[TableName]
    protected: frozenset[TableName]
    lock_timeout_ms: int

    @property
    def names(self) -> frozenset[TableName]:
        """The tables that are there, readable or not."""
        return frozenset(self.tables) | self.refused

    def definition(self, then: TableManifest, *, texts: Collection[str]) -> Definition:
        """The table as it is now, its columns stored as `then` where their types are the same; `texts` as text."""
        found = self.tables[then.table]
        known = {column.name: column for column in then.columns}
        columns = [_as_then(column, known.get(column.name)) for column in found.columns if not column.generated]
        columns = [as_text(column) if column.name in texts else column for column in columns]
        chosen = self.configuration.table(then.table).key
        key = found.key if chosen is None else chosen or None
        return Definition(tuple(columns), _day_of(then.day, columns), key, then.order_by)

    def rows(self, table: TableName, found: Definition, plan: DiffPlan, *, runs: Runs, ring: KeyRing) -> LiveState:
        """The rows of the compared columns, in the order of the backup's digests where it can be had."""
        columns = found.only(plan.names)
        ordered = plan.names.issuperset(found.order_by)
        source = RowSource(
            table,
            only=self.tables[table].only,
            columns=columns,
            day=found.day if plan.by_day else None,
            order_by=found.order_by if ordered else tuple(column.name for column in columns),
        )
        return LiveState(self.session, source, runs, ring, form=plan.shape.columns, located=False)

    def count(self, table: TableName, *, runs: Runs) -> int:
        """How many rows there are in the given runs of days, by the day column that a backup would take."""
        found, settings = self.tables[table], self.configuration.table(table)
        day = protect(found, settings, timezone=self.configuration.source.timezone).day
        where = "true" if runs is None else day_predicate(day, runs) if day is not None else "false"
        return sum(count_days(self.session.rows, table, only=found.only, day=None, where=where).values())

    def begin_again(self) -> None:
        """After an error of the database: the same snapshot in a new transaction of the reading session."""
        self.session.script("ROLLBACK")
        if self.snapshot is None:
            return
        version = self.conn.info.server_version
        settings = session_settings(server_version=version, lock_timeout_ms=self.lock_timeout_ms)
        for statement in shared_snapshot(snapshot_text(self.snapshot.exported), settings):
            self.session.script(statement)


@contextmanager
def live_side(workspace: Workspace, wanted: Collection[TableName], progress: Progress) -> Generator[LiveSide]:
    """The `wanted` tables and all protected ones, as far as they are there, held in one snapshot until the end."""
    url = workspace.source_url()
    timeout = int(workspace.configuration.source.lock_timeout * 1000)
    with connect(url) as conn, ArrowSession(url) as session, database_errors("The live tables cannot be read", url=url):
        protected = frozenset(protected_names(conn, workspace.configuration))
        names = _existing(conn, frozenset(wanted) | protected)
        readable = [name for name in sorted(names) if _may_read(conn, name)]
        held = None
        if readable:
            held, _ = hold_snapshot(
                conn,
                session,
                readable,
                address=address_of(url),
                lock_timeout_ms=timeout,
                dump=lambda _snapshot, _patience: None,
                progress=progress,
            )
        yield LiveSide(
            state=ComparedState(backup=LIVE, at=workspace.clock.now().isoformat(), address=address_of(url)),
            conn=conn,
            session=session,
            snapshot=held,
            configuration=workspace.configuration,
            tables={table.name: table for table in read_tables(conn, readable, schema="")},
            refused=frozenset(names.difference(readable)),
            protected=protected,
            lock_timeout_ms=timeout,
        )


def _existing(conn: Connection, names: Collection[TableName]) -> frozenset[TableName]:
    """Those of the names that are ordinary or partitioned tables."""
    schemas = {name.schema for name in names}
    return frozenset(names) & {name for schema in schemas for name in list_tables(conn, schema=schema)}


def _may_read(conn: Connection, table: TableName) -> bool:
    """Whether the role sees every row: it may SELECT, and no row security hides any."""
    name = quote_literal(qualified(table))
    [(readable,)] = run(conn, f"SELECT has_table_privilege({name}, 'SELECT') AND NOT row_security_active({name})")
    return bool(readable)


def _as_then(column: Column, then: Column | None) -> Column:
    """A live column in the stored form of the backup's column of the same type, and in its scope."""
    if then is None:
        return column
    if then.pg_type != column.pg_type:
        return msgspec.structs.replace(column, scope=then.scope)
    return msgspec.structs.replace(column, encoding=then.encoding, arrow=then.arrow, scope=then.scope)


def _day_of(day: DayColumn | None, columns: Sequence[Column]) -> DayColumn | None:
    """The backup's day column where the table still has it with its type."""
    if day is None:
        return None
    types = {column.name: base_type(column.pg_type) for column in columns}
    return day if types.get(day.column) == _DAY_TYPES[day.kind] else None
