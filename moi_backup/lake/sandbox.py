"""DuckDB where it reaches nothing: no file, no network, no extension. Rows come to it as Arrow, checked before."""

from __future__ import annotations

from typing import Any

import duckdb

MEMORY = "1GB"


def open_sandbox() -> Any:
    """An in-memory database that reaches no file; memory is bounded, nothing is spilled to disk, times are UTC."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": MEMORY,
            "temp_directory": "",
        },
    )
    # Texts of moments would otherwise depend on the zone of the machine.
    return connection.execute("SET TimeZone = 'UTC'")


def quoted(name: str) -> str:
    """A name as SQL writes it whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
