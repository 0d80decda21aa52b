"""Where a restore in place ends: what it must not reach, and what must not stop it half way."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from moi_backup.errors import MoiError, UsageError
from moi_backup.lake import row_sets
from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import RestoreRequest, RestoreResult, TablePlan
from moi_backup.model.undo import UndoOrder
from moi_backup.operations import restore_in_place
from moi_backup.operations.in_place import begin
from moi_backup.operations.restore import plan_restore
from moi_backup.operations.undo import undo
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.repository.layout import table_name
from tests.engine.deployment import Deployment
from tests.engine.oracle import rows_of

SPEND = """CREATE TABLE spend (id int PRIMARY KEY, day date, note text);
INSERT INTO spend SELECT i, date '2025-01-01' + i % 3, 'n' || i FROM generate_series(1, 12) i"""


@pytest.fixture
def spend(deployment: Deployment) -> Deployment:
    """A table with a full backup."""
    deployment.sql(SPEND)
    deployment.configure("[tables.spend]\n")
    deployment.back_up(full=True)
    return deployment


def in_place(deployment: Deployment, policy: str, **options: Any) -> RestoreResult:
    """Restore by a policy."""
    return deployment.restore(in_place=True, on_conflict=policy, reason="a test", **options)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_reference_that_was_never_validated_keeps_its_row(spend, action):
    """ON DELETE acts on rows of a foreign key NOT VALID as on any others, so it stands against the restore."""
    spend.sql(
        "INSERT INTO spend VALUES (100, '2025-01-01', 'new'); CREATE TABLE lines (id int PRIMARY KEY, spend int);"
        "INSERT INTO lines VALUES (1, 100);"
        f"ALTER TABLE lines ADD CONSTRAINT loose FOREIGN KEY (spend) REFERENCES spend ON DELETE {action} NOT VALID"
    )
    [outcome] = in_place(spend, "replace").tables
    assert (outcome.status, "loose" in outcome.error) == ("refused", True)
    assert spend.sql("SELECT * FROM lines") == [(1, 100)]


def test_a_row_that_was_moved_out_of_the_chosen_days_is_not_there_twice(deployment):
    """Its key is live on another day, which no unique index would tell; with that day chosen as well it goes back."""
    deployment.sql("CREATE TABLE moved (name text, day date, spend int)")
    deployment.sql("INSERT INTO moved VALUES ('a', '2025-01-01', 1), (NULL, '2025-01-01', 2), ('c', '2025-01-01', 3)")
    deployment.configure('[tables.moved]\nday = "day"\nkey = ["name"]\n')
    deployment.back_up(full=True)
    deployment.sql("UPDATE moved SET day = '2025-01-02' WHERE name IS NULL; DELETE FROM moved WHERE name = 'c'")
    [outcome] = in_place(deployment, "replace", days=parse_day_range("2025-01-01")).tables
    assert (outcome.status, "1 rows of the backup have a key" in outcome.error) == ("refused", True)
    assert deployment.sql("SELECT sum(spend) FROM moved") == [(3,)]
    [outcome] = in_place(deployment, "replace", days=parse_day_range("2025-01-01..2025-01-02")).tables
    assert outcome.equal
    assert deployment.sql("SELECT count(*), sum(spend) FROM moved WHERE day = '2025-01-01'") == [(3, 6)]


def test_a_trigger_for_statements_does_not_fire_for_a_kind_that_is_not_needed(spend):
    """Where rows only come back nothing is deleted, not even nothing at all."""
    spend.sql(
        "DELETE FROM spend WHERE id = 5; CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''never''; END';"
        "CREATE TRIGGER never BEFORE UPDATE OR DELETE ON spend FOR EACH STATEMENT EXECUTE FUNCTION never()"
    )
    [outcome] = in_place(spend, "take-backup").tables
    assert outcome.status == "restored", outcome.error
    assert spend.sql("SELECT note FROM spend WHERE id = 5") == [("n5",)]


def test_a_rule_on_another_kind_of_statement_is_no_obstacle(spend):
    """A rule that forbids deleting does not stand against rows that come back."""
    spend.sql("DELETE FROM spend WHERE id = 5; CREATE RULE kept AS ON DELETE TO spend DO INSTEAD NOTHING")
    [outcome] = in_place(spend, "take-backup").tables
    assert outcome.status == "restored", outcome.error


def test_a_failure_shows_no_value_of_a_row(spend):
    """What the database tells of the row that it refuses is neither in the outcome nor in the record."""
    spend.sql("DELETE FROM spend; ALTER TABLE spend ADD CONSTRAINT short CHECK (note <> 'n7')")
    [outcome] = in_place(spend, "take-backup").tables
    assert (outcome.status, "short" in outcome.error) == ("failed", True)
    assert "n7" not in outcome.error
    assert not any(b"n7" in record for record in spend.objects("records/").values())


def test_a_key_with_a_generated_column_recognises_no_rows(deployment):
    """Two states of one row would both stay; replace needs no key."""
    deployment.sql(
        "CREATE TABLE t (at date, name text, upper text GENERATED ALWAYS AS (upper(name)) STORED, amount int);"
        "INSERT INTO t (at, name, amount) VALUES ('2025-01-01', 'a', 1), ('2025-01-01', 'b', 2)"
    )
    deployment.configure('[tables.t]\nday = "at"\nkey = ["at", "upper"]\n')
    deployment.back_up(full=True)
    before = rows_of(deployment.url, "public.t")
    deployment.sql("UPDATE t SET amount = 7 WHERE name = 'a'")
    for policy in ("keep-live", "take-backup", "fail"):
        [outcome] = in_place(deployment, policy).tables
        assert (outcome.status, "generated column upper" in outcome.error) == ("refused", True)
    assert deployment.sql("SELECT sum(amount) FROM t") == [(9,)]
    assert in_place(deployment, "replace").complete
    assert rows_of(deployment.url, "public.t") == before


def test_a_condition_without_a_value_fails_its_table_and_is_recorded(deployment):
    """A cast that fails on one row of the second table neither hides what became of the first nor shows the value."""
    for name in ("a", "b"):
        deployment.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, code text, amount int)")
        deployment.sql(f"INSERT INTO {name} SELECT i, i::text, i FROM generate_series(1, 9) i")
    deployment.sql("INSERT INTO b VALUES (10, 'word', 10)")
    deployment.back_up(full=True)
    deployment.sql("UPDATE a SET amount = 0; UPDATE b SET amount = 0")
    result = in_place(deployment, "take-backup", where="CAST(code AS INTEGER) > 3")
    assert [table.status for table in result.tables] == ["restored", "failed"]
    assert "TRY_CAST" in result.tables[1].error
    assert "word" not in result.tables[1].error
    assert len(deployment.objects("records/restores/")) == 1


def test_a_full_disk_fails_its_table_and_is_recorded(deployment, monkeypatch):
    """The tables before it are restored, and the record says so."""
    deployment.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    deployment.sql("CREATE TABLE b (id int PRIMARY KEY, note text)")
    deployment.sql("INSERT INTO b SELECT i, repeat(md5(i::text), 6) FROM generate_series(1, 150000) i")
    deployment.back_up(full=True)
    deployment.sql("DELETE FROM a; UPDATE b SET note = note || 'y'")
    monkeypatch.setattr(row_sets, "MEMORY", "40MB")
    monkeypatch.setattr(row_sets, "_SETTINGS", (*row_sets._SETTINGS, "SET max_temp_directory_size = '1MB'"))
    result = in_place(deployment, "replace")
    assert [table.status for table in result.tables] == ["restored", "failed"]
    assert "space" in result.tables[1].error
    assert deployment.sql("SELECT count(*) FROM b WHERE note LIKE '%y'") == [(150_000,)]
    assert len(deployment.objects("records/restores/")) == 1


def test_a_base_that_covers_other_days_than_the_backup_is_refused(spend):
    """Also where the days are those of the backup's own coverage."""
    spend.back_up(days=parse_day_range("2025-01-01..2025-01-03"))
    spend.back_up(days=parse_day_range("2025-01-01..2025-01-02"))
    _, backup, base = (manifest.id for manifest in spend.backups())
    with pytest.raises(UsageError, match="covers only the days"):
        in_place(spend, "merge", backup=backup, base=base)


def test_a_base_whose_days_begin_elsewhere_is_refused(deployment):
    """Its rows lie on other days, so none would be found to be the same."""
    deployment.sql(
        "CREATE TABLE t (at timestamptz, id int PRIMARY KEY); INSERT INTO t VALUES ('2025-01-01 20:00+00', 1)"
    )
    for zone in ("UTC", "Asia/Tokyo"):
        deployment.configure(f'[source]\ntimezone = "{zone}"\n[tables.t]\nday = "at"\n')
        deployment.back_up(full=True)
    backup, base = (manifest.id for manifest in deployment.backups())
    [outcome] = in_place(deployment, "merge", backup=backup, base=base).tables
    assert (outcome.status, "time zone" in outcome.error) == ("refused", True)


def test_a_preview_never_takes_a_truncated_table_for_an_empty_one(spend, monkeypatch):
    """Its snapshot comes after its lock: rows that were replaced just before are seen."""
    planned = restore_in_place._planned

    def after_a_truncate(*arguments: Any) -> TablePlan:
        spend.sql(f"TRUNCATE spend; {SPEND.partition(';')[2]}")
        return planned(*arguments)

    monkeypatch.setattr(restore_in_place, "_planned", after_a_truncate)
    request = RestoreRequest(backup="latest", in_place=True, on_conflict="replace", reason="a test")
    [table] = plan_restore(spend.workspace, spend.url, request).tables
    assert table.changes is not None
    assert (table.changes.unchanged, table.changes.written) == (12, 0)


def test_a_lost_machine_does_not_lock_writers_out_for_hours(deployment):
    """The server asks a silent connection of a restore within a minute."""
    with ArrowSession(deployment.url) as session:
        begin(session, isolation="READ COMMITTED", lock_timeout_ms=1000)
        idle, interval, count = (
            int(session.rows(f"SELECT current_setting('tcp_keepalives_{setting}')")[0][0])
            for setting in ("idle", "interval", "count")
        )
    assert 0 < idle + interval * count <= 60


def test_writers_go_on_while_a_restore_waits_for_its_lock(spend):
    """Behind one long transaction they are held up for seconds at most, and the restore is done when that one ends."""
    spend.sql("UPDATE spend SET note = 'changed' WHERE id = 1")
    results: list[RestoreResult] = []
    waiting = threading.Thread(target=lambda: results.append(in_place(spend, "replace")))
    with psycopg.connect(spend.url) as long:
        long.execute("UPDATE spend SET note = 'long' WHERE id = 2")
        waiting.start()
        asked = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
        deadline = time.monotonic() + 30
        while not long.execute(asked).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        spend.sql("SET lock_timeout = '6s'; UPDATE spend SET note = 'short' WHERE id = 3")
        long.rollback()
    waiting.join()
    assert results[0].complete, results
    assert spend.sql("SELECT count(*) FROM spend WHERE note = 'n' || id") == [(12,)]


def test_tables_wait_for_the_rows_they_refer_to(deployment):
    """Whatever their names: parents come back before children, and children go before parents."""
    deployment.sql("CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents SELECT generate_series(1, 9)")
    deployment.sql("CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents)")
    deployment.sql("INSERT INTO children SELECT i, i FROM generate_series(1, 9) i")
    deployment.back_up(full=True)
    before = {name: rows_of(deployment.url, f"public.{name}") for name in ("parents", "children")}
    for damage in (
        "DELETE FROM children; DELETE FROM parents",
        "INSERT INTO parents VALUES (10); INSERT INTO children VALUES (10, 10)",
    ):
        deployment.sql(damage)
        result = in_place(deployment, "replace")
        assert result.complete, result
        assert {name: rows_of(deployment.url, f"public.{name}") for name in before} == before


def test_an_undo_waits_for_the_rows_that_its_tables_refer_to(deployment):
    """What the restore took away comes back in both tables, parents first."""
    deployment.sql("CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1)")
    deployment.sql("CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents)")
    deployment.back_up(full=True)
    deployment.sql("INSERT INTO parents VALUES (2); INSERT INTO children VALUES (1, 2)")
    restored = in_place(deployment, "replace")
    assert restored.complete, restored
    undone = undo(deployment.workspace, deployment.url, UndoOrder(restore=restored.id, reason="a test"))
    assert undone.complete, undone
    assert deployment.sql("SELECT * FROM children") == [(1, 2)]


def test_a_table_whose_base_is_damaged_is_refused_alone(deployment):
    """The base of one table cannot be read: that table stays as it is, the other is merged."""
    for name in ("a", "b"):
        deployment.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, v int); INSERT INTO {name} VALUES (1, 1)")
    good = deployment.back_up(full=True).manifest.id
    deployment.sql("UPDATE a SET v = 0; UPDATE b SET v = 0")
    base = deployment.back_up().manifest
    store = deployment.workspace.store()
    store.put(table_name(next(entry.manifest for entry in base.tables if entry.table.name == "a")), b"rotten")
    first, second = in_place(deployment, "merge", backup=good, base=base.id).tables
    assert (first.status, second.status) == ("refused", "restored")
    assert deployment.sql("SELECT a.v, b.v FROM a, b") == [(0, 1)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_lost_around_the_commit_is_told_as_what_it_is(spend, monkeypatch, moment):
    """Lost at the commit it is not known what became of the table; lost after it the table is restored, and said so."""
    spend.sql("DELETE FROM spend WHERE id = 3")
    kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'spend'::regclass AND granted"
    asked = []
    if moment == "before":
        commit = restore_in_place._commit
        monkeypatch.setattr(restore_in_place, "_commit", lambda *at: (asked.append(spend.sql(kill)), commit(*at)))
    else:
        gone = MoiError("the connection is gone")
        monkeypatch.setattr(restore_in_place, "move_sequences", lambda *_: raising(gone))
    result = in_place(spend, "keep-live")
    [outcome] = result.tables
    if moment == "before":
        assert (outcome.status, "is not known" in outcome.error, bool(outcome.undo)) == ("failed", True, True)
        assert spend.sql("SELECT count(*) FROM spend") == [(11,)]
    else:
        assert (outcome.status, outcome.equal) == ("restored", True)
        assert "the connection is gone" in result.problems[0]
        assert spend.sql("SELECT count(*) FROM spend") == [(12,)]


def raising(error: Exception) -> Any:
    raise error
