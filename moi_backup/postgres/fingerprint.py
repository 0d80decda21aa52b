"""What must be unchanged for the change scan's answer to hold (the sums of xmin have blind spots, see `still_valid`).

Two sets of facts, each a flat mapping of strings so that it can stand in a manifest: of a table, and of the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from moi_backup.model.table import Column
from moi_backup.postgres.catalog import CatalogTable
from moi_backup.postgres.session import Connection, read_source, run

NEXT_XID: Final = "next_xid"
WAL_POSITION: Final = "wal_position"
UNTRACKED: Final = "untracked"
_REASONS: Final = {
    "definition": "the definition of the table or of a type it uses changed",
    "leaves": "the table was rewritten, or a partition was attached, detached or replaced",
    UNTRACKED: "values of the table change without a trace in it (a foreign partition, names of objects)",
    "timeline": "the server was restored or failed over (another timeline)",
    "postmaster_start": "the server was restarted",
    "system_identifier": "it is another server",
    "database": "it is another database",
    "role": "another role reads the table",
    "server_version": "the server's version changed",
}

_TYPES: Final = """
WITH RECURSIVE used(oid) AS (
  SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped
  UNION
  SELECT next.oid FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid
  LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid OR r.rngmultitypid = t.oid
  CROSS JOIN LATERAL (
    SELECT t.typelem UNION ALL SELECT t.typbasetype UNION ALL SELECT r.rngsubtype
    UNION ALL SELECT atttypid FROM pg_catalog.pg_attribute
              WHERE attrelid = t.typrelid AND t.typrelid <> 0 AND attnum > 0 AND NOT attisdropped) AS next(oid)
  WHERE next.oid <> 0)
SELECT t.oid::int8, pg_catalog.format_type(t.oid, NULL), t.typtype::text, t.typnotnull, t.typdefault,
  pg_catalog.format_type(t.typbasetype, t.typtypmod),
  (SELECT json_agg(json_build_array(e.oid::int8, e.enumlabel, e.enumsortorder) ORDER BY e.enumsortorder)
   FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)::text,
  (SELECT json_agg(pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname)
   FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)::text,
  (SELECT json_agg(json_build_array(a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
                   ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = t.typrelid AND t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped)::text
FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid WHERE t.oid >= 16384 ORDER BY t.oid
"""
_COLUMNS: Final = """
SELECT a.attrelid::int8, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
  a.attgenerated::text, a.attidentity::text, a.attcollation::int8, pg_catalog.pg_get_expr(d.adbin, d.adrelid),
  a.attmissingval::text
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid IN ({oids}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_CONSTRAINTS: Final = """
SELECT conname, pg_catalog.pg_get_constraintdef(oid), convalidated FROM pg_catalog.pg_constraint
WHERE conrelid = {oid} ORDER BY conname COLLATE "C"
"""


def table_fingerprint(conn: Connection, table: CatalogTable) -> dict[str, str]:
    """The table's own facts: a hash of its definition and of the types it uses, and oid and filenode of every leaf."""
    definition = hashlib.blake2b(digest_size=16)
    definition.update(repr((table.order_by, table.only, table.partitioned)).encode())
    # The columns of every leaf too: a partition that was detached, given a column with a default, and attached again
    # has the same oid, filenode and rows.
    oids = ", ".join(str(oid) for oid in sorted({table.oid, *(leaf.oid for leaf in table.leaves)}))
    for query in (_COLUMNS, _CONSTRAINTS, _TYPES):
        definition.update(repr(run(conn, query.format(oid=table.oid, oids=oids))).encode())
    facts = {
        "definition": definition.hexdigest(),
        "leaves": ",".join(f"{leaf.oid}:{leaf.filenode}" for leaf in table.leaves),
    }
    if any(leaf.filenode == 0 for leaf in table.leaves) or any(_names_objects(column) for column in table.columns):
        facts[UNTRACKED] = _position(conn)[WAL_POSITION]  # never equal to an earlier fingerprint
    return facts


def _names_objects(column: Column) -> bool:
    """Whether values are oids shown as names (regclass and its like, aclitem), which follow a renaming elsewhere."""
    return column.pg_type.startswith(("reg", "aclitem"))


def server_fingerprint(conn: Connection) -> dict[str, str]:
    """The server's facts; `next_xid` and `wal_position` may only grow, all others must stay as they are."""
    source = read_source(conn, address="")
    start = run(conn, "SELECT extract(epoch FROM pg_postmaster_start_time())::text")[0][0]
    return {
        "timeline": str(source.timeline),
        "postmaster_start": str(start),
        "system_identifier": source.system_identifier,
        "database": source.database,
        "role": source.role,
        "server_version": source.server_version,
        **_position(conn),
    }


def still_valid(old: Mapping[str, str], new: Mapping[str, str]) -> str | None:
    """None when the change scan may skip unchanged days; else the reason why everything must be read.

    Takes table and server facts merged into one mapping; a fact of either side that the other lacks is a reason too.
    """
    for fact in sorted(old.keys() | new.keys()):
        if fact not in old or fact not in new:
            return f"the earlier backup and this one do not both know the fact {fact!r}"
        if fact == NEXT_XID:
            if int(new[fact]) < int(old[fact]):
                return "the server's transaction counter went back: it was restored from an older state"
        elif fact == WAL_POSITION:
            if _wal_number(new[fact]) < _wal_number(old[fact]):
                return "the server's WAL position went back: it was restored from an older state"
        elif old[fact] != new[fact]:
            return _REASONS.get(fact, f"{fact} changed")
    return None


def _position(conn: Connection) -> dict[str, str]:
    row = run(
        conn,
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text,"
        " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text",
    )[0]
    return {NEXT_XID: str(row[0]), WAL_POSITION: str(row[1])}


def _wal_number(position: str) -> int:
    high, _, low = position.partition("/")
    return int(high, 16) * 2**32 + int(low, 16)
