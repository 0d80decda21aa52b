"""Reading `moi.toml`: text to `Configuration`, with every unknown key refused by its path and the nearest known one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import msgspec

from moi_backup.errors import ConfigurationError
from moi_backup.model.configuration import (
    Configuration,
    DrillSettings,
    RepositorySettings,
    RestoreSettings,
    SourceSettings,
    TableSettings,
    platform_default,
)
from moi_backup.model.table import TableName, parse_table_name

SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "source": SourceSettings,
    "repository": RepositorySettings,
    "restore": RestoreSettings,
    "drill": DrillSettings,
}
LATER_SECTIONS = ("alerts", "encryption", "objectives", "reports", "retention", "schedules", "storage", "uploads")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_REMEDY = "docs/configuration.md describes every key."
_Document = dict[str, Any]
_Section = TypeVar("_Section", bound=msgspec.Struct)


def parse_configuration(text: str, *, file: str) -> Configuration:
    """The configuration that a file's text describes; `file` is its name for messages and origins.

    Raises ConfigurationError for anything that is not TOML, not known, of the wrong type or without sense.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}.", remedy=_REMEDY) from error
    problems = list(_unknown_keys(document))
    if problems:
        raise ConfigurationError(
            "\n".join(f"{file}: {problem}" for problem in problems),
            meaning="Nothing was read from the file: a key that is not obeyed could leave data unprotected.",
            remedy=_REMEDY,
        )
    source = _convert(document.get("source", {}), SourceSettings, path="source", file=file)
    return Configuration(
        tables=_tables(document, schema=source.schema, file=file),
        source=source,
        repository=_convert(document.get("repository", {}), RepositorySettings, path="repository", file=file),
        restore=_convert(document.get("restore", {}), RestoreSettings, path="restore", file=file),
        drill=_convert(document.get("drill", {}), DrillSettings, path="drill", file=file),
        file=file,
        given=frozenset(_given(document, schema=source.schema)),
    )


def setting_path(*keys: str) -> str:
    """The path of a key as TOML writes it: `tables."public.meta_import_data".day`."""
    return ".".join(key if _BARE_KEY.fullmatch(key) else _quoted(key) for key in keys)


def known_keys(section: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys of a section as the file spells them."""
    return tuple(field.encode_name for field in msgspec.structs.fields(section))


def _quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tables(document: _Document, *, schema: str, file: str) -> dict[TableName, TableSettings] | None:
    """The entries of `[tables]`, each laid over the platform's default for its table; None without the section."""
    if "tables" not in document:
        return None
    if not document["tables"]:
        raise ConfigurationError(
            f"{file}: [tables] is empty, so no table would be protected.",
            remedy="Name at least one table, or remove the section to protect all ordinary tables of the schema.",
        )
    tables: dict[TableName, TableSettings] = {}
    for text, entry in document["tables"].items():
        name = _table_name(text, schema=schema, file=file)
        if name in tables:
            raise ConfigurationError(f"{file}: [tables] has two entries for {name}.", remedy="Keep one of them.")
        default = msgspec.to_builtins(platform_default(name, schema=schema))
        tables[name] = _convert(default | entry, TableSettings, path=setting_path("tables", text), file=file)
    return tables


def _table_name(text: str, *, schema: str, file: str) -> TableName:
    try:
        return parse_table_name(text, default_schema=schema)
    except ValueError as error:
        raise ConfigurationError(
            f"{file}: {setting_path('tables', text)}: {error}.",
            remedy='Write a table as [tables."schema.name"]; a part that holds a dot or a quote is quoted as in SQL.',
        ) from error


def _convert(value: object, section: type[_Section], *, path: str, file: str) -> _Section:
    try:
        return msgspec.convert(value, section)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).replace(" | null", "").partition(" - at `$")
        raise ConfigurationError(f"{file}: {path}{inner.rstrip('`')}: {message}.", remedy=_REMEDY) from error


def _unknown_keys(document: _Document) -> Iterator[str]:
    for name, section in document.items():
        if name not in SECTIONS and name != "tables":
            yield _unknown_section(name)
        elif not isinstance(section, dict):
            yield f"{name} must be a section, [{name}]."
        elif name == "tables":
            for table, entry in cast("Mapping[str, object]", section).items():
                yield from _unknown_keys_of_table(table, entry)
        else:
            yield from _unknown_in(cast("_Document", section), SECTIONS[name], name)


def _unknown_section(name: str) -> str:
    if name in LATER_SECTIONS:
        return f"[{name}] is not in this release, and nothing would obey it; remove it."
    homes = [setting_path(home, name) for home, section in SECTIONS.items() if name in known_keys(section)]
    near = homes or get_close_matches(name, [*SECTIONS, "tables"], n=1)
    return f"unknown key {setting_path(name)}.{_suggestion(near)}"


def _unknown_keys_of_table(table: str, entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{setting_path('tables', table)} must be a section, [{setting_path('tables', table)}]."
        return
    for key, value in cast("_Document", entry).items():
        if key not in known_keys(TableSettings) and isinstance(value, dict):
            yield (
                f"unknown key {setting_path('tables', table, key)}. A table's name is one quoted key: "
                f"did you mean [{setting_path('tables', f'{table}.{key}')}]?"
            )
        else:
            yield from _unknown_in({key: value}, TableSettings, "tables", table)


def _unknown_in(section: _Document, known: type[msgspec.Struct], *path: str) -> Iterator[str]:
    keys = known_keys(known)
    for key in section:
        if key not in keys:
            near = [setting_path(*path, match) for match in get_close_matches(key, keys, n=1)]
            elsewhere = [setting_path(home, key) for home, other in SECTIONS.items() if key in known_keys(other)]
            yield f"unknown key {setting_path(*path, key)}.{_suggestion(elsewhere or near)}"


def _suggestion(near: list[str]) -> str:
    return f" Did you mean {near[0]}?" if near else ""


def _given(document: _Document, *, schema: str) -> Iterator[str]:
    """The path of every key in the file, tables under the name that `str(TableName)` gives them."""
    for section, content in document.items():
        yield setting_path(section)
        for key, value in content.items():
            if section == "tables":
                name = str(parse_table_name(key, default_schema=schema))
                yield from (setting_path(section, name, inner) for inner in value)
            else:
                yield setting_path(section, key)
