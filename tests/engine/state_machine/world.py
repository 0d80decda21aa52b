"""The protected database, its repository, and what must come back of every backup: rows as Postgres prints them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName
from tests.engine.deployment import Deployment
from tests.engine.oracle import Rows, contents_of
from tests.engine.state_machine.changes import Change, Table, quoted

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY c.relname, a.attnum
"""
_LABELS = "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'mood'::regtype ORDER BY enumsortorder"
_TWO_FIELDS = ("text", "double precision")  # the oracle gives these a second one: bytes, or bits


@dataclass(frozen=True)
class Place:
    """Where machines work, one after the other: a database, one to restore into, and a folder."""

    url: str
    empty: Callable[[], str]
    folder: Path


@dataclass(frozen=True)
class Content:
    """A table at one moment: its definition and all its rows."""

    definition: tuple[tuple[Any, ...], ...]
    rows: Rows

    @property
    def day(self) -> int | None:
        """Where a row has its day."""
        place = 0
        for _, _, kind, *_ in self.definition:
            if kind == "date":
                return place
            place += 2 if kind in _TWO_FIELDS else 1
        return None

    def within(self, days: DayRange | None) -> Rows:
        """The rows of some days."""
        place = self.day
        if days is None or place is None:
            return self.rows
        return [row for row in self.rows if days.first <= (row[place] or "") <= days.last]

    def keys(self) -> set[str]:
        """The values of `id`, where there is one."""
        return set() if self.definition[0][0] != "id" else {row[0] or "" for row in self.rows}


State = dict[str, Content]


@dataclass(frozen=True)
class Recorded:
    """A backup that was published: what it covers, and the whole database at its moment."""

    id: str
    days: DayRange | None
    tables: tuple[str, ...]
    state: State
    complete: bool


class World:
    """One deployment from its beginning, with everything that was backed up. `seen` counts what happened."""

    def __init__(self, place: Place, *, seen: Counter[str]) -> None:
        self.place, self.seen = place, seen
        shutil.rmtree(place.folder, ignore_errors=True)
        place.folder.mkdir()
        self.deployment = Deployment(place.url, place.folder)
        self.deployment.configure("")
        self.deployment.initialise()
        self.recorded: list[Recorded] = []
        self._fresh = 0
        self._conn = psycopg.connect(place.url, autocommit=True)
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TYPE mood AS ENUM ('sad', 'ok')")

    def close(self) -> None:
        """End the application's session."""
        self._conn.close()

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run statements as the application."""
        cursor = self._conn.execute(text.encode())
        return cursor.fetchall() if cursor.description else []

    def tables(self) -> list[Table]:
        """The tables there are."""
        labels = tuple(label for (label,) in self.sql(_LABELS))
        columns: dict[str, list[tuple[str, str]]] = {}
        for table, column, kind in self.sql(_COLUMNS):
            columns.setdefault(table, []).append((column, kind))
        return [Table(quoted(name), tuple(found), labels) for name, found in columns.items()]

    def change(self, change: Change) -> None:
        """Carry out one change; what Postgres refuses (a NOT NULL day, a key that is taken) did not happen."""
        self._fresh += 1
        for statement in change.sql(self.tables(), fresh=self._fresh):
            try:
                self.sql(statement)
            except psycopg.errors.IntegrityError:
                self.seen["refused change"] += 1
        self.seen[change.verb] += 1

    def state(self) -> State:
        """Every table as it is now."""
        return state_of(self.place.url)

    def record(self, manifest: BackupManifest, state: State) -> Recorded:
        """Remember what a published backup must give back; it must list the tables it covers with all their rows."""
        covered = tuple(name_of(entry.table) for entry in manifest.tables)
        made = Recorded(manifest.id, manifest.coverage.days, covered, state, complete=manifest.coverage.complete)
        wanted = state if manifest.coverage.tables is None else covered
        assert set(covered) == {name for name in wanted if made.days is None or state[name].day is not None}, (
            "a table is missing from the backup"
        )
        rows = {name_of(entry.table): entry.rows for entry in manifest.tables}
        assert rows == {name: len(state[name].within(made.days)) for name in covered}
        self.recorded.append(made)
        return made

    def check_restored(self, recorded: Recorded, *, days: DayRange | None = None) -> None:
        """Restore a backup (or some of its days) into a scratch schema, which must hold exactly its rows, and go."""
        result = self.deployment.restore(backup=recorded.id, schema="scratch", days=days)
        found = state_of(self.place.url, schema="scratch")
        self.sql("DROP SCHEMA IF EXISTS scratch CASCADE")  # where no table can be restored by days, none is made
        possible = {name for name in recorded.tables if days is None or recorded.state[name].day is not None}
        assert {name_of(table.table) for table in result.tables if table.status == "restored"} == possible, result
        assert {name: content.rows for name, content in found.items()} == {
            name: recorded.state[name].within(days or recorded.days) for name in possible
        }

    def listed(self) -> list[str]:
        """The ids of the backups that the repository lists."""
        return [backup.id for backup in self.deployment.backups()]


def state_of(url: str, *, schema: str = "public") -> State:
    """Every table of a schema, under its name without the schema."""
    return {name: Content(*found) for name, found in contents_of(url, schema=schema).items()}


def name_of(table: TableName) -> str:
    """A table's name as the oracle writes it: without the schema, quoted where it must be."""
    return table.name if table.name.isidentifier() and table.name.islower() else quoted(table.name)
