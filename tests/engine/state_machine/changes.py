"""What an application does to its tables, as values: each becomes SQL for the tables there are at that moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

DAYS = [f"2025-{month:02d}-{day:02d}" for month in (8, 9, 10) for day in (1, 2, 10, 15, 28)]
TEXTS = ("", " ", "a", "A", "it''s", "\\N", "हिन्दी", "Zoë\t|", "x" * 200)
POOLS: Mapping[str, Sequence[str]] = {
    "text": TEXTS,
    "integer": ("0", "-1", "2147483647", "17"),
    "bigint": ("0", "-9223372036854775808", "41"),
    "numeric(10,2)": ("0.00", "-12345678.90", "7.5", "NaN"),
    "numeric": ("1.50", "1e-30", "Infinity", "NaN", "123456789012345678901234567890"),
    "double precision": ("0.1", "-0", "NaN", "-Infinity", "1e300"),
    "boolean": ("true", "false"),
    "integer[]": ("{}", "{1,NULL,3}", "{{1,2},{3,4}}"),
    "jsonb": ('{"a": 1.0}', "null", "[]"),
    "timestamp with time zone": ("2025-09-30 23:30+05:30", "infinity", "0044-03-15 00:00+00 BC"),
}
ADDED = (*POOLS, "mood", "date")
SHAPES = (
    "id int PRIMARY KEY, day date, note text, spent numeric(10,2)",
    "day date, note text",
    "note text, n int",
    'id bigint PRIMARY KEY, day date NOT NULL, "Feeling ""today""" mood, at timestamptz',
    "id int PRIMARY KEY, note text, day date, UNIQUE (day, note)",
)


@dataclass(frozen=True)
class Table:
    """A table as it stands: columns with their types in order, and the labels of the enum."""

    name: str
    columns: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]

    @property
    def plain_name(self) -> str:
        """Its name without quotes."""
        return self.name.strip('"')

    def of_type(self, *types: str) -> list[str]:
        """The columns of these types, quoted."""
        return [quoted(name) for name, kind in self.columns if kind in types]

    @property
    def day(self) -> str | None:
        """The column that cuts it into days."""
        return next(iter(self.of_type("date")), None)

    @property
    def key(self) -> str | None:
        """Its key, if it has one."""
        return "id" if any(name == "id" for name, _ in self.columns) else None

    def some_day(self, number: int) -> str:
        """A predicate for the rows of one of its first four days, NULL being the first."""
        days = f"SELECT {self.day} FROM {self.name} GROUP BY 1 ORDER BY 1 NULLS FIRST"
        return f"{self.day} IS NOT DISTINCT FROM ({days} OFFSET {number % 4} LIMIT 1)"

    def value(self, name: str, kind: str, number: int) -> str:
        """A value of the type, chosen by a number; keys are new each time."""
        if name == "id":
            return f"(SELECT coalesce(max(id), 0) + 1 FROM {self.name})"
        if kind == "date":
            return literal(DAYS[number % len(DAYS)])
        pool = self.labels if kind == "mood" else POOLS[kind]
        return f"{literal(pool[number % len(pool)])}::{kind}"


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Change:
    """One statement: the verb, and numbers that choose table, column, day and values among those there are."""

    verb: str
    table: int
    number: int
    count: int = 1

    def sql(self, tables: Sequence[Table], *, fresh: int) -> Iterator[str]:
        """The statements; none where it cannot be done. `fresh` is a number no name has had before."""
        statements = _VERBS[self.verb]
        yield from statements(tables[self.table % len(tables)], self.number, self.count, fresh, len(tables))


def _insert(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    columns = ", ".join(quoted(name) for name, _ in table.columns)
    for row in range(count):
        values = ", ".join(
            table.value(name, kind, number + row + place) for place, (name, kind) in enumerate(table.columns)
        )
        yield f"INSERT INTO {table.name} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"


def _duplicate(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    if table.key is None:
        yield f"INSERT INTO {table.name} SELECT * FROM {table.name} LIMIT {count}"


def _update(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    texts = [name for name in table.of_type("text") if name != '"id"']
    if texts:
        where = f"WHERE {table.some_day(number)}" if table.day and count > 1 else ""
        yield f"UPDATE {table.name} SET {texts[0]} = left({texts[0]} || '{fresh}', 250) {where}"


def _backdate(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    if table.day:
        to = literal(DAYS[number % len(DAYS)])
        yield f"UPDATE {table.name} SET {table.day} = {to} WHERE {table.some_day(count)}"


def _undate(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    if table.day:
        yield f"UPDATE {table.name} SET {table.day} = NULL WHERE {table.some_day(number)}"


def _delete(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    where = table.some_day(number) if table.day else f"ctid = '(0,{count})'"
    yield f"DELETE FROM {table.name} WHERE {where}"


def _truncate(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    yield f"TRUNCATE {table.name}"


def _add_column(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    kind = ADDED[number % len(ADDED)]
    if kind != "date" or not table.day:
        default = f" DEFAULT {table.value('', kind, number)}" if count > 1 else ""
        yield f"ALTER TABLE {table.name} ADD COLUMN added_{fresh} {kind}{default}"


def _drop_column(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    others = [quoted(name) for name, _ in table.columns if name != "id"]
    if len(others) > 1:
        yield f"ALTER TABLE {table.name} DROP COLUMN {others[number % len(others)]}"


def _rename_column(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    others = [quoted(name) for name, _ in table.columns if name != "id"]
    yield f'ALTER TABLE {table.name} RENAME COLUMN {others[number % len(others)]} TO "Renamed {fresh}"'


def _change_type(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    wider = {"integer": "bigint", "bigint": "numeric", "numeric(10,2)": "numeric", "boolean": "text", "mood": "text"}
    fit = [(name, wider[kind]) for name, kind in table.columns if kind in wider and name != "id"]
    if fit:
        name, kind = fit[number % len(fit)]
        yield f"ALTER TABLE {table.name} ALTER COLUMN {quoted(name)} TYPE {kind} USING {quoted(name)}::{kind}"


def _add_table(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    yield f'CREATE TABLE "Table {fresh}" ({SHAPES[number % len(SHAPES)]})'


def _drop_table(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    if tables > 1:
        yield f"DROP TABLE {table.name}"


def _add_label(table: Table, number: int, count: int, fresh: int, tables: int) -> Iterator[str]:
    yield f"ALTER TYPE mood ADD VALUE 'label {fresh}'{' BEFORE ' + literal(table.labels[0]) if count > 1 else ''}"


_VERBS = {
    "insert": _insert,
    "duplicate": _duplicate,
    "update": _update,
    "backdate": _backdate,
    "undate": _undate,
    "delete": _delete,
    "truncate": _truncate,
    "add column": _add_column,
    "drop column": _drop_column,
    "rename column": _rename_column,
    "change type": _change_type,
    "add table": _add_table,
    "drop table": _drop_table,
    "add label": _add_label,
}
ROWS = ("insert", "insert", "update", "update", "update", "duplicate", "backdate", "undate", "delete", "truncate")
SCHEMA = ("add column", "drop column", "rename column", "change type", "add table", "drop table", "add label")


def changes(verbs: Sequence[str]) -> st.SearchStrategy[Change]:
    """Changes by these verbs."""
    return st.builds(Change, st.sampled_from(verbs), st.integers(0, 9), st.integers(0, 99), st.integers(1, 4))
