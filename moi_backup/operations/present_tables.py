"""What a resumed restore finds in the target: whether the definitions of tables that are there are the backup's.

The target is dumped by the program that dumped the backup, and the texts are compared statement by statement. Grants
are left out: they belong to the roles of a server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from moi_backup.model.table import TableName
from moi_backup.postgres.schema_archive import Entry, read_archive, statements
from moi_backup.postgres.schema_dump import dump_schema
from moi_backup.postgres.schema_restore import SchemaPlan, plan_schema

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Present:
    """In what each table differs ("" in nothing), and the statements between tables that were carried out already."""

    differs: dict[TableName, str]
    final: frozenset[str]


def read_present(
    url: str, entries: Sequence[Entry], tables: Collection[TableName], *, roles: Collection[str], server_major: int
) -> Present:
    """Compare the tables of the target with the backup's `entries`; raises SourceError when it cannot be dumped."""
    with tempfile.TemporaryDirectory(prefix="moi-present-") as folder:
        archive, schemas = Path(folder) / "archive", sorted({table.schema for table in tables})
        dump_schema(url, None, schemas, server_major=server_major, into=archive)
        there = read_archive(archive, server_major=server_major)
    ours, theirs = _plan_all(entries, roles), _plan_all(there, roles)
    return Present(
        differs={table: _difference(_texts(ours, table), _texts(theirs, table)) for table in tables},
        final=frozenset(theirs.final),
    )


def _plan_all(entries: Sequence[Entry], roles: Collection[str]) -> SchemaPlan:
    every = [TableName(entry.schema, entry.name) for entry in entries if entry.kind == "TABLE"]
    attached = {TableName(entry.schema, entry.name) for entry in entries if entry.kind == "TABLE ATTACH"}
    return plan_schema(entries, [name for name in every if name not in attached], roles=roles)


def _texts(plan: SchemaPlan, table: TableName) -> frozenset[str]:
    found = (one for one in plan.tables if one.table == table)
    texts = (text for one in found for sql in (one.create_sql, one.finish_sql) for text in statements(sql))
    return frozenset(text for text in texts if not text.startswith(("GRANT ", "REVOKE ")))


def _difference(ours: frozenset[str], theirs: frozenset[str]) -> str:
    """The first line of a statement that only one side has."""
    mine, other = _lines(ours - theirs), _lines(theirs - ours)
    missing, more = sorted(mine - other) or sorted(mine), sorted(other - mine) or sorted(other)
    told = [f"it lacks {_short(missing[0])}"] if missing else []
    told += [f"it has {_short(more[0])}"] if more else []
    return " and ".join(told)


def _lines(texts: frozenset[str]) -> frozenset[str]:
    return frozenset(line.strip().rstrip(",") for text in texts for line in text.split("\n") if line.strip())


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
