"""An undo puts back what a restore in place replaced, keeps what people did since, and tells where both did."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from moi_backup.errors import UsageError
from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.keep_replaced import KeepReplaced
from moi_backup.operations.list_restores import list_restores, show_restore
from moi_backup.operations.undo import plan_undo, undo
from moi_backup.repository import layout
from moi_backup.repository.key_text import generate_master
from tests.engine.deployment import Deployment
from tests.engine.operations.test_store_undo import At
from tests.engine.oracle import rows_of
from tests.engine.storage.faults import flipped

ADS, NOTES = TableName("public", "ads"), TableName("public", "notes")
CONFIGURATION = """
[tables.ads]
day = "day"
key = ["day", "campaign"]
scopes = { pii = ["campaign"], financial = ["spend"] }
[tables.notes]
"""
SCRIPT = """
CREATE TABLE ads (
    id serial PRIMARY KEY, day date, campaign text, spend numeric(10, 2),
    twice numeric GENERATED ALWAYS AS (spend * 2) STORED);
INSERT INTO ads (day, campaign, spend)
    SELECT CASE WHEN i % 20 > 0 THEN date '2025-01-01' + i % 30 END, 'c' || i, i FROM generate_series(1, 300) i;
CREATE TABLE notes (text text, number float8);
INSERT INTO notes VALUES ('same', 1), ('same', 1), ('same', 1), ('zero', -0.0), ('none', 'NaN'), (NULL, NULL);
"""
LOSS = """
UPDATE ads SET spend = 0.01 WHERE id % 3 = 0; DELETE FROM ads WHERE id % 5 = 0;
INSERT INTO ads (day, campaign, spend) VALUES ('2025-01-07', 'later', 7), (NULL, 'undated', 8);
DELETE FROM notes WHERE ctid = (SELECT min(ctid) FROM notes); INSERT INTO notes VALUES ('none', 'NaN'), ('zero', 0.0);
"""
FUNCTION = "suppress_redundant_updates_trigger"
DAYS = parse_day_range("2025-01-05..2025-01-09")
IN_DAYS = "day BETWEEN '2025-01-05' AND '2025-01-09'"


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path, request: pytest.FixtureRequest) -> Deployment:
    """Two tables with a full backup, and a loss after it; encrypted where the parameter says so."""
    keys = {"MOI_KEY_1": generate_master(os.urandom)} if getattr(request, "param", False) else {}
    made = Deployment(empty_database(), tmp_path, keys=keys)
    made.configure(CONFIGURATION)
    made.initialise()
    made.sql(SCRIPT)
    made.back_up(full=True)
    made.sql(LOSS)
    return made


def take_back(shop: Deployment, restored: RestoreResult, **order: object) -> RestoreResult:
    """Undo a restore in the protected database."""
    return undo(shop.workspace, shop.url, UndoOrder(restore=restored.id, reason="a mistake", **order))  # pyright: ignore[reportArgumentType]


def everything(shop: Deployment) -> dict[str, object]:
    """The rows of both tables."""
    return {str(table): rows_of(shop.url, str(table)) for table in (ADS, NOTES)}


@pytest.mark.parametrize("shop", [False, True], indirect=True, ids=["plain", "encrypted"])
@pytest.mark.parametrize("policy", ["replace", "take-backup"])
def test_the_rows_are_exactly_those_before_when_nothing_happened_since(shop, policy):
    """Repeated rows, -0, NaN, NULL and undated rows too; the digest of what is read back is that of what was kept."""
    before = everything(shop)
    restored = shop.restore(in_place=True, on_conflict=policy, reason="a test")
    assert restored.complete, restored
    assert everything(shop) != before
    undone = take_back(shop, restored)
    assert (undone.complete, undone.exit_code) == (True, 0), undone
    assert everything(shop) == before
    assert all(table.equal for table in undone.tables)
    assert [table.digest for table in undone.tables] == [
        next(entry.digest for entry in backup.tables)
        for table in undone.tables
        for backup in shop.backups()
        if backup.id == table.backup
    ]


@pytest.mark.parametrize("shop", [False, True], indirect=True, ids=["plain", "encrypted"])
def test_what_people_did_since_stays_and_what_both_changed_is_told(shop):
    """A row that was edited after the restore had changed it is a conflict; all other rows of the restore go back."""
    restored = shop.restore(in_place=True, on_conflict="replace", days=DAYS, tables=(ADS,), reason="a test")
    shop.sql(
        "UPDATE ads SET spend = 99 WHERE id IN (36, 37); INSERT INTO ads (day, campaign) VALUES ('2025-01-06', 'n')"
    )
    result = take_back(shop, restored)
    [table] = result.tables
    assert (table.status, table.changes.conflicts, result.exit_code) == ("restored", 1, 3)
    assert table.changes.conflict_keys == ("day=2025-01-07, campaign=c36",)
    assert shop.sql("SELECT id, spend::float FROM ads WHERE id IN (6, 36, 37, 66) ORDER BY id") == [
        (6, 0.01), (36, 99), (37, 99), (66, 0.01),
    ]  # fmt: skip
    assert shop.sql("SELECT campaign FROM ads WHERE campaign IN ('later', 'n', 'c5') ORDER BY 1") == [
        ("later",),
        ("n",),
    ]
    assert show_restore(shop.workspace, result.id).status == "partly"


def test_rows_outside_of_the_days_of_the_restore_are_never_touched(shop):
    """Whatever became of them since."""
    before = rows_of(shop.url, "public.ads", where=IN_DAYS)
    restored = shop.restore(in_place=True, on_conflict="replace", days=DAYS, tables=(ADS,), reason="a test")
    shop.sql(f"UPDATE ads SET spend = 5 WHERE ({IN_DAYS}) IS NOT TRUE")
    outside = rows_of(shop.url, "public.ads", where=f"({IN_DAYS}) IS NOT TRUE")
    assert take_back(shop, restored).complete
    assert rows_of(shop.url, "public.ads", where=IN_DAYS) == before
    assert rows_of(shop.url, "public.ads", where=f"({IN_DAYS}) IS NOT TRUE") == outside


def test_an_undo_is_undone_like_any_other_restore(shop):
    """Its own record says what it took back, and its id brings the restored state back; and so on."""
    states = [everything(shop)]
    done = shop.restore(in_place=True, on_conflict="replace", reason="a test")
    states.append(everything(shop))
    for turn in range(3):
        last, done = done, take_back(shop, done)
        assert done.complete
        assert everything(shop) == states[turn % 2]
        record = show_restore(shop.workspace, done.id)
        assert (record.undoes, record.policy, record.reason, record.in_place) == (last.id, "merge", "a mistake", True)
        assert [table.backup for table in record.tables] == [table.undo for table in last.tables]
        assert record.backup == last.tables[0].undo


def test_some_of_the_tables_are_undone_and_the_others_later(shop):
    """Each has its own backup of what was replaced; a table that the restore did not write to is named."""
    before, restored = everything(shop), shop.restore(in_place=True, on_conflict="replace", reason="a test")
    assert take_back(shop, restored, tables=(NOTES,)).complete
    assert everything(shop) == {**before, "public.ads": everything(shop)["public.ads"]} != before
    with pytest.raises(UsageError, match=r"did not write into public\.other"):
        take_back(shop, restored, tables=(TableName("public", "other"),))
    again = take_back(shop, restored)
    assert [(table.target, table.changes.written > 0) for table in again.tables] == [(ADS, True), (NOTES, False)]
    assert everything(shop) == before


def test_numbers_that_a_restore_gave_anew_become_the_old_ones_and_sequences_stay(shop):
    """A row that came back under another number goes; one whose number was kept gets its values back."""
    shop.sql("INSERT INTO ads (id, day, campaign, spend) VALUES (10, '2025-02-01', 'taken', 1)")
    before = everything(shop)
    restored = shop.restore(in_place=True, on_conflict="take-backup", tables=(ADS,), reason="a test")
    assert restored.tables[0].changes.renumbered == 1
    position = shop.sql("SELECT last_value, is_called FROM ads_id_seq")
    undone = take_back(shop, restored)
    assert undone.complete
    assert everything(shop) == before
    assert shop.sql("SELECT last_value, is_called FROM ads_id_seq") == position


def test_a_restore_whose_record_was_never_written_is_undone_from_what_it_kept(shop):
    """Killed between its commit and its record: the id stands with the backups, and a prefix of it is enough."""
    before, restored = everything(shop), shop.restore(in_place=True, on_conflict="replace", reason="a test")
    shop.workspace.store().delete(layout.record_name("restores", restored.id))
    undone = take_back(shop, restored)
    assert undone.complete
    assert "no record of it" in undone.notes[0]
    assert everything(shop) == before


def test_a_record_that_is_damaged_does_not_keep_a_restore_from_being_undone(shop):
    """The backups that name it are enough; the damage is told."""
    before, restored = everything(shop), shop.restore(in_place=True, on_conflict="replace", reason="a test")
    shop.workspace.store().put(layout.record_name("restores", restored.id), b"rotten")
    undone = take_back(shop, restored)
    assert (undone.complete, everything(shop)) == (True, before)
    assert "cannot be read" in undone.notes[0]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_restore_that_was_never_committed_leaves_nothing_to_undo(shop, monkeypatch, recorded):
    """Its session ended between what it kept and its commit: rows that happen to be as it would have left them stay."""
    keep = KeepReplaced.keep

    def keep_and_lose(self, decided, scratch):
        kept = keep(self, decided, scratch)
        [(pid,)] = decided.session.rows("SELECT pg_backend_pid()")
        shop.sql(f"SELECT pg_terminate_backend({pid}, 10000)")
        return kept

    monkeypatch.setattr(KeepReplaced, "keep", keep_and_lose)
    failed = shop.restore(in_place=True, on_conflict="replace", reason="a test")
    monkeypatch.undo()
    assert {table.status for table in failed.tables} == {"failed"}
    assert [backup.restore for backup in shop.backups()[1:]] == [failed.id, failed.id]
    if not recorded:
        shop.workspace.store().delete(layout.record_name("restores", failed.id))
    shop.sql("UPDATE ads SET spend = 9 WHERE id = 9")  # as in the backup
    before = everything(shop)
    undone = take_back(shop, failed)
    assert (undone.tables, undone.exit_code, undone.id) == ((), 0, "")
    assert sum("never committed" in note for note in undone.notes) == 2
    assert everything(shop) == before


def test_a_restore_that_was_refused_or_changed_nothing_leaves_nothing_to_undo(shop):
    """Both are said by table."""
    shop.sql("CREATE RULE nothing AS ON DELETE TO notes DO INSTEAD NOTHING")
    refused = shop.restore(in_place=True, on_conflict="replace", tables=(NOTES,), reason="a test")
    assert "that restore left it as it was (refused)" in take_back(shop, refused).notes[0]
    shop.restore(in_place=True, on_conflict="replace", tables=(ADS,), reason="a test")
    idle = shop.restore(in_place=True, on_conflict="replace", tables=(ADS,), reason="a test")
    assert "that restore changed no row" in take_back(shop, idle).notes[0]
    assert plan_undo(shop.workspace, shop.url, UndoOrder(restore=idle.id)).tables == ()


def test_a_restore_into_new_tables_is_refused_by_the_names_of_its_tables(shop):
    """They are never dropped."""
    restored = shop.restore(schema="scratch")
    with pytest.raises(UsageError, match=r"scratch\.ads, scratch\.notes") as told:
        take_back(shop, restored)
    assert "by hand" in told.value.remedy
    assert shop.sql("SELECT count(*) FROM scratch.ads") == [(300,)]


def test_a_restore_in_place_of_a_scratch_schema_is_undone_there(shop):
    """The table of the backup and the one that was written into have different names."""
    shop.restore(schema="scratch")
    shop.sql("DELETE FROM scratch.ads WHERE id < 50")
    before = rows_of(shop.url, "scratch.ads")
    options = {"in_place": True, "on_conflict": "replace", "reason": "a test"}
    restored = shop.restore(schema="scratch", tables=(ADS,), **options)
    assert rows_of(shop.url, "scratch.ads") != before
    assert take_back(shop, restored).complete
    assert rows_of(shop.url, "scratch.ads") == before


def test_another_database_than_the_one_restored_into_is_refused(shop, empty_database):
    """By its address; nothing is written."""
    restored = shop.restore(in_place=True, on_conflict="replace", reason="a test")
    order = UndoOrder(restore=restored.id, reason="a mistake")
    with pytest.raises(UsageError, match="and this is"):
        undo(shop.workspace, empty_database(), order)


def test_a_reason_and_a_restore_that_exists_are_required(shop):
    """Nothing is guessed."""
    restored = shop.restore(in_place=True, on_conflict="replace", reason="a test")
    with pytest.raises(UsageError, match="--reason"):
        undo(shop.workspace, shop.url, UndoOrder(restore=restored.id, reason=" "))
    for text in ("", "19990101T000000Z-000000"):
        with pytest.raises(UsageError, match="No restore is called"):
            plan_undo(shop.workspace, shop.url, UndoOrder(restore=text))


def test_the_token_of_a_preview_applies_exactly_it_or_nothing(shop):
    """One row that changes in between makes it another plan."""
    before, restored = everything(shop), shop.restore(in_place=True, on_conflict="replace", reason="a test")
    token = plan_undo(shop.workspace, shop.url, UndoOrder(restore=restored.id)).token
    shop.sql("UPDATE ads SET spend = 1.5 WHERE id = 1")
    stale, left = take_back(shop, restored, plan=token), everything(shop)
    assert {table.status for table in stale.tables} == {"refused"}
    assert "not as they were then" in stale.tables[0].error
    shop.sql("UPDATE ads SET spend = 1 WHERE id = 1")
    assert left != everything(shop)
    assert take_back(shop, restored, plan=token).complete
    assert everything(shop) == before


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("does not exist", "DROP TABLE notes"),
        ("column number", "ALTER TABLE notes DROP COLUMN number"),
        ("column number", "ALTER TABLE notes ALTER COLUMN number TYPE text"),
        ("column more", "ALTER TABLE notes ADD COLUMN more int"),
        ("trigger loud", f"CREATE TRIGGER loud AFTER INSERT ON notes EXECUTE FUNCTION {FUNCTION}()"),
    ],
)
def test_a_table_that_is_gone_or_has_changed_is_refused_by_name_and_the_other_one_undone(shop, told, change):
    """What stands against any restore in place stands against an undo."""
    ads, restored = everything(shop)["public.ads"], shop.restore(in_place=True, on_conflict="replace", reason="a test")
    shop.sql(change)
    undone = take_back(shop, restored)
    assert [table.status for table in undone.tables] == ["restored", "refused"]
    assert told in undone.tables[1].error
    assert undone.exit_code == 3
    assert rows_of(shop.url, "public.ads") == ads


def test_what_has_expired_is_named_with_the_day_up_to_which_it_was_held(shop):
    """From the trash it comes back; the list of restores says so as well."""
    before, restored = everything(shop), shop.restore(in_place=True, on_conflict="replace", reason="a test")
    [listed] = list_restores(shop.workspace).restores
    assert (listed.can_undo, listed.undo_held_until is not None, listed.undone_by) == (True, True, ())
    gone = restored.tables[1].undo
    expire_backups(replace(shop.workspace, clock=At(datetime.now(UTC) + timedelta(days=31))), [gone])
    day = f"{datetime.now(ZoneInfo('Asia/Kolkata')) + timedelta(days=30):%Y-%m-%d}"
    undone = take_back(shop, restored)
    assert [table.status for table in undone.tables] == ["restored", "refused"]
    assert f"held until {day}" in undone.tables[1].error
    assert f"undelete {gone}" in undone.tables[1].error
    newest, listed = list_restores(shop.workspace).restores
    assert (listed.can_undo, listed.undo_held_until, listed.undone_by) == (False, None, (undone.id,))
    assert (newest.can_undo, newest.undoes) == (True, restored.id)
    undelete_backups(shop.workspace, [gone])
    assert take_back(shop, restored).complete
    assert everything(shop) == before


@pytest.mark.parametrize("what", ["manifest", "chunk", "changes"])
def test_what_is_damaged_is_named_and_nothing_is_written(shop, what):
    """The backup's manifest, its rows, or the list of changes."""
    shop.sql("UPDATE notes SET text = text || 'x'")
    restored = shop.restore(in_place=True, on_conflict="replace", tables=(NOTES,), reason="a test")
    store, left = shop.workspace.store(), everything(shop)
    [outcome] = restored.tables
    damaged = {"manifest": [layout.backup_name(outcome.undo)], "chunk": sorted(shop.objects("chunks/public.notes/"))}
    for name in damaged.get(what, [layout.file_name(outcome.listed.digest)]):
        store.put(name, flipped(store.get(name)))
    undone = take_back(shop, restored)
    assert undone.tables[0].status in ("refused", "failed")
    assert "held until" in " ".join([undone.tables[0].error, *undone.notes])
    assert everything(shop) == left
