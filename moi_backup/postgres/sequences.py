"""The positions of the sequences that number a table's rows: read with a backup, moved forward only by a restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from moi_backup.model.table import TableName
from moi_backup.postgres.catalog import CatalogTable
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.session import Connection, run


@dataclass(frozen=True, slots=True)
class SequencePosition:
    """`is_called` tells that `last_value` was handed out already, as in Postgres itself."""

    last_value: int
    is_called: bool


def read_sequences(conn: Connection, table: CatalogTable) -> dict[TableName, SequencePosition]:
    """The position of every sequence the table owns (serial, identity) or whose values its defaults take.

    Sequences are not transactional: a position may be ahead of the snapshot, never behind it.
    """
    found: dict[TableName, SequencePosition] = {}
    for schema, name in run(conn, _SEQUENCES.format(oid=table.oid)):
        sequence = TableName(str(schema), str(name))
        last_value, is_called = run(conn, f"SELECT last_value, is_called FROM {qualified(sequence)}")[0]
        found[sequence] = SequencePosition(last_value=int(str(last_value)), is_called=bool(is_called))
    return found


def forward_sql(sequence: TableName, position: SequencePosition) -> str:
    """A statement that moves the sequence to the position unless it is there or past it, whichever way it counts.

    No rollback takes it back, except together with a sequence that the same transaction made.
    """
    literal = quote_literal(qualified(sequence))
    value, called = str(position.last_value), str(position.is_called).lower()
    return (
        f"SELECT pg_catalog.setval({literal}::regclass, {value}, {called})"
        f" FROM {qualified(sequence)} AS now, pg_catalog.pg_sequence AS kind WHERE kind.seqrelid = {literal}::regclass"
        f" AND (CASE WHEN kind.seqincrement > 0 THEN {value} > now.last_value ELSE {value} < now.last_value END"
        f" OR {value} = now.last_value AND {called} AND NOT now.is_called)"
    )


_SEQUENCES: Final = """
SELECT n.nspname, s.relname FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
WHERE s.relkind = 'S' AND (
  EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.oid
          AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = {oid} AND d.deptype IN ('a', 'i'))
  OR EXISTS (SELECT FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d
             ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid
             WHERE a.adrelid = {oid} AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = s.oid))
ORDER BY n.nspname, s.relname
"""
