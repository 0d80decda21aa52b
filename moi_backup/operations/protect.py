"""What is protected: the configuration joined with the catalog.

A configured name that does not exist is an error before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from moi_backup.errors import ConfigurationError
from moi_backup.model.configuration import Configuration, TableSettings
from moi_backup.model.table import Column, DayColumn, DayKind, TableName
from moi_backup.postgres.catalog import CatalogTable, list_tables, read_tables
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.session import Connection
from moi_backup.postgres.types import as_text, base_type

_DAY_KINDS: dict[str, DayKind] = {
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
_USUAL_DAY_NAMES = ("day", "date")


@dataclass(frozen=True, slots=True)
class ProtectedTable:
    """One table as backups treat it: everything the configuration left open has been discovered."""

    catalog: CatalogTable
    columns: tuple[Column, ...]
    day: DayColumn | None
    key: tuple[str, ...] | None
    required: tuple[str, ...]
    data_class: str

    @property
    def name(self) -> TableName:
        """The table."""
        return self.catalog.name

    @property
    def source(self) -> RowSource:
        """How its rows are read. Generated columns come last."""
        columns = tuple(sorted(self.columns, key=lambda column: bool(column.generated)))
        return RowSource(self.name, self.catalog.only, columns, self.day, self.catalog.order_by)

    def with_text(self, names: Sequence[str]) -> ProtectedTable:
        """The table with the named columns stored as text."""
        columns = tuple(as_text(column) if column.name in names else column for column in self.columns)
        return replace(self, columns=columns)


def protected_names(conn: Connection, configuration: Configuration) -> tuple[TableName, ...]:
    """Every table that backups cover: those configured, else all ordinary tables of the schema."""
    if configuration.tables is not None:
        return tuple(configuration.tables)
    return list_tables(conn, schema=configuration.source.schema)


def unprotected_names(conn: Connection, configuration: Configuration) -> tuple[TableName, ...]:
    """Ordinary tables in the schemas of the protected ones (and the configured schema) that no entry covers."""
    protected = set(protected_names(conn, configuration))
    schemas = {configuration.source.schema} | {name.schema for name in protected}
    return tuple(
        name for schema in sorted(schemas) for name in list_tables(conn, schema=schema) if name not in protected
    )


def read_protected(
    conn: Connection, configuration: Configuration, names: Sequence[TableName]
) -> tuple[ProtectedTable, ...]:
    """The named tables; raises ConfigurationError for a table or column that does not exist or does not fit."""
    tables = read_tables(conn, names, schema=configuration.source.schema)
    return tuple(
        protect(table, configuration.table(table.name), timezone=configuration.source.timezone) for table in tables
    )


def protect(table: CatalogTable, settings: TableSettings, *, timezone: str) -> ProtectedTable:
    """A catalog table under its settings."""
    wanted = [*(settings.key or ()), *(settings.required or ())]
    wanted += [name for columns in settings.scopes.values() for name in columns]
    _require_columns(table, wanted)
    if not table.columns:
        raise ConfigurationError(f"Table {table.name} has no columns.", meaning="There is nothing in it to back up.")
    return ProtectedTable(
        catalog=table,
        columns=tuple(
            msgspec.structs.replace(column, scope=settings.scope_of(column.name)) for column in table.columns
        ),
        day=_day_column(table, settings.day, timezone=timezone),
        key=table.key if settings.key is None else settings.key or None,
        required=settings.required or (),
        data_class=settings.data_class,
    )


def _day_column(table: CatalogTable, given: str | None, *, timezone: str) -> DayColumn | None:
    name = _discovered_day(table) if given is None else given
    if not name:
        return None
    _require_columns(table, [name])
    column = next(column for column in table.columns if column.name == name)
    kind = _DAY_KINDS.get(base_type(column.pg_type))
    if kind is None or column.generated:
        found = f"generated, {column.pg_type}" if column.generated else column.pg_type
        raise ConfigurationError(
            f"Column {name!r} of {table.name} cannot be the day column: it is {found}.",
            meaning="Rows are cut into days by a date, a timestamp or a timestamptz that is stored as it was written.",
            remedy='Name another column in moi.toml, or day = "" for a table without days.',
        )
    return DayColumn(column=name, kind=kind, timezone=timezone if kind == "timestamptz" else "")


def _discovered_day(table: CatalogTable) -> str:
    """The column `day` or `date` if it can be one, else the only column of type date, else none."""
    fit = {column.name: base_type(column.pg_type) for column in table.columns if not column.generated}
    usual = [name for name in _USUAL_DAY_NAMES if fit.get(name) in _DAY_KINDS]
    dates = [name for name, kind in fit.items() if kind == "date"]
    return usual[0] if usual else dates[0] if len(dates) == 1 else ""


def _require_columns(table: CatalogTable, names: Sequence[str]) -> None:
    missing = [name for name in names if table.column(name) is None]
    if missing:
        told = ", ".join(repr(name) for name in dict.fromkeys(missing))
        raise ConfigurationError(
            f"{table.name} has no column {told}, which the configuration names.",
            meaning="Nothing was written.",
            remedy=f"Its columns are: {', '.join(column.name for column in table.columns)}.",
        )
