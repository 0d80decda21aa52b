"""The protected database, its repository, and what must come back of every backup: rows as Postgres prints them."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psycopg

from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName
from moi_backup.repository.chain import states
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.reachability import list_debris
from tests.engine.copies import CopiedDeployment
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
Fate = Literal["listed", "in the trash", "gone"]


@dataclass(frozen=True)
class Recorded:
    """A backup that was published: what it covers, and the whole database at its moment.

    One that is `held` undoes a restore and may not expire yet.
    """

    id: str
    days: DayRange | None
    tables: tuple[str, ...]
    state: State
    complete: bool
    held: bool = False


class World:
    """One deployment from its beginning, with everything that was backed up. `seen` counts what happened.

    `states` is what became of each backup; `copied` are the ids that the copy lists.
    """

    def __init__(self, place: Place, *, seen: Counter[str], encrypted: bool) -> None:
        self.place, self.seen, self.encrypted = place, seen, encrypted
        shutil.rmtree(place.folder, ignore_errors=True)
        place.folder.mkdir()
        self.deployment = Deployment(place.url, place.folder)
        if encrypted:
            self.add_master_key()
        self.deployment.configure("")
        self.deployment.initialise()
        self.everything: list[Recorded] = []
        self.states: dict[str, Fate] = {}
        self.copied: list[str] = []
        self._fresh = 0
        self._conn = psycopg.connect(place.url, autocommit=True)
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TYPE mood AS ENUM ('sad', 'ok')")

    @property
    def recorded(self) -> list[Recorded]:
        """The backups that are listed, in the order of publishing."""
        return self.in_state("listed")

    def in_state(self, state: Fate) -> list[Recorded]:
        """The backups that this became of."""
        return [made for made in self.everything if self.states[made.id] == state]

    @property
    def with_copy(self) -> CopiedDeployment:
        """The same deployment with its copy configured: reads fall back to it."""
        return CopiedDeployment(self.place.url, self.place.folder, keys=self.deployment.keys)

    def add_master_key(self) -> None:
        """Configure one more, as before a rotation; the older ones stay for the copy, which has not heard of it."""
        number = len(self.deployment.keys) + 1
        keys = {**self.deployment.keys, f"MOI_KEY_{number}": generate_master(os.urandom)}
        self.deployment = replace(self.deployment, keys=keys)

    def configure(self) -> None:
        """In an encrypted repository some columns of the tables there are now have scopes of their own."""
        if self.encrypted:
            self.deployment.configure("".join(map(_configuration, self.tables())))

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
        coverage = manifest.coverage
        held = manifest.kind == "pre_restore"
        made = Recorded(manifest.id, coverage.days, covered, state, complete=coverage.complete, held=held)
        wanted = state if manifest.coverage.tables is None else covered
        assert set(covered) == {name for name in wanted if made.days is None or state[name].day is not None}, (
            "a table is missing from the backup"
        )
        rows = {name_of(entry.table): entry.rows for entry in manifest.tables}
        assert rows == {name: len(state[name].within(made.days)) for name in covered}
        self.everything.append(made)
        self.states[made.id] = "listed"
        return made

    def record_undo(self, state: State) -> None:
        """Remember the backups that restores in place made of what they replaced; `state` is that before them."""
        known = {made.id for made in self.everything}
        for manifest in self.deployment.backups():
            if manifest.id not in known:
                assert manifest.kind == "pre_restore"
                self.record(manifest, state)

    def see_states(self, *, allowed: Mapping[str, Fate]) -> None:
        """Look what became of every backup after an operation that may have made this of these, and of no others."""
        words: dict[str, Fate] = {"expire": "in the trash", "prune": "gone"}
        _, chain = self.deployment.workspace.history()
        for backup, action in states(chain).items():
            found = words.get(action, "listed")
            assert found in (self.states[backup], allowed.get(backup)), (backup, found)
            self.states[backup] = found

    @contextmanager
    def without_primary(self) -> Generator[None]:
        """The repository is lost, for a while."""
        repository = self.place.folder / "repository"
        away = repository.rename(repository.with_name("away"))
        try:
            yield
        finally:
            shutil.rmtree(repository, ignore_errors=True)
            away.rename(repository)

    def check_copy(self, backups: Sequence[str]) -> None:
        """Restore some of the copy's backups from it alone."""
        known = {made.id: made for made in self.everything}
        with self.without_primary():
            for backup in backups:
                self.check_restored(known[backup], on=self.with_copy)

    def check_restored(self, recorded: Recorded, *, days: DayRange | None = None, on: Deployment | None = None) -> None:
        """Restore a backup (or some of its days) into a scratch schema, which must hold exactly its rows, and go."""
        result = (on or self.deployment).restore(backup=recorded.id, schema="scratch", days=days)
        found = state_of(self.place.url, schema="scratch")
        self.sql("DROP SCHEMA IF EXISTS scratch CASCADE")  # where no table can be restored by days, none is made
        possible = {name for name in recorded.tables if days is None or recorded.state[name].day is not None}
        assert {name_of(table.table) for table in result.tables if table.status == "restored"} == possible, result
        assert {name: content.rows for name, content in found.items()} == {
            name: recorded.state[name].within(days or recorded.days) for name in possible
        }

    def unneeded(self) -> int:
        """How many objects no backup needs."""
        return len(list_debris(self.deployment.workspace.open()).unreachable)

    def listed(self) -> list[str]:
        """The ids of the backups that the repository lists."""
        return [backup.id for backup in self.deployment.backups()]


def _configuration(table: Table) -> str:
    """The section of a table: its first text is personal, its numbers are financial."""
    columns = {
        "pii": [name for name, kind in table.columns if kind == "text"][:1],
        "financial": [name for name, kind in table.columns if kind.startswith(("numeric", "double"))],
    }
    scopes = ", ".join(f"{scope} = {json.dumps(names)}" for scope, names in columns.items() if names)
    day = next((f"day = {json.dumps(name)}" for name, kind in table.columns if kind == "date"), "")
    return f"[tables.{json.dumps(table.plain_name)}]\n{day}\nscopes = {{ {scopes} }}\n"


def state_of(url: str, *, schema: str = "public") -> State:
    """Every table of a schema, under its name without the schema."""
    return {name: Content(*found) for name, found in contents_of(url, schema=schema).items()}


def name_of(table: TableName) -> str:
    """A table's name as the oracle writes it: without the schema, quoted where it must be."""
    return table.name if table.name.isidentifier() and table.name.islower() else quoted(table.name)
