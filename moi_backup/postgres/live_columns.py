"""The columns of a live table as they are now, for a restore in place that must fit them."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from moi_backup.model.column_plan import LiveColumn
from moi_backup.model.table import Column, Generated, TableName
from moi_backup.postgres.restore_checks import Rows, regclass
from moi_backup.postgres.types import classify

_GENERATED: Final[dict[str, Generated]] = {"": "", "s": "stored", "v": "virtual"}


def live_columns(rows: Rows, table: TableName) -> tuple[LiveColumn, ...]:
    """All columns in their order; `rows` runs a query under the session settings (an empty search path)."""
    return tuple(_column(_Found(*row)) for row in rows(_columns_sql(table)))


class _Found(NamedTuple):
    name: str
    pg_type: str
    generated: str
    identity: str
    required: bool
    has_default: bool
    labels: str | None


def _column(found: _Found) -> LiveColumn:
    encoding, arrow = classify(found.pg_type)
    column = Column(
        found.name,
        found.pg_type,
        encoding,
        arrow,
        not_null=found.required,
        generated=_GENERATED[found.generated],
        # An identity BY DEFAULT takes values like any column.
        identity="always" if found.identity == "a" else "",
    )
    known = None if found.labels is None else tuple(msgspec.json.decode(found.labels, type=list[str]))
    return LiveColumn(column, has_default=found.has_default or found.identity != "", labels=known)


def _columns_sql(table: TableName) -> str:
    return f"""
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated::text, a.attidentity::text,
  a.attnotnull OR t.typnotnull, a.atthasdef OR t.typdefault IS NOT NULL,
  CASE WHEN t.typtype = 'e' THEN (SELECT coalesce(json_agg(e.enumlabel::text), '[]')::text
    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = {regclass(table)} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
