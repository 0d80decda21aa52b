"""Restores leave records: who did what to which tables, and a list of them that damage does not hide."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from moi_backup.errors import UsageError
from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreRequest
from moi_backup.model.restore_record import RecordedTable, RestoreRecord
from moi_backup.operations.list_restores import list_restores, show_restore
from moi_backup.operations.progress import Silent
from moi_backup.operations.restore import restore
from tests.engine.copies import CopiedDeployment, flip

SALES = """
CREATE TABLE sales (id int PRIMARY KEY, day date);
INSERT INTO sales SELECT i, date '2025-01-01' + i FROM generate_series(1, 50) i;
CREATE TABLE notes (text text);
"""


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path) -> CopiedDeployment:
    """Two tables with one backup."""
    made = CopiedDeployment(empty_database(), tmp_path)
    made.configure("")
    made.initialise()
    made.sql(SALES)
    made.back_up(full=True)
    return made


def test_a_restore_in_place_leaves_a_record_of_all_that_was_asked_and_done(shop: CopiedDeployment) -> None:
    """Who, why, what, which policy, how many rows, and the digest that was proved."""
    shop.sql("DELETE FROM sales WHERE id <= 5; INSERT INTO sales VALUES (900, '2025-01-20')")
    days = DayRange("2025-01-02", "2025-01-31")
    result = shop.restore_in_place(days=days, tables=(shop.backups()[0].tables[1].table,))
    record = show_restore(shop.workspace, result.id)
    assert (record.by, record.reason) == (f"{getpass.getuser()}@{socket.gethostname()}", "a test")
    assert (record.backup, record.base, record.days) == (shop.backups()[0].id, None, days)
    assert (record.in_place, record.policy, record.status) == (True, "replace", "complete")
    assert record.address == result.address
    assert record.at <= record.finished_at
    assert record.tables == (
        RecordedTable(
            table="public.sales", target="public.sales", status="restored", rows=30, inserted=5, deleted=1,
            digest_before=result.tables[0].changes.live, digest_after=result.tables[0].digest,
            undo=result.tables[0].undo, changes=result.tables[0].listed,
        ),
    )  # fmt: skip


def test_restores_are_listed_the_newest_first(shop: CopiedDeployment) -> None:
    """Into new tables too, with who asked as the caller said it, and with what was refused or failed."""
    first = shop.restore(schema="one", by="somebody@elsewhere")
    second = shop.restore(schema="one")
    listed = list_restores(shop.workspace)
    assert [(restore.id, restore.status) for restore in listed.restores] in (
        [(second.id, "nothing"), (first.id, "complete")],
        [(first.id, "complete"), (second.id, "nothing")],  # in the same second
    )
    (told,) = (restore for restore in listed.restores if restore.id == first.id)
    assert (told.by, told.tables, told.rows) == ("somebody@elsewhere", ("one.notes", "one.sales"), 50)
    assert (told.in_place, told.policy, told.undo) == (False, "", ())
    assert "exists" in show_restore(shop.workspace, second.id).tables[0].error


def test_a_damaged_record_hides_no_other_restore(shop: CopiedDeployment) -> None:
    """It is told by its id."""
    first, second = shop.restore(schema="one"), shop.restore(schema="two")
    flip(shop.file(f"records/restores/{first.id}"))
    listed = list_restores(shop.workspace)
    assert [restore.id for restore in listed.restores] == [second.id]
    assert [broken.id for broken in listed.unreadable] == [first.id]


def test_a_restore_is_named_by_a_unique_prefix(shop: CopiedDeployment) -> None:
    """One that fits none or several is refused."""
    done = shop.restore(schema="one")
    assert show_restore(shop.workspace, "20").id == done.id
    shop.restore(schema="two")
    for text, told in (("20", "beginning of 2 restores"), ("x", "No recorded restore"), ("", "No recorded restore")):
        with pytest.raises(UsageError, match=told):
            show_restore(shop.workspace, text)


def test_a_restore_whose_record_cannot_be_written_stands_and_says_so(shop: CopiedDeployment) -> None:
    """A file lies where the folder of the records must be; or the repository is gone and the copy was read."""
    shop.copy()
    (shop.folder / "repository" / "records").write_bytes(b"")
    done = shop.restore(schema="one")
    assert (done.complete, done.id) == (True, "")
    assert "was not recorded" in done.notes[-1]
    (shop.folder / "repository").rename(shop.folder / "gone")
    before = shop.in_copy()
    done = shop.restore(schema="two")
    assert (done.complete, done.id) == (True, "")
    assert "was not recorded" in done.notes[-1]
    assert shop.in_copy() == before


def test_a_record_holds_no_password(shop: CopiedDeployment) -> None:
    """The address alone stands in it."""
    done = shop.restore(schema="one")
    stored = shop.file(f"records/restores/{done.id}").read_bytes()
    assert b"://" not in stored


def test_the_status_says_how_much_was_restored() -> None:
    """Everything, some of it or with problems, nothing."""
    whole, failed = (RecordedTable(table="a", target="a", status=status) for status in ("restored", "failed"))
    record = RestoreRecord(
        id="", at="", finished_at="", by="", reason="", backup="", base=None, in_place=False, policy="", where="",
        days=None, address="", tables=(whole,),
    )  # fmt: skip
    cases = {(whole,): "complete", (whole, failed): "partly", (failed,): "nothing"}
    assert {case: msgspec.structs.replace(record, tables=case).status for case in cases} == cases
    assert msgspec.structs.replace(record, problems=("a key",)).status == "partly"


class StoppedAt(Silent):
    """Stops, as Ctrl-C does, when a table begins."""

    def __init__(self, table: str) -> None:
        self._table = table

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        if task == self._table:
            raise KeyboardInterrupt


def test_a_restore_stopped_between_two_tables_records_what_was_done(deployment):
    """The first table is committed: the record says so, and with it the restore can be undone."""
    for name in ("a", "b"):
        deployment.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, v int); INSERT INTO {name} VALUES (1, 1), (2, 2)")
    deployment.back_up(full=True)
    deployment.sql("UPDATE a SET v = 0; UPDATE b SET v = 0")
    request = RestoreRequest(backup="latest", in_place=True, on_conflict="replace", reason="a test")
    with pytest.raises(KeyboardInterrupt):
        restore(deployment.workspace, deployment.url, request, progress=StoppedAt("public.b"))
    [listed] = list_restores(deployment.workspace).restores
    first, second = show_restore(deployment.workspace, listed.id).tables
    assert (first.status, first.updated, second.status) == ("restored", 2, "failed")
    assert "stopped" in second.error
    assert listed.can_undo
    assert deployment.sql("SELECT sum(a.v), sum(b.v) FROM a JOIN b USING (id)") == [(3, 0)]
