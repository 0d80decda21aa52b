"""The backup before a restore: exactly the rows that will be replaced, taken under the lock that replaces them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from moi_backup.errors import ConfigurationError, Locked, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.table import TableManifest, TableName
from moi_backup.operations.expire_backups import expire_backups
from moi_backup.operations.list_backups import list_backups
from moi_backup.operations.store_undo import UndoRequest, store_undo
from moi_backup.operations.verify import verify
from moi_backup.repository import documents, layout
from moi_backup.repository.backups import LATEST, resolve_backup
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.reading import files_of
from tests.engine.copies import CopiedDeployment
from tests.engine.oracle import rows_of

RESTORE = "20261124T203000Z-000001"
SALES = TableName("public", "sales")
SCRIPT = """
CREATE TABLE sales (id int PRIMARY KEY, day date, amount numeric, name text);
INSERT INTO sales SELECT i, date '2025-01-01' + i % 90, i / 4.0, 'name ' || i FROM generate_series(1, 300) i;
INSERT INTO sales VALUES (900, NULL, NULL, 'undated');
CREATE TABLE notes (text text);
"""
LOSS = "DELETE FROM sales WHERE id % 3 = 0; UPDATE sales SET amount = 0 WHERE day < '2025-02-01'"
CONFIGURATION = """
[tables.sales]
day = "day"
scopes = { pii = ["name"] }
[tables.notes]
"""


ALMOST, MINUTE = timedelta(days=30, seconds=-30), timedelta(minutes=1)


class At(SystemClock):
    """The real clock, but for the date."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path, request: pytest.FixtureRequest) -> CopiedDeployment:
    """Two tables with a full backup, and a loss after it; encrypted where the parameter says so."""
    keys = {"MOI_KEY_1": generate_master(os.urandom)} if getattr(request, "param", False) else {}
    made = CopiedDeployment(empty_database(), tmp_path, keys=keys)
    made.configure(CONFIGURATION)
    made.initialise()
    made.sql(SCRIPT)
    made.back_up(full=True)
    made.sql(LOSS)
    return made


def restored_as(shop: CopiedDeployment) -> TableManifest:
    """The manifest of the sales as the first backup has them."""
    entry = next(entry for entry in shop.backups()[0].tables if entry.table == SALES)
    return shop.workspace.open().read_table(entry.manifest)


def undo(shop: CopiedDeployment, url: str = "", target: TableName = SALES, **request: Any) -> BackupManifest:
    """Keep what a restore is about to replace, as a restore does: under the lease and the lock of the table."""
    known: dict[str, Any] = {"like": restored_as(shop), "days": None, "restore": RESTORE, "reason": "a test", **request}
    workspace = shop.workspace
    with workspace.writing(workspace.open(), operation="restore", wait=0) as lease, locked(url or shop.url, target):
        return store_undo(workspace, lease, url or shop.url, UndoRequest(target=target, **known))


@contextmanager
def locked(url: str, table: TableName) -> Generator[psycopg.Connection[Any]]:
    """A session that holds the lock of a restore in place."""
    with psycopg.connect(url) as conn:
        conn.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE".encode())
        yield conn
        conn.rollback()


@pytest.mark.parametrize("shop", [False, True], indirect=True, ids=["plain", "encrypted"])
def test_the_rows_that_will_be_replaced_are_kept_under_their_lock(shop: CopiedDeployment) -> None:
    """An ordinary published backup of that table alone; it verifies and holds exactly the live rows."""
    live = rows_of(shop.url, "public.sales")
    made = undo(shop)
    assert (made.kind, made.restore, made.reason, made.unprotected) == ("pre_restore", RESTORE, "a test", ())
    assert (made.coverage.tables, made.coverage.days) == (("public.sales",), None)
    assert made == shop.backups()[-1]
    assert verify(shop.workspace, read_data=True).faults == ()
    assert shop.restore(backup=made.id, schema="kept").complete
    assert rows_of(shop.url, "kept.sales") == live


def test_a_backup_before_a_restore_is_never_built_on(shop: CopiedDeployment) -> None:
    """It is not the latest, and the next backup has the base that it would have had."""
    (first,) = shop.backups()
    made = undo(shop)
    assert resolve_backup(*shop.workspace.history(), LATEST).id == first.id
    assert made.base == first.id
    assert shop.back_up().manifest.base == first.id


def test_unchanged_chunks_are_those_of_the_newest_complete_backup(shop: CopiedDeployment) -> None:
    """What did not change since costs nothing."""
    shop.sql("INSERT INTO sales VALUES (1000, '2025-06-01')")
    complete = shop.back_up(full=True).manifest
    made = undo(shop)
    assert [entry.new_chunks for entry in made.tables] == [0]
    assert made.tables[0].digest == next(entry.digest for entry in complete.tables if entry.table == SALES)


def test_the_kept_rows_come_back_in_place(shop: CopiedDeployment) -> None:
    """After the restore replaced them, all of them or the days that were kept."""
    live = rows_of(shop.url, "public.sales")
    days = DayRange("2025-01-05", "2025-01-20")
    whole, part = undo(shop), undo(shop, days=days)
    assert shop.restore_in_place(backup=shop.backups()[0].id, tables=(SALES,)).complete
    replaced = rows_of(shop.url, "public.sales")
    assert replaced != live
    assert shop.restore_in_place(backup=part.id).complete
    inside = [row for row in live if row[1] and days.first <= row[1] <= days.last]
    assert [row for row in rows_of(shop.url, "public.sales") if row[1] and days.first <= row[1] <= days.last] == inside
    assert shop.restore_in_place(backup=whole.id).complete
    assert rows_of(shop.url, "public.sales") == live


@pytest.mark.parametrize("shop", [True], indirect=True)
def test_a_table_no_configuration_knows_is_kept_as_the_backup_reads_it(
    shop: CopiedDeployment, empty_database: Callable[[], str]
) -> None:
    """In another database and schema: its days, key and scopes are those of the table that is restored."""
    url = empty_database()
    assert shop.restore(url, schema="scratch", tables=(SALES,)).complete
    shop.sql("ALTER TABLE scratch.sales ADD extra text; DELETE FROM scratch.sales WHERE id < 50", url=url)
    target, like = TableName("scratch", "sales"), restored_as(shop)
    live = rows_of(url, "scratch.sales")
    made = undo(shop, url, target)
    kept = shop.workspace.open().read_table(made.tables[0].manifest)
    assert (kept.day, kept.key) == (like.day, like.key)
    assert {column.name: column.scope for column in kept.columns} == {
        "id": "default", "day": "default", "amount": "default", "name": "pii", "extra": "default",
    }  # fmt: skip
    shop.sql("DELETE FROM scratch.sales", url=url)
    assert shop.restore(url, backup=made.id, in_place=True, on_conflict="replace", reason="back").complete
    assert rows_of(url, "scratch.sales") == live


def test_the_changes_of_a_restore_are_kept_with_it(shop: CopiedDeployment, tmp_path: Path) -> None:
    """As a file of the backup: verification reads it, a copy carries it, no clean-up takes it for debris."""
    changes = tmp_path / "changes.parquet"
    changes.write_bytes(b"every changed row")
    made = undo(shop, changes=changes)
    digest, size = files_of(made)[-1]
    with shop.workspace.open().open_file(digest, size=size) as kept:
        assert kept.read_bytes() == b"every changed row"
    found = verify(shop.workspace, read_data=True)
    assert (found.faults, found.debris and found.debris.objects) == ((), 0)
    shop.copy()
    assert layout.file_name(digest) in shop.in_copy()
    shop.file(layout.file_name(digest)).unlink()
    (fault,) = verify(shop.workspace).faults
    assert (fault.object, fault.backups) == (layout.file_name(digest), (made.id,))


def test_nothing_is_published_when_the_rows_cannot_be_read(shop: CopiedDeployment) -> None:
    """A table that is not there, or days of a table without a day column."""
    before = [backup.id for backup in shop.backups()]
    shop.sql("CREATE SCHEMA gone; CREATE VIEW gone.sales AS TABLE sales")
    with pytest.raises(ConfigurationError, match=r"gone\.sales"):
        undo(shop, target=TableName("gone", "sales"))
    with pytest.raises(UsageError, match="no days to back up"):
        undo(shop, target=TableName("public", "notes"), days=DayRange("2025-01-01", "2025-01-02"))
    assert [backup.id for backup in shop.backups()] == before
    assert verify(shop.workspace, read_data=True).faults == ()


def test_a_lease_that_was_taken_over_publishes_nothing(shop: CopiedDeployment) -> None:
    """The restore has lost the right to write, and is told before anything is replaced."""
    workspace = shop.workspace
    before = [backup.id for backup in shop.backups()]
    with workspace.writing(workspace.open(), operation="restore", wait=0) as lease:
        workspace.store().create(layout.lease_name("writer", lease.epoch + 1), b"{}")
        request = UndoRequest(target=SALES, like=restored_as(shop), days=None, restore=RESTORE, reason="")
        with pytest.raises(Locked):
            store_undo(workspace, lease, shop.url, request)
    assert [backup.id for backup in shop.backups()] == before


def test_a_backup_before_a_restore_is_held_for_thirty_days(shop: CopiedDeployment) -> None:
    """Expiry refuses it by name with the day it becomes free, and everything with it; afterwards it goes."""
    made, (first, *_) = undo(shop), shop.backups()
    finished = datetime.fromisoformat(made.finished_at)
    free = (finished + timedelta(days=30)).astimezone(ZoneInfo("Asia/Kolkata"))
    almost, then = (replace(shop.workspace, clock=At(finished + span)) for span in (ALMOST, ALMOST + MINUTE))
    for workspace in (shop.workspace, almost):
        with pytest.raises(UsageError, match=f"held: {made.id} until {free:%Y-%m-%d}"):
            expire_backups(workspace, [first.id, made.id])
    assert [backup.id for backup in shop.backups()] == [first.id, made.id]
    assert expire_backups(then, [made.id]).backups == (made.id,)


def test_the_list_tells_what_a_backup_undoes_and_how_long_it_is_held(shop: CopiedDeployment) -> None:
    """Of a backup before a restore, as long as it is held; of others there is nothing to tell."""
    made = undo(shop)
    free = datetime.fromisoformat(made.finished_at) + timedelta(days=30)
    newest, first = list_backups(shop.workspace).backups
    assert (newest.kind, newest.restore, newest.held_until) == ("pre_restore", RESTORE, documents.timestamp(free))
    assert (first.restore, first.held_until) == (None, None)
    later = list_backups(replace(shop.workspace, clock=At(free)))
    assert [backup.held_until for backup in later.backups] == [None, None]


def test_a_restore_is_told_when_somebody_waits_to_empty_its_table(shop: CopiedDeployment) -> None:
    """Nobody reads past a waiting TRUNCATE, which waits for the restore: that is refused, and the TRUNCATE goes on."""
    before = [backup.id for backup in shop.backups()]
    emptying = threading.Thread(target=shop.sql, args=("TRUNCATE sales",))
    workspace = shop.workspace
    request = UndoRequest(target=SALES, like=restored_as(shop), days=None, restore=RESTORE, reason="")
    with workspace.writing(workspace.open(), operation="restore", wait=0) as lease, locked(shop.url, SALES):
        emptying.start()
        while shop.sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'sales'::regclass") == [(0,)]:
            assert emptying.is_alive()
        with pytest.raises(Locked, match="keeps a table locked"):
            store_undo(workspace, lease, shop.url, request)
    emptying.join(timeout=30)
    assert shop.sql("SELECT count(*) FROM sales") == [(0,)]
    assert [backup.id for backup in shop.backups()] == before


def test_a_table_is_kept_as_it_is_when_the_lock_is_got(shop: CopiedDeployment) -> None:
    """A writer that ended just before is in it, one that waits for the lock is not."""
    workspace = shop.workspace
    with workspace.writing(workspace.open(), operation="restore", wait=0) as lease, locked(shop.url, SALES) as holder:
        waiting = threading.Thread(target=shop.sql, args=("INSERT INTO sales VALUES (2000, '2025-01-07')",))
        waiting.start()
        made = store_undo(
            workspace, lease, shop.url,
            UndoRequest(target=SALES, like=restored_as(shop), days=None, restore=RESTORE, reason=""),
        )  # fmt: skip
        [count] = holder.execute("SELECT count(*) FROM sales").fetchone() or (None,)
        holder.rollback()
        waiting.join(timeout=30)
    assert made.rows == count
    assert shop.sql("SELECT count(*) FROM sales") == [(made.rows + 1,)]
