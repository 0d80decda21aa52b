"""What would make an in-place replacement of rows fail or reach beyond them, found before anything is written.

The checks run in the restoring session after the locks: `rows` executes one query there, under the session settings
(an empty search path above all). Each returns refusals by name; none means that the replacement touches its own rows
only. What they do not look at (exclusion constraints, keys over generated columns or of one partition, missing
parents of foreign keys) Postgres refuses itself, and the transaction is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from moi_backup.model.table import Column, TableName
from moi_backup.postgres.identifiers import qualified, quote_identifier, quote_literal

Rows = Callable[[str], list[tuple[Any, ...]]]

_FIRES: Final = "IN ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)"
_ON_DELETE: Final = {
    "a": "cannot lose the rows they refer to",
    "r": "cannot lose the rows they refer to",
    "c": "would be deleted with them (ON DELETE CASCADE)",
    "n": "would lose their reference (ON DELETE SET NULL)",
    "d": "would change their reference (ON DELETE SET DEFAULT)",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to begin: the thing by name, and what would happen."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Replacement:
    """Rows to be replaced in a live table.

    `columns` are the backup's; `replaced` is a predicate over the table's bare column names that holds for rows
    that go; `staged` is the SQL name of a table with the rows that come, in their exact types. `only` leaves
    inheritance children alone.
    """

    table: TableName
    columns: tuple[Column, ...]
    replaced: str
    staged: str
    only: bool = False

    @property
    def source(self) -> str:
        """The live table as it stands after FROM."""
        return f"{'ONLY ' if self.only else ''}{qualified(self.table)}"


def find_refusals(rows: Rows, replacement: Replacement) -> tuple[Refusal, ...]:
    """Everything that stands against the replacement; where the columns do not fit, only that is told."""
    return check_columns(rows, replacement) or (
        *check_triggers(rows, replacement.table),
        *check_rules(rows, replacement.table),
        *check_unique_keys(rows, replacement),
        *check_references(rows, replacement),
    )


def check_columns(rows: Rows, replacement: Replacement) -> tuple[Refusal, ...]:
    """Columns that differ in name, type or generation; a generated one that the backup lacks is no obstacle."""
    live = {name: (pg_type, generated != "") for name, pg_type, generated in rows(_columns_sql(replacement.table))}
    stored = {column.name: (column.pg_type, column.generated != "") for column in replacement.columns}
    refusals: list[Refusal] = []
    for name, (pg_type, generated) in stored.items():
        if name not in live:
            refusals.append(Refusal(f"column {name}", "it is in the backup and not in the table"))
        elif live[name][1] != generated:
            where = ("table", "backup") if live[name][1] else ("backup", "table")
            refusals.append(Refusal(f"column {name}", f"it is generated in the {where[0]} and not in the {where[1]}"))
        elif live[name][0] != pg_type:
            refusals.append(
                Refusal(f"column {name}", f"it is {live[name][0]} in the table and {pg_type} in the backup")
            )
    for name, (_, generated) in live.items():
        if name not in stored and not generated:
            refusals.append(
                Refusal(f"column {name}", "it is in the table and not in the backup, so its values would be lost")
            )
    return tuple(refusals)


def check_triggers(rows: Rows, table: TableName) -> tuple[Refusal, ...]:
    """Enabled triggers of users on INSERT or DELETE, of the table and its partitions."""
    return tuple(
        Refusal(f"trigger {name} on {TableName(schema, relation)}", "it would fire for the replaced rows")
        for name, schema, relation in rows(_triggers_sql(table))
    )


def check_rules(rows: Rows, table: TableName) -> tuple[Refusal, ...]:
    """Enabled rules on INSERT or DELETE."""
    return tuple(
        Refusal(f"rule {name} on {table}", "it would rewrite the statements of the restore")
        for (name,) in rows(_rules_sql(table))
    )


def check_unique_keys(rows: Rows, replacement: Replacement) -> tuple[Refusal, ...]:
    """Keys of staged rows that a row that stays holds too, for each unique index (partial, over expressions)."""
    refusals: list[Refusal] = []
    for name, facts in rows(_unique_indexes_sql(replacement.table)):
        [(count,)] = rows(conflicts_sql(replacement, **json.loads(facts)))
        if count:
            why = f"{count} rows of the backup have a key that rows outside of the restored range hold"
            refusals.append(Refusal(f"unique index {name}", why))
    return tuple(refusals)


def check_references(rows: Rows, replacement: Replacement) -> tuple[Refusal, ...]:
    """Rows that refer to replaced rows by a foreign key and are not replaced themselves."""
    refusals: list[Refusal] = []
    for name, schema, table, action, facts in rows(_references_sql(replacement.table)):
        child = TableName(schema, table)
        [(count,)] = rows(referenced_sql(replacement, child, **json.loads(facts)))
        if count:
            refusals.append(Refusal(f"foreign key {name} of {child}", f"{count} rows of {child} {_ON_DELETE[action]}"))
    return tuple(refusals)


def referencing_tables(rows: Rows, table: TableName) -> tuple[TableName, ...]:
    """Other tables with a foreign key to this one: to be locked against writes before `check_references` counts."""
    found = {TableName(schema, name) for _, schema, name, _, _ in rows(_references_sql(table))}
    return tuple(sorted(found - {table}))


def conflicts_sql(
    replacement: Replacement, *, keys: list[dict[str, str]], predicate: str | None, nulls_equal: bool
) -> str:
    """The count of staged rows whose key a kept row holds.

    Each key is its expression with the index's own equality operator and collation.
    """
    fields = ", ".join(f"({key['expression']}) AS k{number}" for number, key in enumerate(keys))
    condition = f" AND ({predicate})" if predicate else ""
    equal = " AND ".join(_equal(f"s.k{n}", f"o.k{n}", key, nulls_equal=nulls_equal) for n, key in enumerate(keys))
    return (
        f"SELECT count(*) FROM (SELECT {fields} FROM {replacement.staged} WHERE true{condition}) AS s"
        f" JOIN (SELECT {fields} FROM {replacement.source} WHERE ({replacement.replaced}) IS NOT TRUE{condition}) AS o"
        f" ON {equal}"
    )


def referenced_sql(replacement: Replacement, child: TableName, *, keys: list[dict[str, str]], partitioned: bool) -> str:
    """The count of the child's rows that refer to a replaced row; of the table itself only rows that stay count."""
    equal = " AND ".join(
        _equal(f"gone.{quote_identifier(key['parent'])}", f"child.{quote_identifier(key['child'])}", key)
        for key in keys
    )
    source = f"{'' if partitioned else 'ONLY '}{qualified(child)}"
    stays = f"({replacement.replaced}) IS NOT TRUE" if child == replacement.table else "true"
    return (
        f"SELECT count(*) FROM (SELECT * FROM {source} WHERE {stays}) AS child"
        f" WHERE EXISTS (SELECT FROM (SELECT * FROM {replacement.source} WHERE {replacement.replaced}) AS gone"
        f" WHERE {equal})"
    )


def _equal(left: str, right: str, key: dict[str, str], *, nulls_equal: bool = False) -> str:
    collation = f" COLLATE {key['collation']}" if key["collation"] else ""
    equal = f"{left} OPERATOR({key['operator']}) {right}{collation}"
    return f"({equal} OR {left} IS NULL AND {right} IS NULL)" if nulls_equal else equal


def _regclass(table: TableName) -> str:
    return f"{quote_literal(qualified(table))}::pg_catalog.regclass"


def _family(table: TableName) -> str:
    """The table and its partitions as a subquery of oids."""
    return f"(SELECT {_regclass(table)}::oid UNION SELECT relid FROM pg_catalog.pg_partition_tree({_regclass(table)}))"


def _columns_sql(table: TableName) -> str:
    return (
        "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod), attgenerated::text"
        f" FROM pg_catalog.pg_attribute WHERE attrelid = {_regclass(table)} AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum"
    )


def _triggers_sql(table: TableName) -> str:
    # tgtype: 4 is INSERT, 8 is DELETE. A partition's copy of its parent's trigger is told once, for the parent.
    return (
        "SELECT t.tgname::text, n.nspname::text, c.relname::text FROM pg_catalog.pg_trigger t"
        " JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE t.tgrelid IN {_family(table)} AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgtype & 12 <> 0"
        f" AND t.tgenabled {_FIRES} ORDER BY 3, 1"
    )


def _rules_sql(table: TableName) -> str:
    # ev_type: 3 is INSERT, 4 is DELETE.
    return (
        f"SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = {_regclass(table)}"
        f" AND ev_type IN ('3', '4') AND ev_enabled {_FIRES} ORDER BY 1"
    )


def _unique_indexes_sql(table: TableName) -> str:
    """Name and facts (JSON for `conflicts_sql`) of the valid unique indexes without generated columns."""
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
WHERE i.indrelid = {_regclass(table)} AND i.indisunique AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute g
    WHERE g.attrelid = i.indrelid AND g.attgenerated <> '' AND (g.attnum = ANY (i.indkey) OR EXISTS (
      SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = g.attnum)))
ORDER BY 1"""


def _references_sql(table: TableName) -> str:
    """Name, child, ON DELETE action and facts (JSON for `referenced_sql`) of the foreign keys to the table."""
    return f"""
SELECT k.conname::text, n.nspname::text, c.relname::text, k.confdeltype::text, json_build_object(
  'partitioned', c.relkind = 'p',
  'keys', (SELECT json_agg(json_build_object(
      'parent', pa.attname, 'child', ca.attname, 'operator', quote_ident(onsp.nspname) || '.' || o.oprname,
      'collation', quote_ident(lnsp.nspname) || '.' || quote_ident(l.collname)) ORDER BY u.n)
    FROM unnest(k.confkey, k.conkey, k.conpfeqop) WITH ORDINALITY AS u(parent, child, operator, n)
    JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent
    JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
    JOIN pg_catalog.pg_operator o ON o.oid = u.operator JOIN pg_catalog.pg_namespace onsp ON onsp.oid = o.oprnamespace
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = pa.attcollation
    LEFT JOIN pg_catalog.pg_namespace lnsp ON lnsp.oid = l.collnamespace))::text
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN {_family(table)}
ORDER BY 2, 3, 1"""
