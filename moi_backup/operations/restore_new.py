"""Tables that do not exist yet, and in a resumed restore those that are there already.

The order: what several tables need (types, functions), then every table in a transaction of its own, the most critical
and largest first and some side by side, then what connects tables (foreign keys), then statistics. Killed at any
moment, every table is whole or absent, and a resumed restore does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec

from moi_backup.errors import SourceError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import RestoreRequest, TableOutcome
from moi_backup.model.table import Column, TableName
from moi_backup.operations.damaged_days import mend
from moi_backup.operations.in_dependency_order import in_dependency_order
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.moved_definitions import moved_definitions
from moi_backup.operations.new_table import Definition, NewTable, TableRestorer, begin, outcome_of, savepoint
from moi_backup.operations.present_tables import Present, read_present
from moi_backup.operations.progress import Progress
from moi_backup.operations.side_by_side import OneAtATime, Stopping
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.identifiers import qualified, quote_identifier, quote_literal
from moi_backup.postgres.schema_archive import Entry, read_archive
from moi_backup.postgres.schema_restore import SchemaPlan, plan_schema
from moi_backup.repository.repository import Repository

EXISTS = ("42710", "42P07", "42723", "42P06", "42P16")  # duplicate object, table, function, schema; and its like
CLASSES = ("critical", "historical", "reports")

_ROLES = "SELECT rolname::text FROM pg_catalog.pg_roles"
_TABLES = """SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"""

_COLUMNS = """SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod), attnotnull, attgenerated::text
              FROM pg_catalog.pg_attribute WHERE attrelid = {table}::pg_catalog.regclass AND attnum > 0
              AND NOT attisdropped ORDER BY attnum"""


@dataclass
class Created:
    """What became of the tables, and of the definitions that belong to several of them."""

    outcomes: list[TableOutcome] = field(default_factory=list[TableOutcome])
    problems: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Steps:
    """What is done in which order: `definitions` of the tables that can exist, and the statements around them."""

    shared: tuple[str, ...]
    definitions: dict[TableName, Definition]
    final: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    impossible: tuple[TableOutcome, ...] = ()


def create_tables(
    url: str,
    tables: Sequence[NewTable],
    repository: Repository,
    backup: BackupManifest,
    *,
    others: Callable[[], Iterable[BackupManifest]],
    request: RestoreRequest,
    restore: str,
    progress: Progress,
) -> Created:
    """Create, load and prove the tables; raises only when nothing at all could be done.

    `others` gives the manifests of all listed backups, asked for when days of this one are damaged; `restore` is the
    id of the restore.
    """
    stopping = Stopping(OneAtATime(progress) if request.jobs > 1 else progress)
    with ArrowSession(url) as session:
        version = begin(session)
        if request.schema is None:
            steps = _archive_steps(url, session, tables, repository, backup, server_major=version // 10000)
        elif request.schema_from_backup:
            archive = _archive(repository, backup, server_major=version // 10000)
            steps = _moved_steps(url, session, tables, archive, backup, into=request.schema, restore=restore)
        else:
            steps = _scratch_steps(session, request.schema, tables)
        _share(session, steps.shared, progress)
        session.script("COMMIT")
        created = Created(list(steps.impossible), list(steps.omitted))
        mending = partial(
            mend,
            backup=backup,
            others=others,
            days=request.days,
            policy=request.damaged,
            without=request.without_scopes,
        )
        restorer = TableRestorer(url, backup, request, stopping, mending)
        _restore_all(restorer, tables, steps, created, stop=stopping.stop)
        if request.schema is None:
            _forward(session, backup, created)
        created.problems += _connect(session, steps.final)
        _analyze(session, created)
    return created


def _restore_all(
    restorer: TableRestorer, tables: Sequence[NewTable], steps: _Steps, created: Created, *, stop: Callable[[], None]
) -> None:
    """Every table that can exist: the most critical and largest first, each after those it needs."""
    by_name = {table.plan.table: table for table in tables if table.plan.table in steps.definitions}
    results = in_dependency_order(
        lambda name: restorer.restore(by_name[name], steps.definitions[name]),
        sorted(by_name, key=lambda name: _urgency(by_name[name])),
        needs={name: steps.definitions[name].after for name in by_name},
        threads=restorer.request.jobs,
        stop=stop,
    )
    for result in results:
        created.outcomes.append(result.outcome)
        created.problems += result.problems


def _urgency(table: NewTable) -> tuple[int, int]:
    data_class = table.stored.manifest.data_class
    return (CLASSES.index(data_class) if data_class in CLASSES else len(CLASSES), -table.plan.rows)


def _archive_steps(
    url: str,
    session: ArrowSession,
    tables: Sequence[NewTable],
    repository: Repository,
    backup: BackupManifest,
    *,
    server_major: int,
) -> _Steps:
    """From the definitions of the backup, for the tables that can exist without others."""
    roles = [name for (name,) in session.rows(_ROLES)]
    entries = _archive(repository, backup, server_major=server_major)
    compared = [table.plan.table for table in tables if table.plan.action == "compare"]
    present = Present({}, frozenset())
    if compared:
        present = read_present(url, entries, compared, roles=roles, server_major=server_major)
    existing = [TableName(*name) for name in session.rows(_TABLES)]
    plan, impossible = _possible(entries, tables, partial(plan_schema, entries, roles=roles, existing=existing))
    stored = {table.plan.table: table.stored for table in tables}
    return _Steps(
        shared=plan.shared,
        definitions={
            one.table: Definition(
                one.create_sql,
                one.finish_sql,
                stored[one.table].manifest.restorable,
                one.after,
                present.differs.get(one.table, ""),
            )
            for one in plan.tables
        },
        final=tuple(text for text in plan.final if text not in present.final),
        omitted=tuple(f"Left out: {omitted.what}, because {omitted.why}." for omitted in plan.omitted),
        impossible=tuple(impossible),
    )


def _archive(repository: Repository, backup: BackupManifest, *, server_major: int) -> tuple[Entry, ...]:
    with repository.open_file(backup.schema.digest, size=backup.schema.size) as archive:
        return read_archive(archive, server_major=server_major)


def _moved_steps(
    url: str,
    session: ArrowSession,
    tables: Sequence[NewTable],
    entries: Sequence[Entry],
    backup: BackupManifest,
    *,
    into: str,
    restore: str,
) -> _Steps:
    """From the definitions of the backup, in another schema: nothing in them speaks of the live one any more."""
    roles = [name for (name,) in session.rows(_ROLES)]
    first, impossible = _possible(entries, tables, partial(plan_schema, entries, roles=roles))
    by_target = {TableName(into, one.table.name): one.table for one in first.tables}
    if not by_target:
        return _Steps(shared=(), definitions={}, impossible=tuple(impossible))
    [schema] = {table.schema for table in by_target.values()}
    moved = moved_definitions(url, first, backup, schema=schema, into=into, restore=restore)
    plan = plan_schema(moved.entries, by_target, roles=roles)
    stored = {table.plan.table: table.stored.manifest.restorable for table in tables}
    return _Steps(
        shared=plan.shared,
        definitions={
            by_target[one.table]: Definition(
                one.create_sql,
                one.finish_sql,
                _typed(stored[by_target[one.table]], moved.types[one.table]),
                frozenset(by_target[table] for table in one.after),
            )
            for one in plan.tables
        },
        final=plan.final,
        omitted=tuple(f"Left out: {one.what}, because {one.why}." for one in (*first.omitted, *plan.omitted)),
        impossible=tuple(impossible),
    )


def _typed(columns: Sequence[Column], types: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns with the types that they have in the other schema."""
    return tuple(msgspec.structs.replace(column, pg_type=types[column.name]) for column in columns)


def _possible(
    entries: Sequence[Entry], tables: Sequence[NewTable], plan: Callable[[list[TableName]], SchemaPlan]
) -> tuple[SchemaPlan, list[TableOutcome]]:
    """The plan of the tables that can exist without others, and the outcome of those that cannot."""
    with suppress(SourceError):
        return plan([table.plan.table for table in tables]), []
    rank = {TableName(entry.schema, entry.name): place for place, entry in enumerate(entries) if entry.kind == "TABLE"}
    possible: list[TableName] = []
    impossible: list[TableOutcome] = []
    for table in sorted(tables, key=lambda table: rank.get(table.plan.table, 0)):
        try:
            plan([*possible, table.plan.table])
            possible.append(table.plan.table)
        except SourceError as error:
            impossible.append(outcome_of(table.plan, status="failed", error=str(error)))
    return plan(possible), impossible


def _scratch_steps(session: ArrowSession, schema: str, tables: Sequence[NewTable]) -> _Steps:
    """The backup's columns, generated ones as plain ones, without keys."""
    return _Steps(
        shared=(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}",),
        definitions={table.plan.table: _scratch_definition(session, table) for table in tables},
    )


def _scratch_definition(session: ArrowSession, table: NewTable) -> Definition:
    columns = tuple(msgspec.structs.replace(column, generated="") for column in table.stored.manifest.columns)
    fields = ", ".join(
        f"{quote_identifier(column.name)} {column.pg_type}{' NOT NULL' if column.not_null else ''}"
        for column in columns
    )
    differs = _other_columns(session, table, columns) if table.plan.action == "compare" else ""
    return Definition(f"CREATE TABLE {qualified(table.plan.target)} ({fields})", "", columns, differs=differs)


def _other_columns(session: ArrowSession, table: NewTable, columns: Sequence[Column]) -> str:
    """In what the columns of a scratch table that is there are not the backup's; "" for nothing."""
    there = session.rows(_COLUMNS.format(table=quote_literal(qualified(table.plan.target))))
    wanted = [(column.name, column.pg_type, column.not_null, "") for column in columns]
    other = sorted({str(column[0]) for column in {*there} ^ {*wanted}})
    return f"it differs in {', '.join(other)}" if other else ""


def _share(session: ArrowSession, definitions: Sequence[str], progress: Progress) -> None:
    """What several tables need (types, functions, sequences); one that exists already is used as it is."""
    for definition in definitions:
        try:
            with savepoint(session, "moi_shared"):
                session.script(definition)
        except Refused as error:
            if error.sqlstate not in EXISTS:
                raise
            progress.step(f"Used as it is, because it exists: {definition.splitlines()[0]}")


def _forward(session: ArrowSession, backup: BackupManifest, created: Created) -> None:
    """Once more, one after the other: of two tables side by side that share a sequence one could set it back."""
    for outcome in created.outcomes:
        problems = move_sequences(session, backup, outcome.table) if outcome.done else []
        created.problems += [problem for problem in problems if problem not in created.problems]


def _connect(session: ArrowSession, definitions: Sequence[str]) -> list[str]:
    """What connects tables (foreign keys), each committed by itself; what fails is a problem, the rows stay."""
    problems: list[str] = []
    for definition in definitions:
        begin(session)
        try:
            session.script(definition)
            session.script("COMMIT")
        except Refused as error:
            session.script("ROLLBACK")
            problems.append(f"Could not be restored: {definition.splitlines()[0]} … ({error.what})")
    return problems


def _analyze(session: ArrowSession, created: Created) -> None:
    """Statistics for the planner; the rows are committed, so what fails now can only be told."""
    session.script("SET statement_timeout = 0")
    for outcome in created.outcomes:
        try:
            if outcome.done:
                session.script(f"ANALYZE {qualified(outcome.target)}")
        except Refused as error:
            created.problems.append(f"{outcome.target} could not be analyzed: {error.what}")
