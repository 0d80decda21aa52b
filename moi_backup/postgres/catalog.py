"""What the catalog says of the tables to protect: columns, keys, leaves, sequences, and what is not covered.

All functions read in the caller's transaction, which has the session settings (an empty search path above all).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from moi_backup.errors import ConfigurationError
from moi_backup.model.table import Column, Generated, Identity, TableName
from moi_backup.postgres.identifiers import literal_list, quote_literal
from moi_backup.postgres.session import Connection, run
from moi_backup.postgres.types import classify, key_cost

_GENERATED: Final[dict[str, Generated]] = {"": "", "s": "stored", "v": "virtual"}
_IDENTITY: Final[dict[str, Identity]] = {"": "", "a": "always", "d": "by default"}
_PARTITIONED: Final = "p"
_NOT_COVERED: Final = {
    "v": "a view holds no rows of its own",
    "m": "a materialized view is computed from other tables",
    "f": "a foreign table's rows are in another database",
    "t": "a temporary table ends with its session",
}


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique constraint or index over whole columns, not partial and not deferrable."""

    columns: tuple[str, ...]
    primary: bool
    constraint: bool
    not_null: bool


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation that holds rows of the table: the table itself, or the partitions below it."""

    oid: int
    filenode: int


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """One table as it stands. `only` asks for `FROM ONLY` (a table others inherit from).

    `order_by` is the row order of digests, `key` the default merge key, `triggers` the names of enabled user triggers.
    """

    name: TableName
    oid: int
    partitioned: bool
    only: bool
    columns: tuple[Column, ...]
    unique_keys: tuple[UniqueKey, ...]
    order_by: tuple[str, ...]
    key: tuple[str, ...] | None
    row_security: bool
    triggers: tuple[str, ...]
    leaves: tuple[Leaf, ...]

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A relation of the schema that is not backed up, and why."""

    name: TableName
    reason: str


def list_tables(conn: Connection, *, schema: str) -> tuple[TableName, ...]:
    """All tables of the schema that can be protected, by name: ordinary (unlogged too) and partitioned ones.

    Partitions are part of their table, tables of extensions are left out.
    """
    rows = run(conn, f'SELECT relname {_TABLES} AND n.nspname = {quote_literal(schema)} ORDER BY relname COLLATE "C"')
    return tuple(TableName(schema, str(name)) for (name,) in rows)


def read_tables(conn: Connection, names: Sequence[TableName] | None, *, schema: str) -> tuple[CatalogTable, ...]:
    """The named tables in the order given, or all of `list_tables`; ConfigurationError names what is no such table."""
    wanted = list_tables(conn, schema=schema) if names is None else tuple(names)
    found = {table.name: table for table in _read(conn, wanted)} if wanted else {}
    missing = [name for name in wanted if name not in found]
    if missing:
        reasons = {entry.name: entry.reason for entry in _uncovered(conn, {name.schema for name in missing})}
        told = "; ".join(f"{name} ({reasons.get(name, 'there is no such table')})" for name in missing)
        raise ConfigurationError(
            f"Not a table that can be backed up: {told}.",
            meaning="Nothing was written.",
            remedy="Correct the names in moi.toml or on the command line; a partition goes by its table's name.",
        )
    return tuple(found[name] for name in wanted)


def total_size(conn: Connection, tables: Iterable[CatalogTable]) -> int:
    """Bytes of the tables with their partitions, indexes and TOAST; waits for whoever locks one exclusively."""
    oids = ", ".join(str(leaf.oid) for table in tables for leaf in table.leaves)
    if not oids:
        return 0
    sql = f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::int8 FROM pg_class WHERE oid IN ({oids})"
    return int(str(run(conn, sql)[0][0]))


def read_not_covered(conn: Connection, *, schema: str) -> tuple[NotCovered, ...]:
    """Relations of the schema that look like tables and are not backed up: views, foreign and temporary tables."""
    return tuple(entry for entry in _uncovered(conn, {schema}) if entry.reason != _PARTITION_REASON)


def choose_order(columns: Sequence[Column], keys: Iterable[UniqueKey], *, enums: frozenset[str]) -> tuple[str, ...]:
    """The cheapest unique NOT NULL key whose equality is equality of bytes, else all columns that are not generated.

    `enums` are the names of the columns whose type is an enum. Ties: the primary key, fewer columns, names.
    """
    types = {column.name: column for column in columns}
    choices: list[tuple[int, bool, int, tuple[str, ...]]] = []
    for key in keys:
        costs = [key_cost(types[name].pg_type, enum=name in enums) for name in key.columns]
        known = [cost for cost in costs if cost is not None]
        if key.not_null and len(known) == len(costs) and not any(types[name].generated for name in key.columns):
            choices.append((max(known), not key.primary, len(known), key.columns))
    return min(choices)[-1] if choices else tuple(column.name for column in columns if not column.generated)


def choose_merge_key(columns: Sequence[Column], keys: Sequence[UniqueKey]) -> tuple[str, ...] | None:
    """The primary key, else the first unique constraint by its columns; None when there is neither."""
    generated = {column.name for column in columns if column.generated}
    usable = [key for key in keys if key.constraint and not generated.intersection(key.columns)]
    return min(usable, key=lambda key: (not key.primary, key.columns)).columns if usable else None


_TABLES: Final = """
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""
_PARTITION_REASON: Final = "a partition belongs to its partitioned table"
_OTHERS: Final = """
SELECT n.nspname, c.relname, CASE WHEN c.relpersistence = 't' THEN 't' WHEN c.relispartition THEN 'partition'
                                  ELSE c.relkind::text END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('v', 'm', 'f') OR c.relkind IN ('r', 'p') AND (c.relispartition OR c.relpersistence = 't'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND n.nspname IN ({schemas}) ORDER BY c.relname COLLATE "C"
"""
_FACTS: Final = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relrowsecurity,
  (SELECT coalesce(json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_catalog.pg_trigger t
   WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D') AS triggers,
  EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AND c.relkind = 'r' AS only,
  (SELECT json_agg(json_build_object('oid', l.oid::int8, 'filenode', l.relfilenode::int8) ORDER BY l.oid)
   FROM (SELECT c.oid AS relid WHERE c.relkind = 'r' UNION
         SELECT relid FROM pg_catalog.pg_partition_tree(c.oid) WHERE c.relkind = 'p' AND isleaf) p
   JOIN pg_catalog.pg_class l ON l.oid = p.relid) AS leaves,
  (SELECT coalesce(json_agg(json_build_object(
       'name', a.attname, 'pg_type', pg_catalog.format_type(a.atttypid, a.atttypmod),
       'not_null', a.attnotnull AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid
         AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum]),
       'generated', a.attgenerated, 'identity', a.attidentity, 'enum', t.typtype = 'e') ORDER BY a.attnum), '[]')
   FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT coalesce(json_agg(json_build_object(
       'primary', i.indisprimary, 'constraint', k.oid IS NOT NULL,
       'columns', (SELECT json_agg(a.attname ORDER BY u.ordinal)
                   FROM unnest(i.indkey) WITH ORDINALITY AS u(attnum, ordinal)
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
                   WHERE u.ordinal <= i.indnkeyatts)) ORDER BY i.indexrelid), '[]')
   FROM pg_catalog.pg_index i
   LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u') AND k.conrelid = c.oid
   WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
     AND i.indexprs IS NULL AND NOT i.indisexclusion) AS keys
"""


def _read(conn: Connection, names: Sequence[TableName]) -> list[CatalogTable]:
    pairs = ", ".join(f"({quote_literal(name.schema)}, {quote_literal(name.name)})" for name in names)
    rows = run(conn, f"{_FACTS} {_TABLES} AND (n.nspname, c.relname) IN ({pairs})")
    return [_table(cast("tuple[Any, ...]", row)) for row in rows]


def _table(row: tuple[Any, ...]) -> CatalogTable:
    oid, schema, name, kind, row_security, triggers, only, leaves, facts, key_facts = row
    columns = tuple(_column(fact) for fact in facts)
    keys = _unique_keys(key_facts, columns)
    enums = frozenset(fact["name"] for fact in facts if fact["enum"])
    return CatalogTable(
        name=TableName(schema, name),
        oid=oid,
        partitioned=kind == _PARTITIONED,
        only=only,
        columns=columns,
        unique_keys=keys,
        order_by=choose_order(columns, keys, enums=enums),
        key=choose_merge_key(columns, keys),
        row_security=row_security,
        triggers=tuple(triggers),
        leaves=tuple(Leaf(**leaf) for leaf in leaves or ()),
    )


def _column(fact: dict[str, Any]) -> Column:
    encoding, arrow = classify(fact["pg_type"])
    return Column(
        name=fact["name"],
        pg_type=fact["pg_type"],
        encoding=encoding,
        arrow=arrow,
        not_null=fact["not_null"],
        generated=_GENERATED[fact["generated"]],
        identity=_IDENTITY[fact["identity"]],
    )


def _unique_keys(facts: Iterable[dict[str, Any]], columns: Sequence[Column]) -> tuple[UniqueKey, ...]:
    not_null = {column.name for column in columns if column.not_null}
    keys = [
        UniqueKey(
            columns=tuple(fact["columns"]),
            primary=fact["primary"],
            constraint=fact["constraint"],
            not_null=not_null.issuperset(fact["columns"]),
        )
        for fact in facts
    ]
    return tuple(sorted(keys, key=lambda key: (not key.primary, key.columns)))


def _uncovered(conn: Connection, schemas: Iterable[str]) -> list[NotCovered]:
    rows = run(conn, _OTHERS.format(schemas=literal_list(sorted(schemas))))
    reasons = {**_NOT_COVERED, "partition": _PARTITION_REASON}
    return [NotCovered(TableName(str(schema), str(name)), reasons[str(kind)]) for schema, name, kind in rows]
