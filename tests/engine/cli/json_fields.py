"""The fields of a document type as paths: `tables[].name`, `day_rows{}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect


def field_paths(kind: Any) -> list[str]:
    """Every path below a type, parents included, in the order of the document."""
    return list(_paths(inspect.type_info(kind), ""))


def paths_in(value: Any, path: str = "") -> set[str]:
    """Every path that a decoded document really has; the keys of a map count as one, when `path` ends with `{}`."""
    if isinstance(value, dict):
        return {f"{path}.{key}" for key in value} | {p for key in value for p in paths_in(value[key], f"{path}.{key}")}
    if isinstance(value, list):
        return {p for item in value for p in paths_in(item, f"{path}[]")}
    return set()


def _paths(info: Any, path: str) -> Iterator[str]:
    if isinstance(info, inspect.UnionType):
        for kind in info.types:
            yield from _paths(kind, path)
    elif isinstance(info, inspect.StructType):
        for field in info.fields:
            name = f"{path}.{field.encode_name}".lstrip(".")
            yield f"{name}{_suffix(field.type)}"
            yield from _paths(field.type, name)
    elif isinstance(info, inspect.VarTupleType):
        yield from _paths(info.item_type, f"{path}[]")
    elif isinstance(info, inspect.DictType):
        yield from _paths(info.value_type, f"{path}{{}}")


def _suffix(info: Any) -> str:
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    if any(isinstance(kind, inspect.VarTupleType) for kind in kinds):
        return "[]"
    return "{}" if any(isinstance(kind, inspect.DictType) for kind in kinds) else ""


