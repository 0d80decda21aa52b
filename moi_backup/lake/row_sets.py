"""Rows of one table in several states side by side, in a scratch DuckDB database that spills to disk.

Days come in order and are settled in batches: rows that both states hold cancel out, each as often as both hold it
(most of them before DuckDB sees them); what remains is kept as `gone` (in the state before alone) and `come` (in the
state after alone), and everything else is forgotten. Rows are equal when all their stored values are, to the bit: -0 is
not 0, NaN is NaN, NULL is NULL. Equal rows lie on equal days, so nothing outside of a batch can cancel what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import duckdb
import pyarrow as pa

from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.equal_rows import share
from moi_backup.lake.untyped import arrow
from moi_backup.model.table import Column

Side = Literal["before", "after", "base"]
MEMORY = "256MB"
SETTLE_ROWS = 500_000
LOAD_ROWS = 50_000
HELD_BYTES = 96 << 20
READ_ROWS = 65_536
DAY, PLACE, COPY = "moi_day", "moi_place", "moi_copy"
# Rows of an encrypted repository must not lie on the disk in the clear. DuckDB's better cipher is an extension, which
# it would fetch from the network; its own, which it calls unsafe for its randomness, keeps them from view.
_SETTINGS = (
    "SET temp_file_encryption = true",
    "SET force_mbedtls_unsafe = 'true'",
    "SET enable_external_access = false",
    "SET TimeZone = 'UTC'",
)
_SIDES: tuple[Side, ...] = ("before", "after", "base")
_SUMMABLE = r"-?[0-9]{1,16}(\.[0-9]{1,12}0*)?"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is compared: the columns, and the ones by which a row is recognised (None: nothing short of all of them).

    A key need not be unique, and NULLs in it are equal: the rows of one key are one group. `summed` are the columns
    whose sums are kept, `has_base` tells whether a third state comes along.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...] | None
    summed: tuple[str, ...] = ()
    has_base: bool = False

    def field(self, name: str) -> str:
        """The SQL name of a column in the sets, whatever the column itself is called."""
        return f"c{[column.name for column in self.columns].index(name)}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The SQL names of all columns."""
        return tuple(f"c{number}" for number in range(len(self.columns)))

    def bits(self, name: str, alias: str = "") -> str:
        """An SQL expression that is equal for equal stored values alone; DuckDB takes -0 and 0 for equal."""
        value = f"{alias}{self.field(name)}"
        is_float = next(column.arrow for column in self.columns if column.name == name) in ("float", "double")
        return f"CAST({value} AS VARCHAR)" if is_float else value

    def key_of(self, alias: str = "") -> str:
        """The key of a row as one SQL value, never NULL itself."""
        names = self.key if self.key is not None else tuple(column.name for column in self.columns)
        return f"row({', '.join(self.bits(name, alias) for name in names)})"


class RowSets:
    """The states and their difference; a context. `add` rows day by day, tell every `day_done`, then `finish`.

    Afterwards `sql` runs over these tables: `gone` and `come` (id, moi_day, moi_place, c0, c1 …, k: the key, kh: a hash
    of it; views of `gone_rows` and `come_rows`), `days`
    (moi_day, side, number, and s0, s1 …: the sums), and with a base `base_before`, `base_after` (k: keys whose rows
    are not the same in the base and in that state).
    """

    def __init__(self, shape: Shape, *, scratch: Path) -> None:
        """`scratch` is a folder for what does not fit into memory."""
        self.shape = shape
        self._pending = 0
        self._waiting: dict[Side, list[pa.Table]] = {side: [] for side in _SIDES}
        self._held: dict[Side, int] = dict.fromkeys(_SIDES, 0)
        self.connection: Any = duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": False,
                "memory_limit": MEMORY,
                "temp_directory": str(scratch),
                "preserve_insertion_order": False,
            },
        )
        for setting in _SETTINGS:
            self.connection.execute(setting)
        self._create()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def add(self, side: Side, rows: pa.Table, *, day: str, places: Any = None) -> None:
        """Rows of one day in canonical types.

        `places` (an Arrow array of strings) says where each lies, for whoever acts on it later.
        """
        if not rows.num_rows:
            return
        arrays = [rows.column(column.name) for column in self.shape.columns]
        arrays.append(arrow.nulls(rows.num_rows, pa.string()) if places is None else places)
        arrays.append(arrow.repeat(arrow.scalar(day, pa.string()), rows.num_rows))
        table = arrow.table(arrays, names=[*self.shape.fields, PLACE, DAY])
        self._waiting[side].append(table)
        self._held[side] += rows.num_rows if self.shape.has_base else table.nbytes
        self._pending += rows.num_rows
        if self._held[side] >= (LOAD_ROWS if self.shape.has_base else HELD_BYTES):
            self._load(side)

    def forget(self, side: Side, day: str) -> None:
        """Take back all rows of a day that have come since the last settling."""
        self._load(side)
        [(gone,)] = self.sql(f"SELECT count(*) FROM {side}_now WHERE {DAY} = ?", day)
        self.sql(f"DELETE FROM {side}_now WHERE {DAY} = ?", day)
        self._pending -= gone

    def day_done(self) -> None:
        """Every row of the days so far has come."""
        self._share()
        if self._pending >= SETTLE_ROWS:
            self._settle()

    def finish(self) -> None:
        """All rows have come."""
        self._share()
        self._settle()

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement and fetch its (few) rows."""
        result: list[tuple[Any, ...]] = self.connection.execute(statement, list(parameters)).fetchall()
        return result

    def receive(self, name: str, tables: Iterator[pa.Table]) -> None:
        """Make a table of rows that other sets of this shape gave: c0, c1 … as they are."""
        self.connection.register("empty", self._empty())
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM empty")
        self.connection.unregister("empty")
        for table in tables:
            self.connection.register("incoming", table.rename_columns(list(self.shape.fields)))
            self.connection.execute(f"INSERT INTO {name} FROM incoming")
            self.connection.unregister("incoming")

    def rows(self, query: str, *, extra: Sequence[tuple[str, pa.DataType]] = ()) -> Iterator[pa.Table]:
        """The result of a query over `gone` or `come` that selects `fields` and then the `extra` ones, as they were.

        Streamed: nothing else may run on these sets until the iterator is exhausted or closed.
        """
        schema: Any = schema_of(self.shape.columns)
        for name, kind in extra:
            schema = schema.append(pa.field(name, kind))
        reader = self.connection.sql(query).to_arrow_reader(READ_ROWS)
        for batch in reader:
            table = pa.Table.from_batches([batch])
            yield table.rename_columns(schema.names).cast(schema)

    def _load(self, side: Side) -> None:
        """Hand the waiting rows to DuckDB, many at a time: a call costs as much as thousands of rows."""
        if not self._waiting[side]:
            return
        self.connection.register("incoming", arrow.concat_tables(self._waiting[side]))
        fields = ", ".join(self.shape.fields)
        bits = ", ".join(self.shape.bits(column.name) for column in self.shape.columns)
        self.connection.execute(f"INSERT INTO {side}_now SELECT {DAY}, {PLACE}, {fields}, hash({bits}) FROM incoming")
        self.connection.unregister("incoming")
        self._waiting[side].clear()
        self._held[side] = 0

    def _share(self) -> None:
        """Take out of the waiting rows what both states hold, and hand DuckDB the rest: usually a small part.

        With a base all rows are needed, for they are compared with a third state.
        """
        before, after = self._waiting["before"], self._waiting["after"]
        if self.shape.has_base or not before or not after:
            return
        keys = [self.shape.field(name) for name in self.shape.key or [column.name for column in self.shape.columns]]
        shared = share(arrow.concat_tables(before), arrow.concat_tables(after), fields=self.shape.fields, keys=keys)
        self._count_equal(shared.equal)
        self._waiting["before"], self._waiting["after"] = [shared.before], [shared.after]
        self._load("before")
        self._load("after")

    def _count_equal(self, equal: pa.Table) -> None:
        """Count rows that both states hold on their days, with their sums, in both."""
        if not equal.num_rows:
            return
        sums = "".join(f", {self.sum_of(name)} AS s{number}" for number, name in enumerate(self.shape.summed))
        self.connection.register("incoming", equal.select([DAY, *map(self.shape.field, self.shape.summed)]))
        counted = f"SELECT {DAY}, count(*) AS number{sums} FROM incoming GROUP BY {DAY}"
        self.sql(
            f"INSERT INTO days SELECT c.{DAY}, s.side, c.* EXCLUDE ({DAY})"
            f" FROM ({counted}) AS c, (VALUES ('before'), ('after')) AS s(side)"
        )
        self.connection.unregister("incoming")
        self._pending -= 2 * equal.num_rows

    def _create(self) -> None:
        self.connection.register("empty", self._empty())
        fields = ", ".join(self.shape.fields)
        place = f"CAST(NULL AS VARCHAR) AS {DAY}, CAST(NULL AS VARCHAR) AS {PLACE}"
        run = self.connection.execute
        for side in _SIDES:
            run(f"CREATE TABLE {side}_now AS SELECT {place}, {fields}, hash(1) AS h FROM empty")
        for name in ("gone", "come"):
            run(f"CREATE SEQUENCE {name}_ids")
            run(f"CREATE TABLE {name}_rows AS SELECT 0::BIGINT AS id, {place}, {fields}, hash(1) AS kh FROM empty")
            run(f"CREATE VIEW {name} AS SELECT *, {self.shape.key_of()} AS k FROM {name}_rows")
        key = self.shape.key_of()
        for name in ("base_before", "base_after"):
            run(f"CREATE TABLE {name} AS SELECT {key} AS k FROM empty")
        sums = "".join(f", {self.sum_of(name)} AS s{number}" for number, name in enumerate(self.shape.summed))
        run(f"CREATE TABLE days AS SELECT '' AS {DAY}, '' AS side, count(*) AS number{sums} FROM empty LIMIT 0")
        self.connection.unregister("empty")

    def _empty(self) -> pa.Table:
        kinds = schema_of(self.shape.columns)
        return arrow.table([arrow.array([], kind) for kind in kinds.types], names=list(self.shape.fields))

    def sum_of(self, name: str) -> str:
        """SQL for the sum of a column; NULL when a value of it is no number that can be summed to the last digit."""
        value = self.shape.field(name)
        kind = next(column.arrow for column in self.shape.columns if column.name == name)
        if kind in ("float", "double"):
            return f"coalesce(fsum({value}::DOUBLE), 0)"
        if kind == "string":
            number = f"CASE WHEN regexp_full_match({value}, '{_SUMMABLE}') THEN {value} END::DECIMAL(38, 12)"
            return f"CASE WHEN count({value}) = count({number}) THEN coalesce(sum({number}), 0)::DECIMAL(38, 12) END"
        return f"coalesce(sum({value}), 0)::DECIMAL(38, {_scale(kind)})"

    def _settle(self) -> None:
        if not self._pending:
            return
        for side in _SIDES:
            self._load(side)
        numbered = self._repeats()
        for side in _SIDES[:2]:
            sums = "".join(f", {self.sum_of(name)}" for name in self.shape.summed)
            self.sql(f"INSERT INTO days SELECT {DAY}, '{side}', count(*){sums} FROM {side}_now GROUP BY {DAY}")
        fields = ", ".join(f"x.{field}" for field in self.shape.fields)
        for name, mine, other in (("gone", "before", "after"), ("come", "after", "before")):
            self.sql(
                f"INSERT INTO {name}_rows SELECT nextval('{name}_ids'), x.{DAY}, x.{PLACE}, {fields},"
                f" hash({self.shape.key_of('x.')}) FROM {self._without(mine, other, numbered=numbered)}"
            )
        if self.shape.has_base:
            for side in ("before", "after"):
                for mine, other in (("base", side), (side, "base")):
                    self.sql(
                        f"INSERT INTO base_{side} SELECT DISTINCT {self.shape.key_of('x.')}"
                        f" FROM {self._without(mine, other, numbered=numbered)}"
                    )
        for side in _SIDES:
            self.sql(f"TRUNCATE {side}_now")
        self._pending = 0

    def _repeats(self) -> bool:
        """Whether a state may hold equal rows more than once, so that copies must be counted."""
        return any(self.sql(f"SELECT 1 FROM {side}_now GROUP BY h HAVING count(*) > 1 LIMIT 1") for side in _SIDES)

    def _without(self, mine: str, other: str, *, numbered: bool) -> str:
        """The rows `x` of one state without those that another holds, by hash first, then by every value."""
        same = " AND ".join(
            f"{self.shape.bits(column.name, 'x.')} IS NOT DISTINCT FROM {self.shape.bits(column.name, 'y.')}"
            for column in self.shape.columns
        )
        copies = f" AND x.{COPY} = y.{COPY}" if numbered else ""
        return (
            f"{self._state(mine, numbered=numbered)} AS x ANTI JOIN {self._state(other, numbered=numbered)} AS y"
            f" ON x.h = y.h AND x.{DAY} = y.{DAY} AND {same}{copies}"
        )

    def _state(self, side: str, *, numbered: bool) -> str:
        if not numbered:
            return f"{side}_now"
        bits = ", ".join(self.shape.bits(column.name) for column in self.shape.columns)
        return f"(SELECT *, row_number() OVER (PARTITION BY h, {DAY}, {bits}) AS {COPY} FROM {side}_now)"


def _scale(kind: str) -> int:
    return int(kind.rstrip(")").rpartition(",")[2]) if kind.startswith("decimal128") else 0
