"""Changes of a live table that wait in temporary tables: the rows that come, and the places of the rows they concern.

`moi_come` holds the backup's rows that are written, each with its number and, when it takes the place of a live row,
that place. `moi_places` holds every live row that goes or changes: `number` is that of the row which takes its place
(NULL: none does), `moved` tells that it is not updated but deleted and inserted anew. All of it ends with the
transaction, in which nobody else may write to the table.

Everything is applied by one statement, so that foreign keys within the table are looked at once all is done; its parts
run in the order delete, update, insert, so that unique keys are free when they are needed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from moi_backup.model.table import Column, TableName
from moi_backup.postgres.identifiers import identifier_list, qualified, quote_identifier

COME, GONE, PLACES = "moi_come", "moi_gone", "moi_places"
AT = "p.rel = o.tableoid AND p.tid = o.ctid"
_NUMBER, _PLACE = "moi_number", "moi_place"
_NOTHING = "SELECT 1 WHERE false"


@dataclass(frozen=True, slots=True)
class StagedChanges:
    """The table and the backup's `columns`; `only` leaves inheritance children alone."""

    table: TableName
    columns: tuple[Column, ...]
    only: bool = False

    @property
    def source(self) -> str:
        """The live table as it stands after FROM."""
        return f"{'ONLY ' if self.only else ''}{qualified(self.table)}"

    @property
    def written(self) -> tuple[Column, ...]:
        """The columns that are written: all but the generated ones."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def number(self) -> str:
        """The column of `moi_come` with the number of the row; no column of the table has its name."""
        return self._free(_NUMBER)

    @property
    def place(self) -> str:
        """The column of `moi_come` with the place; no column of the table has its name."""
        return self._free(_PLACE)

    @property
    def come_columns(self) -> tuple[Column, ...]:
        """All columns of `moi_come`."""
        number = Column(self.number, "bigint", "native", "int64")
        return (*self.written, number, Column(self.place, "text", "native", "string"))

    @property
    def gone_columns(self) -> tuple[Column, ...]:
        """The only column of `moi_gone`: places of rows that are deleted."""
        return (Column(self.place, "text", "native", "string"),)

    @property
    def come(self) -> str:
        """The rows that come, as they stand after FROM."""
        return f"pg_temp.{COME}"

    @property
    def staying(self) -> str:
        """A subquery: the live rows that neither go nor change."""
        return f"(SELECT o.* FROM {self.source} AS o WHERE NOT EXISTS (SELECT FROM pg_temp.{PLACES} AS p WHERE {AT}))"

    @property
    def changing(self) -> str:
        """A subquery: the live rows that rows of `moi_come` take the place of, with their number, as they are now."""
        return (
            f"(SELECT o.*, p.number AS {self.number} FROM {self.source} AS o JOIN pg_temp.{PLACES} AS p ON {AT}"
            " WHERE p.number IS NOT NULL)"
        )

    def create_sql(self) -> str:
        """The temporary tables that rows are loaded into, in the exact types of the target, without constraints."""
        tables = ((COME, self.come_columns), (GONE, self.gone_columns))
        return "; ".join(
            f"CREATE TEMPORARY TABLE {name} ("
            + ", ".join(f"{quote_identifier(column.name)} {column.pg_type}" for column in columns)
            + ") ON COMMIT DROP"
            for name, columns in tables
        )

    def places_sql(self) -> str:
        """What makes `moi_places` of the loaded rows."""
        place = f"split_part({self.place}, ' ', 1)::oid AS rel, split_part({self.place}, ' ', 2)::tid AS tid"
        return (
            f"CREATE TEMPORARY TABLE {PLACES} ON COMMIT DROP AS"
            f" SELECT {place}, NULL::bigint AS number, false AS moved FROM pg_temp.{GONE}"
            f" UNION ALL SELECT {place}, {self.number}, false FROM {self.come} WHERE {self.place} IS NOT NULL;"
            f" ANALYZE {self.come}; ANALYZE pg_temp.{PLACES}"
        )

    def move_sql(self, numbers: str) -> str:
        """A statement that marks rows as moved; `numbers` is a query that gives theirs."""
        return f"UPDATE pg_temp.{PLACES} SET moved = true WHERE number IN ({numbers}) AND NOT moved"

    def counts_sql(self) -> str:
        """A query: the rows that will be deleted, updated and inserted by the statement."""
        return (
            f"SELECT count(*) FILTER (WHERE number IS NULL OR moved), count(*) FILTER (WHERE NOT moved AND number IS"
            f" NOT NULL), (SELECT count(*) FROM {self.come}) - count(*) FILTER (WHERE NOT moved AND number IS NOT NULL)"
            f" FROM pg_temp.{PLACES}"
        )

    def apply_sql(self, changed: Collection[str], *, deletes: bool, updates: bool, inserts: bool) -> str:
        """The statement that applies everything and tells how many rows it deleted, updated and inserted.

        `changed` are the columns that any updated row changes. Only what is needed is in it: a DELETE of no row fires
        triggers for statements, and a rule rewrites it.
        """
        return f"""
WITH moi_d AS ({self._delete_sql() if deletes else _NOTHING}),
moi_deleted AS (SELECT count(*) AS n FROM moi_d),
moi_u AS ({self._update_sql(changed) if updates else _NOTHING}),
moi_updated AS (SELECT count(*) AS n FROM moi_u),
moi_i AS ({self._insert_sql() if inserts else _NOTHING})
SELECT (SELECT n FROM moi_deleted), (SELECT n FROM moi_updated), (SELECT count(*) FROM moi_i)"""

    def _delete_sql(self) -> str:
        return (
            f"DELETE FROM {self.source} AS o USING pg_temp.{PLACES} AS p"
            f" WHERE {AT} AND (p.number IS NULL OR p.moved) RETURNING 1"
        )

    def _insert_sql(self) -> str:
        names = [column.name for column in self.written]
        picked = ", ".join(f"s.{quote_identifier(name)}" for name in names)
        return (
            f"INSERT INTO {qualified(self.table)} ({identifier_list(names)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {picked} FROM moi_updated JOIN {self.come} AS s ON moi_updated.n >= 0"
            f" LEFT JOIN pg_temp.{PLACES} AS p ON p.number = s.{self.number}"
            " WHERE p.number IS NULL OR p.moved RETURNING 1"
        )

    def _update_sql(self, changed: Collection[str]) -> str:
        """Only columns that change are set: what hangs on the others is not stirred. An identity is never set."""
        settable = [column.name for column in self.written if column.identity != "always"]
        columns = [name for name in settable if name in changed] or settable[:1]
        if not changed or not columns:
            return _NOTHING
        fields = ", ".join(f"{quote_identifier(name)} = s.{quote_identifier(name)}" for name in columns)
        return (
            f"UPDATE {self.source} AS o SET {fields} FROM moi_deleted JOIN pg_temp.{PLACES} AS p ON moi_deleted.n >= 0"
            f" JOIN {self.come} AS s ON s.{self.number} = p.number WHERE {AT} AND NOT p.moved RETURNING 1"
        )

    def _free(self, name: str) -> str:
        taken = {column.name for column in self.columns}
        while name in taken:
            name += "_"
        return name
