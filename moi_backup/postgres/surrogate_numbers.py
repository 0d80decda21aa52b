"""Surrogate numbers: a column that a sequence fills, is unique, and no part of the merge key or of a foreign key.

A row that comes back may find its number taken by a newer row that stays. Nothing refers to the number, so the row gets
another one: one that takes the place of a live row keeps that row's number, a new one gets the next of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from moi_backup.model.table import TableName, parse_table_name
from moi_backup.postgres.identifiers import literal_list, qualified, quote_identifier, quote_literal
from moi_backup.postgres.restore_checks import Rows, family, regclass
from moi_backup.postgres.sequences import SequencePosition, forward_sql
from moi_backup.postgres.staged_changes import COME, StagedChanges

RENUMBERED = "moi_renumbered"


class Surrogate(NamedTuple):
    """The column and its sequence."""

    column: str
    sequence: TableName


def find_surrogate(rows: Rows, table: TableName, *, key: Collection[str], written: Collection[str]) -> Surrogate | None:
    """The first column of its kind among the `written` ones; `key` is the merge key."""
    for column, sequence in rows(_surrogates_sql(table, key)):
        if column in written:
            return Surrogate(column, parse_table_name(sequence))
    return None


def renumber(rows: Rows, run: Callable[[str], None], staged: StagedChanges, surrogate: Surrogate) -> int:
    """Find the rows that come whose number is taken; returns how many.

    They get the number of the live row they take the place of, else none until `assign_new`. A row that keeps its live
    number may take that of another row that comes, and so on.
    """
    number, name = staged.number, quote_identifier(surrogate.column)
    run(f"CREATE TEMPORARY TABLE {RENUMBERED} (number bigint, value bigint) ON COMMIT DROP")
    found = (
        f"INSERT INTO pg_temp.{RENUMBERED} SELECT s.{number}, o.{name} FROM {staged.come} AS s"
        f" LEFT JOIN {staged.changing} AS o ON o.{number} = s.{number}"
        f" WHERE s.{number} NOT IN (SELECT number FROM pg_temp.{RENUMBERED}) AND ({{taken}})"
    )
    total = 0
    run(found.format(taken=f"EXISTS (SELECT FROM {staged.staying} AS x WHERE x.{name} = s.{name})"))
    while (count := int(rows(f"SELECT count(*) FROM pg_temp.{RENUMBERED}")[0][0])) > total:
        total = count
        run(found.format(taken=f"EXISTS (SELECT FROM pg_temp.{RENUMBERED} AS r WHERE r.value = s.{name})"))
    if total:
        run(
            f"UPDATE {staged.come} AS s SET {name} = r.value FROM pg_temp.{RENUMBERED} AS r WHERE r.number = s.{number}"
        )
    return total


def assign_new(rows: Rows, run: Callable[[str], None], staged: StagedChanges, surrogate: Surrogate) -> None:
    """Give every row without a number the next one of the sequence, which is moved past all that are in use."""
    name, number = quote_identifier(surrogate.column), staged.number
    used = " UNION ALL ".join(f"SELECT max({name}) AS n FROM {where}" for where in (staged.source, staged.come))
    [(highest,)] = rows(f"SELECT max(n) FROM ({used}) AS used")
    rows(forward_sql(surrogate.sequence, SequencePosition(int(highest), is_called=True)))
    sequence = quote_literal(qualified(surrogate.sequence))
    new = f"SELECT number FROM pg_temp.{RENUMBERED} WHERE value IS NULL"
    run(f"UPDATE {staged.come} SET {name} = nextval({sequence}::regclass) WHERE {number} IN ({new})")


def numbers_sql(staged: StagedChanges, surrogate: Surrogate) -> str:
    """A query: the number of every renumbered row in `moi_come`, and the value that it is written with."""
    name, number = quote_identifier(surrogate.column), staged.number
    return (
        f"SELECT s.{number}, s.{name}::int8 FROM pg_temp.{COME} AS s"
        f" JOIN pg_temp.{RENUMBERED} AS r ON r.number = s.{number}"
    )


def _surrogates_sql(table: TableName, key: Collection[str]) -> str:
    keyed = literal_list(key) or "NULL"
    return f"""
SELECT a.attname::text, quote_ident(n.nspname) || '.' || quote_ident(s.relname)
FROM pg_catalog.pg_attribute a
JOIN LATERAL (
  SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
    AND d.deptype IN ('a', 'i')
  UNION SELECT d.refobjid FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid
    WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum AND d.refclassid = 'pg_catalog.pg_class'::regclass
) AS used ON true
JOIN pg_catalog.pg_class s ON s.oid = used.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
WHERE a.attrelid = {regclass(table)} AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ({keyed})
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  AND EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
    AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
    WHERE k.contype = 'f' AND (k.confrelid IN {family(table)} AND a.attnum = ANY (k.confkey)
      OR k.conrelid IN {family(table)} AND a.attnum = ANY (k.conkey)))
ORDER BY a.attnum"""
