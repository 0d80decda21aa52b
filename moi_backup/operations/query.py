"""SQL over the tables of a backup, by DuckDB. A query reaches them and nothing else: no file, no network.

Chunks are hash-checked before the query runs and come to DuckDB as Arrow, so its own access to files stays off. Its
in-memory database allows files named `:memory:` beside it, hence only SELECT statements are let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from moi_backup.errors import UsageError, WrongKey
from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.parquet import read_rows, with_uuids
from moi_backup.lake.sandbox import open_sandbox, quoted
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Column, TableName
from moi_backup.operations.locked_columns import LockedColumns
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup
from moi_backup.repository.open_ahead import open_ahead

BATCH_ROWS = 2048
_LOCKED = "moi-backup locked column "
_AS_THEY_ARE = frozenset(
    {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
    | {"UHUGEINT", "FLOAT", "DOUBLE", "VARCHAR"}
)
Row = tuple[str | int | float | bool | None, ...]


class QueryResult:
    """The rows of a query, streamed. Numbers and truth values are themselves, every other type is its text.

    `columns` are distinct (a repeated name gets `_2`), `types` are DuckDB's.
    """

    def __init__(self, backup: str, columns: Sequence[str], types: Sequence[str], rows: Iterator[Row]) -> None:
        self.backup, self.columns, self.types, self.rows = backup, tuple(columns), tuple(types), rows


@contextmanager
def query(
    workspace: Workspace,
    backup: str,
    sql: str,
    *,
    without_scopes: Collection[str] = (),
    progress: Progress | None = None,
) -> Generator[QueryResult, None, None]:
    """Run one SELECT over the tables of a backup: views `schema.table`, and `table` where only one has that name.

    Raises UsageError for what DuckDB refuses, Damaged when a chunk of a table it names is not as written, WrongKey when
    it reads a column whose scope is neither open nor among `without_scopes`. The rows are valid inside the context.
    """
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    repository = reading.repository
    manifest = resolve_backup(repository, reading.chain, backup)
    with ExitStack() as opened:
        connection = opened.enter_context(open_sandbox())
        statement = _single_select(connection, sql)
        for name in _named(manifest, statement):
            stored = open_table(repository, manifest, name, without=without_scopes)
            _define(connection, stored, opened, progress or Silent(), alone=_is_alone(manifest, name))
        connection.execute("SET lock_configuration = true")
        yield _run(connection, manifest.id, statement)


def _single_select(connection: Any, sql: str) -> str:
    """The one SELECT in a text, without what ends it; raises UsageError for anything else."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(error) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError(
            "A query is one SELECT statement.",
            meaning="A backup cannot be changed, and nothing else is reached from here.",
            remedy="Put one SELECT (WITH, VALUES, DESCRIBE, SHOW TABLES) into quotes.",
        )
    return _without_end(str(statements[0].query))


def _without_end(statement: str) -> str:
    """The statement without the semicolon that ends it and what comes after (a comment): it becomes a subquery."""
    text = statement.encode()
    for start, kind in reversed(duckdb.tokenize(statement)):
        if kind == duckdb.token_type.operator and text[start : start + 1] == b";":
            return text[:start].decode()
        if kind != duckdb.token_type.comment:
            break
    return statement


def _named(manifest: BackupManifest, statement: str) -> list[TableName]:
    """The tables whose name occurs in the statement: those it can mean; the others need not be read.

    A statement about the catalog itself (SHOW TABLES, information_schema) gets all of them.
    """
    text = statement.casefold()
    everything = "information_schema" in text or "duckdb_" in text or text.lstrip().startswith("show")
    names = [entry.table for entry in manifest.tables]
    return [name for name in names if everything or name.name.replace('"', '""').casefold() in text]


def _is_alone(manifest: BackupManifest, name: TableName) -> bool:
    """Whether no other table has the same name without its schema (SQL ignores case)."""
    folded = Counter(entry.table.name.casefold() for entry in manifest.tables)
    return folded[name.name.casefold()] == 1


def _define(connection: Any, stored: StoredTable, opened: ExitStack, progress: Progress, *, alone: bool) -> None:
    """The view of a table. A column that is not open is there and fails when it is read."""
    name = stored.manifest.table
    locked = stored.locked()
    source = connection.from_arrow(_source(stored, _checked_files(stored, opened, progress), locked))
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.schema)}")
    connection.execute(f"USE {quoted(name.schema)}")
    picked = ", ".join(_picked(column, locked) for column in stored.manifest.columns)
    (source.project(picked) if locked else source).create_view(name.name)
    connection.execute("USE main")
    if alone and name.schema.casefold() != "main":
        whole = f"{quoted(name.schema)}.{quoted(name.name)}"
        connection.execute(f"CREATE VIEW {quoted(name.name)} AS FROM {whole}")


def _checked_files(stored: StoredTable, opened: ExitStack, progress: Progress) -> list[Path]:
    """The chunk files of a table, each checked by its hash."""
    chunks, table = stored.chunks(), stored.manifest.table
    progress.start(str(table), total=sum(chunk.size for chunk in chunks), unit="bytes")
    paths: list[Path] = []
    for chunk, path, held in open_ahead(stored.repository, table, chunks):
        opened.enter_context(held)
        paths.append(path)
        progress.advance(str(table), chunk.size)
    progress.finish(str(table), f"{len(chunks)} chunks checked")
    return paths


def _source(stored: StoredTable, paths: Sequence[Path], locked: Sequence[LockedColumns]) -> Any:
    """The rows of chunk files in the columns that are open, in a form that DuckDB can scan."""
    ring = stored.repository.ring
    closed = {found.scope for found in locked}
    columns = tuple(column for column in stored.manifest.columns if column.scope not in closed)
    schema = with_uuids(schema_of(columns).empty_table(), columns).schema
    if not paths:
        return schema.empty_table()
    if not ring.encrypted:
        return cast("Any", ds).dataset([str(path) for path in paths], schema=schema, format="parquet")
    return _Decrypted(stored, paths, columns, schema)


class _Decrypted:
    """Encrypted chunk files as an Arrow stream, begun anew for every scan.

    A dataset would decrypt in threads of its own, which call back into Python: DuckDB hangs in a query that fails while
    they run (seen with 2.0).
    """

    def __init__(
        self, stored: StoredTable, paths: Sequence[Path], columns: tuple[Column, ...], schema: pa.Schema
    ) -> None:
        self._stored, self._paths, self._columns, self._schema = stored, paths, columns, schema

    def __arrow_c_schema__(self) -> object:
        return cast("Any", self._schema).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader: Any = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            ring = self._stored.repository.ring
            for rows in read_rows(path, self._stored.manifest, columns=self._columns, ring=ring):
                yield from with_uuids(rows, self._columns).to_batches()


def _picked(column: Column, locked: Sequence[LockedColumns]) -> str:
    why = next((str(found) for found in locked if found.scope == column.scope), None)
    if why is None:
        return quoted(column.name)
    message = f"{_LOCKED}{column.name}: {why}".replace("'", "''")
    return f"CAST(error('{message}') AS VARCHAR) AS {quoted(column.name)}"


def _run(connection: Any, backup: str, statement: str) -> QueryResult:
    try:
        relation = connection.sql(statement)
        types = [str(kind) for kind in relation.types]
        picked = ", ".join(
            f"#{number}" if kind in _AS_THEY_ARE else f"CAST(#{number} AS VARCHAR)"
            for number, kind in enumerate(types, start=1)
        )
        connection.execute(f"SELECT {picked} FROM ({statement}\n) AS result")
    except duckdb.Error as error:
        raise _refused(error) from error
    return QueryResult(backup, _distinct(relation.columns), types, _rows(connection))


def _rows(connection: Any) -> Iterator[Row]:
    while True:
        try:
            rows = connection.fetchmany(BATCH_ROWS)
        except duckdb.Error as error:
            raise _refused(error) from error
        if not rows:
            return
        yield from rows


def _distinct(columns: Sequence[str]) -> list[str]:
    """Names made distinct, for documents whose fields they become."""
    found: list[str] = []
    for name in columns:
        number, chosen = 1, name
        while chosen in found:
            number += 1
            chosen = f"{name}_{number}"
        found.append(chosen)
    return found


def _refused(error: duckdb.Error) -> UsageError | WrongKey:
    if _LOCKED in str(error):
        return WrongKey(
            f"The query reads column {str(error).partition(_LOCKED)[2].strip()}.",
            meaning="What this scope holds can be read by the holders of its key alone.",
            remedy="Name the columns you need, give the key (MOI_KEY_<n>), or leave the scope out: --without-scope.",
        )
    return UsageError(
        f"DuckDB refused the query: {str(error).strip()}",
        remedy="Tables are named as in the backup (moi-backup show BACKUP); a name with capitals or spaces is quoted.",
    )
