"""What would make a restore in place fail or reach beyond its own rows, found before anything is written.

The checks run in the restoring session after the locks, once the changes are staged: `rows` executes one query there,
under the session settings (an empty search path above all). Each returns refusals by name; none means that the changes
touch their own rows only. What they do not look at (exclusion constraints, keys over generated columns or of one
partition) Postgres refuses itself, and the transaction is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from moi_backup.model.table import TableName
from moi_backup.postgres.identifiers import literal_list, qualified, quote_identifier, quote_literal
from moi_backup.postgres.staged_changes import StagedChanges

Rows = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to begin: the thing by name, and what would happen."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def check_unique_keys(rows: Rows, staged: StagedChanges) -> tuple[Refusal, ...]:
    """Keys of rows that come which a row that stays holds too, for each unique index (partial, over expressions)."""
    refusals: list[Refusal] = []
    for name, facts in rows(_unique_indexes_sql(staged)):
        [(count,)] = rows(held_sql(staged, **json.loads(facts)))
        if count:
            why = f"{count} rows of the backup have a key that rows which stay hold"
            refusals.append(Refusal(f"unique index {name}", why))
    return tuple(refusals)


def check_moved_keys(rows: Rows, staged: StagedChanges, *, key: Sequence[str], range_: str) -> tuple[Refusal, ...]:
    """Keys of rows that would be inserted which live rows outside of the chosen days hold: they were moved there.

    `range_` is the predicate of the chosen days over the table's columns. Such a row would be there twice, where no
    unique index stands against it.
    """
    picked = ", ".join(quote_identifier(name) for name in key)
    [(count,)] = rows(
        f"SELECT count(*) FROM (SELECT ROW({picked})::text AS k FROM {staged.come} WHERE {staged.place} IS NULL) AS s"
        f" WHERE k IN (SELECT ROW({picked})::text FROM {staged.source} WHERE ({range_}) IS NOT TRUE)"
    )
    why = f"{count} rows of the backup have a key that rows on other days hold by now; choose their days as well"
    return (Refusal(f"key ({', '.join(key)})", why),) if count else ()


def mark_moved(rows: Rows, run: Callable[[str], None], staged: StagedChanges) -> None:
    """Mark the updates that cannot be made as such: they are deleted and inserted anew.

    Their new unique key is the old one of another updated row (an update looks at each row by itself), or their
    identity column, which no UPDATE may set, becomes another.
    """
    for _, facts in rows(_unique_indexes_sql(staged)):
        run(staged.move_sql(swapped_sql(staged, **json.loads(facts))))
    for column in staged.written:
        if column.identity == "always":
            name = quote_identifier(column.name)
            run(
                staged.move_sql(
                    f"SELECT s.{staged.number} FROM {staged.come} AS s JOIN {staged.changing} AS o"
                    f" ON o.{staged.number} = s.{staged.number} AND o.{name} <> s.{name}"
                )
            )


def held_sql(staged: StagedChanges, *, keys: list[dict[str, str]], predicate: str | None, nulls_equal: bool) -> str:
    """The count of rows that come whose key a row that stays holds.

    Each key is its expression with the index's own equality operator and collation.
    """
    fields, condition = _key_fields(keys), f" WHERE {predicate}" if predicate else ""
    equal = _equal_keys(keys, nulls_equal=nulls_equal)
    return (
        f"SELECT count(*) FROM (SELECT {fields} FROM {staged.come}{condition}) AS s"
        f" JOIN (SELECT {fields} FROM {staged.staying} AS o{condition}) AS o ON {equal}"
    )


def swapped_sql(staged: StagedChanges, *, keys: list[dict[str, str]], predicate: str | None, nulls_equal: bool) -> str:
    """The numbers of rows that take the place of one live row and the key of another one that is changed as well."""
    number = staged.number
    fields, condition = f"{_key_fields(keys)}, {number} AS n", f" AND ({predicate})" if predicate else ""
    equal = _equal_keys(keys, nulls_equal=nulls_equal)
    return (
        f"SELECT s.n FROM (SELECT {fields} FROM {staged.come} WHERE {staged.place} IS NOT NULL{condition}) AS s"
        f" JOIN (SELECT {fields} FROM {staged.changing} AS o WHERE true{condition}) AS o ON {equal} AND s.n <> o.n"
    )


def equal_sql(left: str, right: str, key: dict[str, str]) -> str:
    """Equality of two expressions by the operator and collation of an index or a foreign key."""
    collation = f" COLLATE {key['collation']}" if key["collation"] else ""
    return f"{left} OPERATOR({key['operator']}) {right}{collation}"


def definition_of(rows: Rows, table: TableName) -> list[list[str]]:
    """What the table is now, to be compared with what it is later: columns, constraints, indexes, triggers, rules."""
    oid = regclass(table)
    triggers = "tgenabled::text || pg_catalog.pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"
    queries = (
        f"pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE {oid} IN (conrelid, confrelid)",
        f"pg_catalog.pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index WHERE indrelid = {oid}",
        f"{triggers} AND tgrelid IN {family(table)}",
        f"ev_enabled::text || pg_catalog.pg_get_ruledef(oid) FROM pg_catalog.pg_rewrite WHERE ev_class = {oid}",
    )
    columns = [" ".join(row) for row in rows(_columns_sql(table))]
    return [columns, *(sorted(text for (text,) in rows(f"SELECT {query}")) for query in queries)]


def regclass(table: TableName) -> str:
    """The table's oid as SQL."""
    return f"{quote_literal(qualified(table))}::pg_catalog.regclass"


def family(table: TableName) -> str:
    """The table and its partitions as a subquery of oids."""
    return f"(SELECT {regclass(table)}::oid UNION SELECT relid FROM pg_catalog.pg_partition_tree({regclass(table)}))"


def _key_fields(keys: list[dict[str, str]]) -> str:
    return ", ".join(f"({key['expression']}) AS k{number}" for number, key in enumerate(keys))


def _equal_keys(keys: list[dict[str, str]], *, nulls_equal: bool) -> str:
    found: list[str] = []
    for n, key in enumerate(keys):
        equal = equal_sql(f"s.k{n}", f"o.k{n}", key)
        found.append(f"({equal} OR s.k{n} IS NULL AND o.k{n} IS NULL)" if nulls_equal else equal)
    return " AND ".join(found)


def _columns_sql(table: TableName) -> str:
    return (
        "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod), attgenerated::text"
        f" FROM pg_catalog.pg_attribute WHERE attrelid = {regclass(table)} AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum"
    )


def _unique_indexes_sql(staged: StagedChanges) -> str:
    """Name and facts (JSON for `held_sql`) of the valid unique indexes over nothing but columns that are written."""
    written = literal_list(column.name for column in staged.written) or "NULL"
    return f"""
SELECT c.relname::text, json_build_object(
  'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
  'nulls_equal', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
  'keys', (SELECT json_agg(json_build_object(
      'expression', pg_catalog.pg_get_indexdef(i.indexrelid, k.n::int, false),
      'operator', quote_ident(onsp.nspname) || '.' || o.oprname,
      'collation', quote_ident(lnsp.nspname) || '.' || quote_ident(l.collname)) ORDER BY k.n)
    FROM unnest(i.indclass::oid[], i.indcollation::oid[]) WITH ORDINALITY AS k(opclass, collation_oid, n)
    JOIN pg_catalog.pg_opclass p ON p.oid = k.opclass
    JOIN pg_catalog.pg_amop a ON a.amopfamily = p.opcfamily AND a.amopstrategy = 3
      AND a.amoplefttype = p.opcintype AND a.amoprighttype = p.opcintype
    JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr JOIN pg_catalog.pg_namespace onsp ON onsp.oid = o.oprnamespace
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = k.collation_oid
    LEFT JOIN pg_catalog.pg_namespace lnsp ON lnsp.oid = l.collnamespace
    WHERE k.n <= i.indnkeyatts))::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
WHERE i.indrelid = {regclass(staged.table)} AND i.indisunique AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute g
    WHERE g.attrelid = i.indrelid AND g.attnum > 0 AND g.attname NOT IN ({written})
    AND (g.attnum = ANY (i.indkey) OR EXISTS (
      SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = g.attnum)))
ORDER BY 1"""
