"""SQL over the tables of a backup, by DuckDB. A query reaches them and nothing else: no file, no network.

Chunks are hash-checked before the query runs and come to DuckDB as Arrow, so its own access to files stays off. Its
in-memory database allows files named `:memory:` beside it, hence only SELECT statements are let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from moi_backup.errors import UsageError
from moi_backup.lake.arrow_types import schema_of
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import TableName
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup

MEMORY = "1GB"
BATCH_ROWS = 2048
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
    workspace: Workspace, backup: str, sql: str, *, progress: Progress | None = None
) -> Generator[QueryResult, None, None]:
    """Run one SELECT over the tables of a backup: views `schema.table`, and `table` where only one has that name.

    Raises UsageError for what DuckDB refuses, Damaged when a chunk of a table it names is not as written. The rows
    are valid inside the context.
    """
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    repository = reading.repository
    manifest = resolve_backup(repository, reading.chain, backup)
    with ExitStack() as opened:
        connection = opened.enter_context(_sandbox())
        statement = _single_select(connection, sql)
        for name in _named(manifest, statement):
            dataset = _dataset(open_table(repository, manifest, name), opened, progress or Silent())
            _define(connection, name, dataset, alone=_is_alone(manifest, name))
        connection.execute("SET lock_configuration = true")
        yield _run(connection, manifest.id, statement)


def _sandbox() -> Any:
    """An in-memory database that reaches no file; memory is bounded, and nothing is spilled to disk."""
    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": MEMORY,
            "temp_directory": "",
        },
    )


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


def _dataset(stored: StoredTable, opened: ExitStack, progress: Progress) -> Any:
    """The chunk files of a table, each checked by its hash, in canonical columns."""
    chunks = stored.chunks()
    table = stored.manifest.table
    progress.start(str(table), total=sum(chunk.size for chunk in chunks), unit="bytes")
    paths: list[str] = []
    for chunk in chunks:
        paths.append(str(opened.enter_context(stored.repository.open_chunk(table, chunk))))
        progress.advance(str(table), chunk.size)
    progress.finish(str(table), f"{len(chunks)} chunks checked")
    schema = _readable_schema(stored)
    if not paths:
        return cast("Any", schema.empty_table())
    return cast("Any", ds).dataset(paths, schema=schema, format="parquet")


def _readable_schema(stored: StoredTable) -> pa.Schema:
    """The canonical schema, a uuid as such."""
    schema: Any = schema_of(stored.manifest.columns)
    for index, column in enumerate(stored.manifest.columns):
        if column.pg_type == "uuid" and column.encoding == "native":
            schema = schema.set(index, pa.field(column.name, cast("Any", pa.uuid())))
    return schema


def _define(connection: Any, name: TableName, dataset: Any, *, alone: bool) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(name.schema)}")
    connection.execute(f"USE {_quoted(name.schema)}")
    connection.from_arrow(dataset).create_view(name.name)
    connection.execute("USE main")
    if alone and name.schema.casefold() != "main":
        whole = f"{_quoted(name.schema)}.{_quoted(name.name)}"
        connection.execute(f"CREATE VIEW {_quoted(name.name)} AS FROM {whole}")


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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refused(error: duckdb.Error) -> UsageError:
    return UsageError(
        f"DuckDB refused the query: {str(error).strip()}",
        remedy="Tables are named as in the backup (moi-backup show BACKUP); a name with capitals or spaces is quoted.",
    )
