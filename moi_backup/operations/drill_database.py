"""What a drill asks of its database once everything is committed: tables, foreign keys and sequences, read anew.

Everything is read in one transaction of a session of its own, so nothing of the restoring session is taken on trust.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from moi_backup.model.table import TableName
from moi_backup.postgres.identifiers import literal_list, qualified, quote_identifier, quote_literal
from moi_backup.postgres.session import Connection, begin, connect, run

_LOCK_TIMEOUT_MS = 10_000


class KeyPair(msgspec.Struct, frozen=True):
    """A column of the child, the one of the parent it equals, and the operator that says so."""

    child: str
    parent: str
    operator: str


class ForeignKey(NamedTuple):
    """A foreign key as it stands in the database. `name` is table and constraint, as an archive's entry has it."""

    child: TableName
    parent: TableName
    name: str
    validated: bool
    keys: tuple[KeyPair, ...]


class SequenceState(NamedTuple):
    """Where a sequence stands. `increment` may be negative."""

    last_value: int
    is_called: bool
    increment: int
    cycles: bool

    @property
    def next_value(self) -> int:
        """What it hands out next."""
        return self.last_value + self.increment if self.is_called else self.last_value

    def is_behind(self, value: int, *, called: bool) -> bool:
        """Whether it stands before a position, in the direction in which it counts."""
        here, there = self.next_value, value + self.increment if called else value
        return here < there if self.increment > 0 else here > there


@contextmanager
def reading(url: str) -> Generator[Connection]:
    """A read-only, repeatable-read transaction."""
    with connect(url) as conn:
        begin(conn, lock_timeout_ms=_LOCK_TIMEOUT_MS)
        yield conn
        conn.rollback()


def relation(conn: Connection, table: TableName) -> str | None:
    """The table as a FROM clause has it: without the rows of tables that inherit from it, but with those of partitions.

    None when there is no such table.
    """
    kinds = run(conn, f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = {_regclass(table)}")
    return None if not kinds else qualified(table) if kinds == [("p",)] else f"ONLY {qualified(table)}"


def count_rows(conn: Connection, table: TableName) -> int | None:
    """The rows of a table by counting; None when there is no such table."""
    source = relation(conn, table)
    return None if source is None else _number(conn, f"SELECT count(*) FROM {source}")


def foreign_keys(conn: Connection, tables: Sequence[TableName]) -> list[ForeignKey]:
    """The foreign keys of the tables, those of partitions under their parent's."""
    rows = run(conn, _FOREIGN_KEYS.format(schemas=literal_list(sorted({table.schema for table in tables})) or "NULL"))
    found = [
        ForeignKey(
            child=TableName(str(schema), str(name)),
            parent=TableName(str(parent_schema), str(parent)),
            name=f"{name} {constraint}",
            validated=bool(validated),
            keys=msgspec.json.decode(str(keys), type=tuple[KeyPair, ...]),
        )
        for schema, name, parent_schema, parent, constraint, validated, keys in rows
    ]
    return [key for key in found if key.child in tables]


def count_orphans(conn: Connection, key: ForeignKey) -> int:
    """The rows of the child that name a parent which is not there."""
    names = [f"c.{quote_identifier(pair.child)}" for pair in key.keys]
    equal = " AND ".join(
        f"p.{quote_identifier(pair.parent)} OPERATOR({pair.operator}) {name}"
        for pair, name in zip(key.keys, names, strict=True)
    )
    given = " AND ".join(f"{name} IS NOT NULL" for name in names)
    return _number(
        conn,
        f"SELECT count(*) FROM {relation(conn, key.child)} AS c WHERE {given}"
        f" AND NOT EXISTS (SELECT FROM {relation(conn, key.parent)} AS p WHERE {equal})",
    )


def sequence_state(conn: Connection, sequence: TableName) -> SequenceState | None:
    """Where a sequence stands; None when there is none of this name."""
    facts = run(
        conn, f"SELECT seqincrement, seqcycle FROM pg_catalog.pg_sequence WHERE seqrelid = {_regclass(sequence)}"
    )
    if not facts:
        return None
    [(increment, cycles)] = facts
    [(last_value, is_called)] = run(conn, f"SELECT last_value, is_called FROM {qualified(sequence)}")
    return SequenceState(int(str(last_value)), bool(is_called), int(str(increment)), bool(cycles))


def furthest_value(conn: Connection, table: TableName, sequence: TableName, *, upwards: bool) -> int | None:
    """The largest (or smallest) value of the table's columns that the sequence numbers; None without any."""
    columns = run(conn, _NUMBERED.format(table=_regclass(table), sequence=_regclass(sequence)))
    pick = "max" if upwards else "min"
    source = relation(conn, table)
    found = [
        value
        for (column,) in columns
        for (value,) in run(conn, f"SELECT {pick}({quote_identifier(str(column))})::bigint FROM {source}")
        if value is not None
    ]
    numbers = [int(str(value)) for value in found]
    return None if not numbers else max(numbers) if upwards else min(numbers)


def _number(conn: Connection, sql: str) -> int:
    return int(str(run(conn, sql)[0][0]))


def _regclass(table: TableName) -> str:
    return f"pg_catalog.to_regclass({quote_literal(qualified(table))})"


_FOREIGN_KEYS = """
SELECT n.nspname::text, c.relname::text, fn.nspname::text, f.relname::text, k.conname::text, k.convalidated,
  (SELECT json_agg(json_build_object('child', ca.attname, 'parent', pa.attname,
     'operator', quote_ident(s.nspname) || '.' || o.oprname) ORDER BY u.n)::text
   FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY AS u(child, parent, operator, n)
   JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
   JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent
   JOIN pg_catalog.pg_operator o ON o.oid = u.operator JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname IN ({schemas}) ORDER BY 1, 2, 5"""

_NUMBERED = """
SELECT a.attname::text FROM pg_catalog.pg_attribute a
WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  AND (EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
               AND d.objid = {sequence} AND d.refclassid = 'pg_catalog.pg_class'::regclass
               AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))
    OR EXISTS (SELECT FROM pg_catalog.pg_attrdef b JOIN pg_catalog.pg_depend d
                 ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = b.oid
               WHERE b.adrelid = a.attrelid AND b.adnum = a.attnum
               AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {sequence}))"""
