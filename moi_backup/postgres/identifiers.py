"""Names and strings as SQL text, for statements that take no parameters (DDL, COPY, what ADBC runs)."""

from __future__ import annotations

from collections.abc import Iterable

from moi_backup.model.table import TableName


def quote_identifier(name: str) -> str:
    """The name in double quotes, always, so that case and key words never matter."""
    if "\0" in name:
        raise ValueError("a name cannot hold a zero byte")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """The string as a literal that reads the same under either setting of standard_conforming_strings."""
    if "\0" in text:
        raise ValueError("a text value cannot hold a zero byte")
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return "E" + quoted if "\\" in text else quoted


def qualified(table: TableName) -> str:
    """The table as `"schema"."name"`."""
    return f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"


def identifier_list(names: Iterable[str]) -> str:
    """Column names quoted and separated by commas."""
    return ", ".join(quote_identifier(name) for name in names)


def literal_list(texts: Iterable[str]) -> str:
    """String literals separated by commas."""
    return ", ".join(quote_literal(text) for text in texts)
