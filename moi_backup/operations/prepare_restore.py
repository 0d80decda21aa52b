"""What a restore would do, decided before anything is written: the plan of every table, and the notes with it.

One table that is damaged, locked by a key or cannot be looked at is refused alone. What restores in place change row by
row is decided later (`decide_in_place`), in the transaction that shows the live rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from moi_backup.errors import Damaged, Locked, SourceError, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.model.configuration import Configuration
from moi_backup.model.restore import RestorePlan, RestoreRequest, TablePlan
from moi_backup.model.table import TableName
from moi_backup.operations.ask_in_place import Asking
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.in_place import InPlace
from moi_backup.operations.locked_columns import wrong_key
from moi_backup.operations.open_for_reading import Reading
from moi_backup.operations.previewed import refuse
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.identifiers import literal_list, qualified
from moi_backup.postgres.session import Connection, begin, connect, run
from moi_backup.repository.backups import resolve_backup, try_backups
from moi_backup.repository.chain import published
from moi_backup.repository.repository import Repository

LOCK_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class PreparedRestore:
    """A plan with the open repository it was made from. `asked` tells of every table in place what is asked of it."""

    plan: RestorePlan
    reading: Reading
    backup: BackupManifest
    request: RestoreRequest
    asked: Mapping[TableName, InPlace]

    @property
    def repository(self) -> Repository:
        """Where the backup is read."""
        return self.reading.repository

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the plan, and what came from the copy up to now."""
        return (*self.reading.notes(), *self.plan.notes)

    def backups(self) -> list[BackupManifest]:
        """The manifests of all listed backups that can be read."""
        listed = published(self.reading.chain)
        found = (manifest for _, manifest in try_backups(self.repository, self.reading.chain, listed))
        return [manifest for manifest in found if isinstance(manifest, BackupManifest)]

    def table(self, name: TableName) -> StoredTable:
        """A table as the backup has it; raises Damaged."""
        return open_table(self.repository, self.backup, name, without=self.request.without_scopes)


def prepare_restore(
    reading: Reading, url: str, request: RestoreRequest, configuration: Configuration
) -> PreparedRestore:
    """The plan of a checked request.

    Raises UsageError for what cannot be asked of this backup, WrongKey when no table can be read without a key.
    """
    repository = reading.repository
    backup = resolve_backup(repository, reading.chain, request.backup)
    names = _tables(backup, request)
    _check_days(backup, request)
    base = resolve_backup(repository, reading.chain, request.base) if request.base is not None else None
    if base is not None:
        _check_days(base, request)
    with connect(url) as conn:
        with database_errors("The restore could not be planned", url=url, meaning="Nothing was written."):
            begin(conn, lock_timeout_ms=LOCK_TIMEOUT_MS)
            existing = _existing(conn, [_target(name, request) for name in names])
        keyless: list[WrongKey] = []
        tables = tuple(
            _checked_plan(conn, url, repository, backup, name, request, existing=existing, keyless=keyless)
            for name in names
        )
    tables, asked = _asked(Asking(repository, backup, base, request, configuration), tables, keyless)
    if keyless and len(keyless) == len(tables):
        raise keyless[0]
    plan = RestorePlan(
        backup=backup.id,
        taken_at=backup.started_at,
        address=address_of(url),
        days=request.days,
        tables=tables,
        base=base.id if base is not None else "",
        on_conflict=request.on_conflict or "",
        where=request.where or "",
        notes=(*_notes(backup, request), *(_left_out(repository, backup, request) if request.without_scopes else ())),
    )
    return PreparedRestore(plan, reading, backup, request, asked)


def _asked(
    asking: Asking, tables: Sequence[TablePlan], keyless: list[WrongKey]
) -> tuple[tuple[TablePlan, ...], dict[TableName, InPlace]]:
    """What is asked of every table in place; one whose documents cannot be read (the base's too) is refused alone."""
    plans: list[TablePlan] = []
    asked: dict[TableName, InPlace] = {}
    for plan in tables:
        try:
            if plan.action == "in-place":
                asked[plan.table] = asking.table(plan)
            plans.append(plan)
        except (Damaged, StorageError, WrongKey) as error:
            keyless += [error] if isinstance(error, WrongKey) else []
            plans.append(refuse(plan, error.what))
    return tuple(plans), asked


def _tables(backup: BackupManifest, request: RestoreRequest) -> list[TableName]:
    covered = [entry.table for entry in backup.tables]
    unknown = [str(name) for name in request.tables or () if name not in covered]
    if unknown:
        raise UsageError(
            f"Backup {backup.id} does not hold {', '.join(unknown)}.",
            meaning=f"It covers: {', '.join(map(str, covered)) or 'no table'}.",
            remedy="Choose another backup (moi-backup backups), or correct the name.",
        )
    names = list(dict.fromkeys(request.tables or covered))
    targets = [_target(name, request) for name in names]
    if len(set(targets)) != len(targets):
        raise UsageError(
            f"Two tables would become the same table in schema {request.schema!r}.",
            remedy="Restore them one by one with --table into different schemas.",
        )
    if request.schema_from_backup and len({name.schema for name in names}) > 1:
        raise UsageError(
            f"--schema-from-backup makes the tables of one schema in {request.schema!r}, and these are of several.",
            remedy="Choose those of one schema (--table), and another --schema for each.",
        )
    return names


def _check_days(backup: BackupManifest, request: RestoreRequest) -> None:
    limit = backup.coverage.days
    if limit is None or request.days is None:
        return
    if request.days.first < limit.first or request.days.last > limit.last:
        raise UsageError(
            f"Backup {backup.id} covers only the days {limit}, and {request.days} was asked for.",
            meaning="Days outside of a backup's coverage are never touched.",
            remedy="Ask for days inside of it, or choose another backup.",
        )


def _target(name: TableName, request: RestoreRequest) -> TableName:
    return name if request.schema is None else TableName(request.schema, name.name)


def _existing(conn: Connection, targets: Sequence[TableName]) -> set[TableName]:
    """Which of the names are taken by a relation of any kind."""
    schemas = literal_list(sorted({target.schema for target in targets})) or "NULL"
    rows = run(
        conn,
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname IN ({schemas})",
    )
    return {TableName(str(schema), str(name)) for schema, name in rows} & set(targets)


def _checked_plan(
    conn: Connection,
    url: str,
    repository: Repository,
    backup: BackupManifest,
    name: TableName,
    request: RestoreRequest,
    *,
    existing: set[TableName],
    keyless: list[WrongKey],
) -> TablePlan:
    """The plan of one table in a transaction of its own.

    One that is damaged, locked by a key or cannot be looked at is refused alone; `keyless` collects the locked ones.
    """
    try:
        with database_errors("it cannot be read", url=url):
            conn.rollback()
            begin(conn, lock_timeout_ms=LOCK_TIMEOUT_MS)
            return _table_plan(conn, repository, backup, name, request, existing=existing)
    except (Damaged, Locked, SourceError, StorageError, WrongKey) as error:
        keyless += [error] if isinstance(error, WrongKey) else []
        plan = TablePlan(table=name, target=_target(name, request), action="refuse", rows=0, days=0)
        return refuse(plan, error.what)


def _table_plan(
    conn: Connection,
    repository: Repository,
    backup: BackupManifest,
    name: TableName,
    request: RestoreRequest,
    *,
    existing: set[TableName],
) -> TablePlan:
    stored = open_table(repository, backup, name, without=request.without_scopes)
    days = request.days or backup.coverage.days
    parts = stored.parts(days)
    plan = TablePlan(
        table=name,
        target=_target(name, request),
        action="create",
        rows=sum(part.rows for part in parts),
        days=len({part.day for part in parts}),
    )
    if locked := stored.locked(days):
        raise wrong_key(f"{name} cannot be restored", locked)
    if days is not None and stored.whole.day is None:
        return refuse(plan, "it has no day column, so it cannot be restored by days")
    if request.schema_from_backup and _is_schema(conn, plan.target.schema):
        return refuse(plan, f"schema {plan.target.schema} exists; choose a new one, so that definitions do not mix")
    if plan.target in existing and request.resume:
        return _compared(conn, plan)
    if plan.target in existing and not request.in_place:
        return refuse(
            plan,
            "it exists; go on with an interrupted restore (--resume), "
            "or restore in place (--in-place) or into a scratch schema (--schema)",
        )
    if plan.target not in existing and request.in_place and not request.create_missing:
        return refuse(plan, "it does not exist; leave out --in-place to create it")
    return msgspec.structs.replace(plan, action="in-place") if plan.target in existing else plan


def _is_schema(conn: Connection, name: str) -> bool:
    return bool(run(conn, f"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname IN ({literal_list([name])})"))


def _compared(conn: Connection, plan: TablePlan) -> TablePlan:
    target = literal_list([qualified(plan.target)])
    [(kind,)] = run(conn, f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = {target}::pg_catalog.regclass")
    if kind not in ("r", "p"):
        return refuse(plan, "something that is not a table has its name")
    return msgspec.structs.replace(plan, action="compare")


def _left_out(repository: Repository, backup: BackupManifest, request: RestoreRequest) -> list[str]:
    """What `without_scopes` leaves out, by table; raises UsageError for a scope that no column is in."""
    found = {
        (column.scope, f"{name}.{column.name}")
        for name in _tables(backup, request)
        for column in open_table(repository, backup, name).manifest.columns
        if column.scope in request.without_scopes
    }
    empty = set(request.without_scopes) - {scope for scope, _ in found}
    if empty:
        raise UsageError(
            f"No column that would be restored is in scope {', '.join(sorted(empty))}.",
            remedy="moi-backup show BACKUP --tables names the scope of every column.",
        )
    return [f"Left out with scope {scope}: {column}." for scope, column in sorted(found)]


def _notes(backup: BackupManifest, request: RestoreRequest) -> tuple[str, ...]:
    notes = [f"Not in this backup, because nothing protects it: {name}." for name in backup.unprotected]
    if not backup.coverage.complete:
        notes.append(f"Backup {backup.id} is limited: only what it covers is restored, and nothing else is touched.")
    if request.schema_from_backup:
        notes.append(
            f"Tables in schema {request.schema} have the backup's definitions; their sequences begin anew there."
        )
    elif request.schema is not None:
        notes.append(
            "Tables in a scratch schema have the backup's columns and rows, without keys, indexes and triggers."
        )
    return tuple(notes)
