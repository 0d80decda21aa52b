"""Explain the configuration: every resolved setting with its value and its origin, as `config check` shows them.

Pure: what the catalog says is an argument. Origins are `default`, the file's name, `environment MOI_X` and
`discovered from the catalog`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from moi_backup.model.configuration import Configuration, TableSettings
from moi_backup.model.configuration_document import setting_path
from moi_backup.model.table import DayColumn, TableName
from moi_backup.operations.protect import ProtectedTable
from moi_backup.settings import Settings

DISCOVERED = "discovered from the catalog"
UNKNOWN = "(not connected)"


class ExplainedSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting: its path as in `moi.toml`, its value for people, and where the value comes from."""

    name: str
    value: str
    origin: str


def explain(settings: Settings, *, tables: Sequence[ProtectedTable] | None = None) -> tuple[ExplainedSetting, ...]:
    """Every setting in the order of docs/configuration.md; `tables` None: the catalog was not asked.

    No value holds a password.
    """
    return (*_explain_places(settings), *_explain_source(settings), *_explain_tables(settings.configuration, tables))


def explanation_lines(explained: Iterable[ExplainedSetting]) -> list[str]:
    """The explanation as aligned plain lines `name = value   # origin`, names and values each in a column."""
    rows = list(explained)
    name_width = max((len(row.name) for row in rows), default=0)
    # One long URL or column list must not push every origin off the screen.
    value_width = max((len(row.value) for row in rows if len(row.value) <= 48), default=0)
    return [f"{row.name:<{name_width}} = {row.value:<{value_width}}  # {row.origin}" for row in rows]


def _explain_places(settings: Settings) -> Iterator[ExplainedSetting]:
    configuration = settings.configuration
    yield ExplainedSetting("state", str(settings.state.path), settings.state.origin)
    yield ExplainedSetting("repository.address", settings.repository.address, settings.repository.origin)
    copy = settings.copy
    yield ExplainedSetting("repository.copy", copy.address if copy else "none", copy.origin if copy else "default")
    drill = settings.drill
    yield ExplainedSetting("drill.url", "embedded server" if drill.embedded else drill.shown, drill.origin)
    target = settings.restore_target
    yield ExplainedSetting("restore.url", target.shown, target.origin)
    yield _plain(configuration, "restore", "schema", configuration.restore.schema)
    yield ExplainedSetting("source.url", settings.source.shown, settings.source.origin)


def _explain_source(settings: Settings) -> Iterator[ExplainedSetting]:
    configuration = settings.configuration
    source = configuration.source
    yield _plain(configuration, "source", "schema", source.schema)
    yield _plain(configuration, "source", "timezone", source.timezone)
    yield _plain(configuration, "source", "partition_start", source.partition_start.isoformat())
    yield _plain(configuration, "source", "lock_timeout", f"{source.lock_timeout:g} s")
    yield _plain(configuration, "source", "max_duration", f"{source.max_duration:g} h")


def _plain(configuration: Configuration, section: str, key: str, value: str) -> ExplainedSetting:
    path = setting_path(section, key)
    return ExplainedSetting(path, value, configuration.origin(path))


def _explain_tables(
    configuration: Configuration, tables: Sequence[ProtectedTable] | None
) -> Iterator[ExplainedSetting]:
    if configuration.tables is None:
        everything = f"all ordinary tables of schema {configuration.source.schema}"
        yield ExplainedSetting("tables", everything, configuration.origin("tables"))
    if tables is None:
        for name, table in (configuration.tables or {}).items():
            yield from _explain_configured(configuration, name, table)
    else:
        for resolved in tables:
            yield from _explain_resolved(configuration, resolved)


def _explain_configured(
    configuration: Configuration, name: TableName, table: TableSettings
) -> Iterator[ExplainedSetting]:
    """A table as configured alone: what the catalog would decide is said to be unknown."""
    for key, value in (
        ("day", table.day if table.day is None else _text(table.day)),
        ("key", table.key if table.key is None else _list(table.key)),
        ("required", _list(table.required or ())),
        ("class", table.data_class),
        ("newer_by", _text(table.newer_by or "")),
        ("scopes", _scopes((scope, column) for scope, columns in table.scopes.items() for column in columns)),
    ):
        path = setting_path("tables", str(name), key)
        origin = DISCOVERED if value is None else configuration.origin(path)
        yield ExplainedSetting(path, UNKNOWN if value is None else value, origin)


def _explain_resolved(configuration: Configuration, resolved: ProtectedTable) -> Iterator[ExplainedSetting]:
    """A table as it will be backed up; a value the configuration does not hold was discovered."""
    configured = configuration.table(resolved.name)
    day = "" if resolved.day is None else resolved.day.column
    scopes = [(column.scope, column.name) for column in resolved.columns if column.scope != "default"]
    for key, value, agrees in (
        ("day", _day(resolved.day), configured.day == day),
        ("key", _list(resolved.key or ()), configured.key == (resolved.key or ())),
        ("required", _list(resolved.required), True),
        ("class", resolved.data_class, True),
        ("newer_by", _text(configured.newer_by or ""), True),
        ("scopes", _scopes(scopes), True),
    ):
        path = setting_path("tables", str(resolved.name), key)
        yield ExplainedSetting(path, value, configuration.origin(path) if agrees else DISCOVERED)


def _text(value: str) -> str:
    return value or "none"


def _list(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"


def _scopes(pairs: Iterable[tuple[str, str]]) -> str:
    scopes: dict[str, list[str]] = {}
    for scope, column in pairs:
        scopes.setdefault(scope, []).append(column)
    return "; ".join(f"{scope}: {', '.join(columns)}" for scope, columns in sorted(scopes.items())) or "none"


def _day(day: DayColumn | None) -> str:
    if day is None:
        return "none"
    return f"{day.column} ({day.kind}{f' in {day.timezone}' if day.timezone else ''})"
