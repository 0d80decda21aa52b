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
EXPECTED, WRITTEN = "moi_expected", "moi_written"
AT = "p.rel = o.tableoid AND p.tid = o.ctid"
_NUMBER, _PLACE = "moi_number", "moi_place"
_NOTHING = "SELECT NULL::oid AS rel, NULL::tid AS tid WHERE false"


@dataclass(frozen=True, slots=True)
class StagedChanges:
    """The table and the columns that it shares with the backup; `only` leaves inheritance children alone.

    `kept` are its other columns: a row that changes keeps its values of them, a new one takes their defaults.
    """

    table: TableName
    columns: tuple[Column, ...]
    only: bool = False
    kept: tuple[str, ...] = ()

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
        triggers for statements, and a rule rewrites it. With `kept` columns it fills what `expect_sql` made.
        """
        source = f"moi_updated JOIN {self.come} AS s ON moi_updated.n >= 0"
        moved = f"{self._moved_sql(source, inserts=inserts)}," if self.kept else ""
        return f"""
WITH moi_d AS ({self._delete_sql() if deletes else _NOTHING}),
moi_deleted AS (SELECT count(*) AS n FROM moi_d),
moi_u AS ({self._update_sql(changed) if updates else _NOTHING}),
moi_updated AS (SELECT count(*) AS n FROM moi_u), {moved}
moi_i AS ({self._insert_sql(source) if inserts else _NOTHING})
SELECT (SELECT n FROM moi_deleted), (SELECT n FROM moi_updated),
  (SELECT count(*) FROM moi_i){" + (SELECT count(*) FROM moi_m)" if self.kept else ""}"""

    def expect_sql(self) -> str:
        """What makes tables of the rows that changed ones become, whole, and (empty) of their places then."""
        expected = ", ".join([self._picked("s"), *(f"was.{quote_identifier(name)}" for name in self.kept)])
        return (
            f"CREATE TEMPORARY TABLE {EXPECTED} ON COMMIT DROP AS SELECT ROW({expected})::text AS row"
            f" FROM {self._changed()};"
            f" CREATE TEMPORARY TABLE {WRITTEN} (rel oid, tid tid) ON COMMIT DROP"
        )

    def unexpected_sql(self) -> str:
        """A query: how many changed rows are not as `expect_sql` saw them, or the other way around."""
        fields = ", ".join([self._picked("o"), *(f"o.{quote_identifier(name)}" for name in self.kept)])
        expected = f"SELECT row FROM pg_temp.{EXPECTED}"
        found = f"SELECT ROW({fields})::text AS row FROM {self.source} AS o JOIN pg_temp.{WRITTEN} AS p ON {AT}"
        return (
            f"SELECT (SELECT count(*) FROM ({expected} EXCEPT ALL {found}) AS lost)"
            f" + (SELECT count(*) FROM ({found} EXCEPT ALL {expected}) AS more)"
        )

    def _delete_sql(self) -> str:
        return (
            f"DELETE FROM {self.source} AS o USING pg_temp.{PLACES} AS p"
            f" WHERE {AT} AND (p.number IS NULL OR p.moved) RETURNING 1"
        )

    def _insert_sql(self, source: str) -> str:
        inserted = identifier_list(column.name for column in self.written)
        new = "p.number IS NULL" if self.kept else "p.number IS NULL OR p.moved"
        return (
            f"INSERT INTO {qualified(self.table)} ({inserted}) OVERRIDING SYSTEM VALUE SELECT {self._picked('s')}"
            f" FROM {source} LEFT JOIN pg_temp.{PLACES} AS p ON p.number = s.{self.number} WHERE {new} RETURNING 1"
        )

    def _update_sql(self, changed: Collection[str]) -> str:
        """Only columns that change are set: what hangs on the others is not stirred. An identity is never set."""
        settable = [column.name for column in self.written if column.identity != "always"]
        columns = [name for name in settable if name in changed] or settable[:1]
        place = "o.tableoid AS rel, o.ctid AS tid"
        if not changed or not columns:
            return _NOTHING
        fields = ", ".join(f"{quote_identifier(name)} = s.{quote_identifier(name)}" for name in columns)
        return (
            f"UPDATE {self.source} AS o SET {fields} FROM moi_deleted JOIN pg_temp.{PLACES} AS p ON moi_deleted.n >= 0"
            f" JOIN {self.come} AS s ON s.{self.number} = p.number WHERE {AT} AND NOT p.moved RETURNING {place}"
        )

    def _moved_sql(self, source: str, *, inserts: bool) -> str:
        """The parts of the statement that insert moved rows with what they keep, and note where changed rows lie."""
        names = identifier_list([*(column.name for column in self.written), *self.kept])
        kept = ", ".join(f"was.{quote_identifier(name)}" for name in self.kept)
        insert = (
            f"INSERT INTO {qualified(self.table)} ({names}) OVERRIDING SYSTEM VALUE SELECT {self._picked('s')}, {kept}"
            f" FROM {source} JOIN pg_temp.{PLACES} AS p ON p.number = s.{self.number} AND p.moved"
            f" JOIN {self.source} AS was ON {AT.replace('o.', 'was.')} RETURNING tableoid AS rel, ctid AS tid"
        )
        return f"""
moi_m AS ({insert if inserts else _NOTHING}),
moi_w AS (INSERT INTO pg_temp.{WRITTEN} SELECT rel, tid FROM moi_u UNION ALL SELECT rel, tid FROM moi_m RETURNING 1)"""

    def _changed(self) -> str:
        """Rows that come (`s`) with the live rows whose place they take (`was`), as they stand after FROM."""
        return (
            f"{self.come} AS s JOIN pg_temp.{PLACES} AS p ON p.number = s.{self.number}"
            f" JOIN {self.source} AS was ON {AT.replace('o.', 'was.')}"
        )

    def _picked(self, alias: str) -> str:
        return ", ".join(f"{alias}.{quote_identifier(column.name)}" for column in self.written)

    def _free(self, name: str) -> str:
        taken = {*(column.name for column in self.columns), *self.kept}
        while name in taken:
            name += "_"
        return name
