"""Conditions that people write: one truth value for each row of a table, told by that row and nothing else.

Rows are judged chunk by chunk and at different times. So whatever looks past its row (subqueries, aggregates, windows)
or gives another answer when it is asked again (`random()`, `now()`) would be silently wrong, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, cast

import duckdb
import pyarrow as pa

from moi_backup.errors import UsageError
from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.parquet import with_uuids
from moi_backup.lake.untyped import arrow
from moi_backup.model.table import Column

_REFUSED_KINDS = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "a star",
    "PARAMETER": "a parameter",
    "LAMBDA": "a lambda",
}
_REMEDY = (
    "Write what may stand after WHERE, over the columns of the table alone: \"day = '2025-09-14' AND amount > 100\"; "
    "a name with capitals, spaces or signs is in double quotes."
)


def condition_sql(connection: Any, text: str, *, columns: Sequence[Column]) -> str:
    """The text as SQL that can stand anywhere in place of one boolean value, in parentheses of its own.

    Raises UsageError for anything but one boolean expression over these columns that depends on its row alone.
    `connection` is a sandbox; nothing is run on it but the parser and the binder.
    """
    expression = _parsed(connection, text)
    _refuse_kinds(connection, text, expression)
    used = _columns_used(text, expression, columns)
    sql = f"({text}\n)"  # the line ends a comment
    _require_boolean(connection, text, sql, used)
    return sql


def columns_of_condition(connection: Any, sql: str, *, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that a result of `condition_sql` reads, in the order of the table."""
    return _columns_used(sql, _parsed(connection, sql), columns)


def refused_condition(text: str, why: str) -> UsageError:
    """The refusal of a condition."""
    return UsageError(f"The condition {text!r} cannot be used: {why}.", remedy=_REMEDY)


def _parsed(connection: Any, text: str) -> Any:
    """The syntax tree of a text that is one whole expression.

    It is parsed between two words, where what closes a bracket early does not fit, and later bound between brackets,
    where what goes on with a word of its own does not.
    """
    node = _single_value(connection, text, f"SELECT CASE WHEN {text}\nTHEN true END")
    if node["class"] != "CASE" or len(node["case_checks"]) != 1:
        raise refused_condition(text, "it is not one expression")
    return node["case_checks"][0]["when_expr"]


def _single_value(connection: Any, text: str, statement: str) -> Any:
    """The only value that a SELECT without anything else selects."""
    try:
        # All rows are fetched: a result with more to come would block the connection.
        [answer] = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
    except duckdb.Error as error:
        raise refused_condition(text, str(error).strip()) from error
    tree = json.loads(answer[0])
    if tree["error"]:
        raise refused_condition(text, tree.get("error_message", "it is no SQL"))
    node = tree["statements"][0]["node"]
    bare = node["type"] == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY" and node["where_clause"] is None
    if len(tree["statements"]) != 1 or not bare or node["modifiers"] or len(node["select_list"]) != 1:
        raise refused_condition(text, "it is not one expression")
    return node["select_list"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a syntax tree."""
    if isinstance(tree, dict):
        found = cast("dict[str, Any]", tree)
        yield found
        for part in found.values():
            yield from _nodes(part)
    elif isinstance(tree, list):
        for part in cast("list[Any]", tree):
            yield from _nodes(part)


def _refuse_kinds(connection: Any, text: str, expression: Any) -> None:
    functions: set[str] = set()
    for node in _nodes(expression):
        if (kind := str(node.get("class"))) in _REFUSED_KINDS:
            raise refused_condition(text, f"it has {_REFUSED_KINDS[kind]}, which looks past its row")
        if kind == "FUNCTION":
            functions.add(str(node["function_name"]).casefold())
    changing = sorted(functions & _changing_functions(connection))
    if changing:
        raise refused_condition(text, f"{changing[0]}() gives another answer each time it is asked")


def _changing_functions(connection: Any) -> set[str]:
    """The functions whose value does not follow from their arguments."""
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    return {str(name).casefold() for (name,) in connection.execute(sql).fetchall()}


def _columns_used(text: str, expression: Any, columns: Sequence[Column]) -> tuple[Column, ...]:
    names = {".".join(node["column_names"]) for node in _nodes(expression) if node.get("class") == "COLUMN_REF"}
    used = [_column(text, name, columns) for name in names]
    return tuple(column for column in columns if column in used)


def _column(text: str, name: str, columns: Sequence[Column]) -> Column:
    """The column of a name, which SQL takes without regard to capitals."""
    found = [column for column in columns if column.name.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise refused_condition(text, f"{name} may be any of {', '.join(column.name for column in found)}")
    near = get_close_matches(name, [column.name for column in columns], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise refused_condition(text, f"the table has no column {name}{hint}")


def _require_boolean(connection: Any, text: str, sql: str, used: Sequence[Column]) -> None:
    """Bind it, and try it on a row of NULLs: a constant that is no value of its type is found before rows are read."""
    schema = schema_of(used) if used else pa.schema([pa.field("nothing", pa.bool_())])
    nulls: pa.Table = arrow.Table.from_arrays([arrow.nulls(1, kind) for kind in schema.types], schema=schema)
    try:
        judged = connection.from_arrow(with_uuids(nulls, used)).filter(f"{sql} OR true").project(sql)
        kind = str(judged.types[0])
        judged.fetchall()
    except duckdb.Error as error:
        raise refused_condition(text, str(error).strip()) from error
    if kind != "BOOLEAN":
        raise refused_condition(text, f"its value is {kind}, not true or false")
