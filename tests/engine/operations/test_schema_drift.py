"""Restores in place into a table whose definition is another one by now: nothing is lost, guessed or half done."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest

from moi_backup.errors import UsageError
from moi_backup.model.restore import RestoreRequest, TableOutcome, TablePlan
from moi_backup.model.table import TableName
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.restore import plan_restore
from moi_backup.operations.undo import undo
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of

T = TableName("public", "t")
SCRIPT = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE t (id int PRIMARY KEY, day date, code text UNIQUE, note varchar(20), amount numeric(10, 2), m mood);
INSERT INTO t SELECT i, date '2025-01-01' + i % 10, 'c' || i, 'note ' || i, i + 0.5, 'glad'
    FROM generate_series(1, 100) i;
"""
LOSS = """
DELETE FROM t WHERE id = 9; UPDATE t SET amount = -1 WHERE id IN (19, 29);
INSERT INTO t (id, day, code) VALUES (999, '2025-01-10', 'new')
"""
BOTH = "ALTER TABLE t ADD COLUMN more text DEFAULT 'none', DROP COLUMN note; UPDATE t SET more = 'm' || id; "


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


def restore(shop: Deployment, **request: Any) -> TableOutcome:
    """The outcome of a restore in place of the one table, which the preview foresaw."""
    asked: dict[str, Any] = {"on_conflict": "replace", "tables": (T,), **request}
    full = RestoreRequest(backup="latest", in_place=True, reason="a test", **asked)
    foreseen = plan(shop, **request)
    [outcome] = shop.restore(in_place=True, reason="a test", plan=foreseen[1], **asked).tables
    if outcome.status == "restored":
        assert foreseen[0].changes == outcome.changes, full
    return outcome


def plan(shop: Deployment, **request: Any) -> tuple[TablePlan, str]:
    """The preview of the same, and its token."""
    asked: dict[str, Any] = {"on_conflict": "replace", "tables": (T,), **request}
    found = plan_restore(
        shop.workspace, shop.url, RestoreRequest(backup="latest", in_place=True, reason="a test", **asked)
    )
    return found.tables[0], found.token


def refusal(shop: Deployment, **request: Any) -> str:
    """Why a restore was refused, with everything left as it was."""
    before = database_of(shop.url)
    outcome = restore(shop, **request)
    assert outcome.status == "refused", outcome
    assert database_of(shop.url) == before
    return outcome.error


def changes_of(shop: Deployment, outcome: TableOutcome) -> list[dict[str, Any]]:
    """The rows of the file that lists every change."""
    assert outcome.listed is not None
    with shop.workspace.open().open_file(outcome.listed.digest, size=outcome.listed.size) as path:
        return pq.read_table(path).to_pylist()


def test_rows_that_come_back_take_the_default_of_an_added_column_and_others_keep_theirs(shop):
    """An updated row has the value that it had, an inserted one the default, and the backup's digest is met."""
    shop.sql("ALTER TABLE t ADD COLUMN more text DEFAULT 'none'; UPDATE t SET more = 'm' || id;" + LOSS)
    outcome = restore(shop)
    assert outcome.equal
    assert [(drift.what, drift.column) for drift in outcome.changes.drift] == [("added", "more")]
    assert shop.sql("SELECT id, more FROM t WHERE id IN (9, 19, 29) ORDER BY id") == [
        (9, "none"), (19, "m19"), (29, "m29"),
    ]  # fmt: skip
    assert shop.sql("SELECT count(*), count(*) FILTER (WHERE more = 'm' || id), sum(amount) FROM t") == [
        (100, 99, 5100)
    ]


def test_rows_that_exchange_their_keys_keep_what_the_backup_does_not_know(shop):
    """They are deleted and inserted anew, with the values of added columns that they had."""
    shop.sql(
        "ALTER TABLE t ADD COLUMN more text DEFAULT 'none', ADD COLUMN doc json; UPDATE t SET more = 'm' || id,"
        " doc = '{}'; UPDATE t SET code = 'x' WHERE id = 1; UPDATE t SET code = 'c1' WHERE id = 2;"
        " UPDATE t SET code = 'c2' WHERE id = 1"
    )
    assert restore(shop).equal
    assert shop.sql("SELECT id, code, more, doc::text FROM t WHERE id < 3 ORDER BY id") == [
        (1, "c1", "m1", "{}"), (2, "c2", "m2", "{}"),
    ]  # fmt: skip


def test_rows_of_partitions_keep_added_columns_when_they_move(deployment):
    """A row that an update moves to another partition is found there again with what it keeps."""
    deployment.sql(
        "CREATE TABLE t (id int, day date) PARTITION BY RANGE (day);"
        "CREATE TABLE a PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');"
        "CREATE TABLE b PARTITION OF t FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');"
        "INSERT INTO t VALUES (1, '2025-01-05'), (2, '2025-02-05')"
    )
    deployment.configure('[tables."public.t"]\nday = "day"\nkey = ["id"]\n')
    deployment.back_up(full=True)
    deployment.sql("ALTER TABLE t ADD COLUMN more text; UPDATE t SET more = 'kept', day = '2025-02-07'")
    outcome = restore(deployment)
    assert outcome.status == "restored", outcome
    assert deployment.sql("SELECT * FROM t ORDER BY 1") == deployment.sql(
        "VALUES (1, date '2025-01-05', 'kept'), (2, date '2025-02-05', 'kept')"
    )


def test_an_added_column_that_a_trigger_changes_is_found_and_rolled_back(shop):
    """What the backup does not know must stay as it was; a trigger that fires for the update is found by its effect."""
    shop.sql(
        "ALTER TABLE t ADD COLUMN more text DEFAULT 'none';" + LOSS + ";"
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.more := ''meddled''; RETURN NEW; END';"
        "CREATE TRIGGER meddling BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    assert "trigger meddling" in refusal(shop)
    assert restore(shop, disable_triggers=True).equal


def test_values_of_a_dropped_column_are_kept_in_the_file_of_changes(shop):
    """Rows that were written are listed as the backup has them, with the column that the table has no more."""
    shop.sql(BOTH + LOSS)
    outcome = restore(shop)
    assert outcome.status == "restored", outcome
    assert not outcome.equal  # of a table without one of its columns nobody says that
    listed = changes_of(shop, outcome)
    come = {row["id"]: row["note"] for row in listed if row["moi_change"] == "come"}
    assert come == {9: "note 9", 19: "note 19", 29: "note 29"}
    assert {row["note"] for row in listed if row["moi_change"] == "gone"} == {None}
    assert shop.sql("SELECT count(*), sum(amount) FROM t") == [(100, 5100)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep-live", {9: (9.5, "none"), 19: (-1, "m19"), 999: (None, "none")}),
        ("take-backup", {9: (9.5, "none"), 19: (19.5, "m19"), 999: (None, "none")}),
        ("replace", {9: (9.5, "none"), 19: (19.5, "m19")}),
    ],
)
def test_policies_decide_by_the_columns_that_both_have(shop, policy, expected):
    """An added and a dropped column change nothing about which rows win."""
    shop.sql(BOTH + LOSS)
    assert restore(shop, on_conflict=policy).status == "restored"
    found = shop.sql("SELECT id, amount, more FROM t WHERE id IN (9, 19, 999)")
    assert {number: (amount, more) for number, amount, more in found} == expected


def test_a_merge_looks_at_the_columns_that_both_have(shop):
    """What changed after the base stays, what the damage did goes, and the added column is nobody's business."""
    backup = shop.backups()[0].id
    shop.sql("UPDATE t SET amount = -1 WHERE id IN (19, 29); DELETE FROM t WHERE id = 9")
    base = shop.back_up(full=True).manifest.id
    shop.sql(BOTH + "UPDATE t SET amount = 7 WHERE id = 29")
    asked: dict[str, Any] = {"in_place": True, "on_conflict": "merge", "reason": "a test", "tables": (T,)}
    [outcome] = shop.restore(backup=backup, base=base, **asked).tables
    assert outcome.status == "restored", outcome
    assert shop.sql("SELECT id, amount, more FROM t WHERE id IN (9, 19, 29) ORDER BY id") == [
        (9, 9.5, "none"), (19, 19.5, "m19"), (29, 7, "m29"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER COLUMN amount TYPE numeric(12, 3)",
        "ALTER COLUMN amount TYPE text",
        "ALTER COLUMN amount TYPE numeric(6, 2)",
        "ALTER COLUMN amount TYPE double precision",
        "ALTER COLUMN note TYPE varchar(10)",
        "ALTER COLUMN note TYPE text",
        "ALTER COLUMN id TYPE bigint",
        "ALTER COLUMN id TYPE text",
        "ALTER COLUMN m TYPE text",
        "ALTER COLUMN m TYPE text; DROP TYPE mood; SELECT 1",
    ],
)
def test_values_are_cast_where_that_loses_nothing(shop, drift):
    """Wider and narrower types alike, keys too: every value is what it was when it is cast back."""
    shop.sql(f"ALTER TABLE t {drift}")
    expected = database_of(shop.url)
    shop.sql("DELETE FROM t WHERE id::text = '9'; UPDATE t SET note = 'other' WHERE id::text = '19'")
    outcome = restore(shop)
    assert outcome.status == "restored", outcome
    assert (outcome.changes.inserted, outcome.changes.updated) == (1, 1)
    assert [found.what for found in outcome.changes.drift] == ["retyped"]
    assert database_of(shop.url) == expected


@pytest.mark.parametrize(
    ("drift", "told"),
    [
        ("ALTER COLUMN amount TYPE numeric(10, 0)", "column amount: it is numeric(10,0) in the table"),
        ("ALTER COLUMN amount TYPE int", "100 values would not survive that (the first one: id "),
        ("ALTER COLUMN note TYPE varchar(6) USING ''", "91 values would not survive that"),
        ("ALTER COLUMN note TYPE int USING 1", "100 values would not survive that"),
        ("ALTER COLUMN id TYPE bool USING id % 2 = 0", "column id: it is boolean"),
        ("ALTER COLUMN day TYPE timestamptz", "column day: it is timestamp with time zone in the table"),
    ],
)
def test_a_cast_that_loses_something_is_refused_with_how_much(shop, drift, told):
    """Rounded, cut or impossible values are counted, and the key of the first one is told."""
    shop.sql(f"ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t {drift}")
    assert told in refusal(shop)


def test_a_renamed_column_is_one_that_was_dropped_and_one_that_was_added_unless_it_is_said(shop):
    """Its values go into the file of changes; with --rename they come back under the new name, keys and days too."""
    shop.sql(
        "ALTER TABLE t RENAME COLUMN note TO remark; ALTER TABLE t RENAME COLUMN id TO number;"
        "ALTER TABLE t RENAME COLUMN day TO date; UPDATE t SET remark = 'x' WHERE number = 19"
    )
    assert "--rename" in refusal(shop)
    keys = (("id", "number"), ("day", "date"))
    found, _ = plan(shop, renames=keys)
    assert {(drift.what, drift.column) for drift in found.changes.drift} == {
        ("renamed", "id"), ("renamed", "day"), ("dropped", "note"), ("added", "remark"),
    }  # fmt: skip
    assert found.changes.written == 0
    outcome = restore(shop, renames=(*keys, ("note", "remark")), where="remark = 'x'")
    assert outcome.changes.updated == 1, outcome
    assert shop.sql("SELECT remark FROM t WHERE number = 19") == [("note 19",)]


@pytest.mark.parametrize("renames", [(("nothing", "note"),), (("note", "nothing"),), (("note", "code"),)])
def test_a_renaming_that_cannot_be_is_refused(shop, renames):
    """Neither side may lack its name, and no column of the backup may be pushed aside by another."""
    assert "rename" in refusal(shop, renames=renames)


def test_a_renaming_is_said_of_one_table(shop):
    """Of several tables nobody knows which one is meant."""
    with pytest.raises(UsageError, match="one table"):
        shop.restore_in_place(renames=(("note", "remark"),))


@pytest.mark.parametrize(
    ("drift", "told"),
    [
        ("ALTER TABLE t ADD more int; UPDATE t SET more = 1; ALTER TABLE t ALTER more SET NOT NULL", "column more"),
        ("ALTER TABLE t DROP COLUMN id", "rows cannot be recognised"),
        ("ALTER TABLE t DROP COLUMN day", "day column"),
    ],
)
def test_what_has_no_value_or_no_meaning_any_more_is_refused_by_name(shop, drift, told):
    """A new column that must have a value and has no default, and the loss of the key or of the day."""
    shop.sql("DELETE FROM t WHERE id = 9")
    shop.sql(drift)
    assert told in refusal(shop)


def test_a_required_column_without_default_is_no_obstacle_where_no_row_is_inserted(shop):
    """Rows that change keep the value that they have."""
    shop.sql(
        "ALTER TABLE t ADD more int; UPDATE t SET more = id, amount = 1 WHERE id < 5;"
        "UPDATE t SET more = 0 WHERE id > 4; ALTER TABLE t ALTER more SET NOT NULL"
    )
    assert restore(shop).equal
    assert shop.sql("SELECT sum(more), sum(amount) FROM t") == [(10, 5100)]


def test_values_that_a_column_must_have_by_now_are_missed_before_anything_is_written(deployment):
    """NULLs of the backup in a column that is NOT NULL are counted."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, NULL), (2, 'x')")
    deployment.back_up()
    deployment.sql("DELETE FROM t; ALTER TABLE t ALTER note SET NOT NULL")
    assert "column note: it is NOT NULL, and 1 rows of the backup have no value" in refusal(deployment)


def test_enum_labels_that_are_no_more_are_named(shop):
    """Rows with a label that the type of the same name does not have cannot come back."""
    shop.sql(
        "DELETE FROM t WHERE id = 9; ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('sad', 'so-so');"
        "ALTER TABLE t ALTER m TYPE mood USING 'sad'"
    )
    assert "has no label 'glad' any more" in refusal(shop)


def test_a_column_that_is_computed_by_now_is_not_written(shop):
    """Its stored values are in the file of changes, and the table computes its own."""
    shop.sql(
        "ALTER TABLE t DROP COLUMN note; ALTER TABLE t ADD note text GENERATED ALWAYS AS ('n' || id) STORED;" + LOSS
    )
    outcome = restore(shop)
    assert [drift.what for drift in outcome.changes.drift] == ["computed"]
    assert shop.sql("SELECT note FROM t WHERE id = 9") == [("n9",)]
    assert {"note 9"} <= {row["note"] for row in changes_of(shop, outcome)}


def test_indexes_and_references_over_added_columns_are_left_to_the_database(shop):
    """They are no reason to refuse what it lets in, and what it does not let in is rolled back."""
    shop.sql(
        "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);"
        "ALTER TABLE t ADD more serial UNIQUE, ADD up int DEFAULT 1 REFERENCES other, ADD two int DEFAULT 2;"
        "CREATE UNIQUE INDEX pair ON t (code, two);" + LOSS
    )
    assert restore(shop).equal
    shop.sql(
        "ALTER TABLE t ADD single int UNIQUE; DELETE FROM t WHERE id IN (8, 9);ALTER TABLE t ALTER single SET DEFAULT 1"
    )
    before = database_of(shop.url)
    assert restore(shop).status == "failed"
    assert database_of(shop.url) == before


def test_what_a_restore_into_a_table_with_new_columns_replaced_can_be_brought_back(shop):
    """What was replaced was kept by the table's own definition; an undo by merging is refused by the column's name."""
    shop.sql(BOTH + LOSS)
    before = database_of(shop.url)
    outcome = restore(shop)
    assert database_of(shop.url) != before
    [refused] = undone(shop, outcome)
    assert "column 'more' is not in the list of what the restore changed" in refused.error
    assert shop.restore_in_place(backup=outcome.undo, tables=(T,)).complete
    assert database_of(shop.url) == before


@pytest.mark.parametrize("drift", ["DROP COLUMN note", "ALTER COLUMN amount TYPE text", "RENAME COLUMN note TO remark"])
def test_a_restore_that_wrote_no_new_column_is_undone(shop, drift):
    """Dropped, retyped and renamed columns stand in the list of changes as the table has them."""
    shop.sql(f"ALTER TABLE t {drift}; {LOSS}")
    before = database_of(shop.url)
    outcome = restore(shop, renames=(("note", "remark"),) if "RENAME" in drift else ())
    assert database_of(shop.url) != before
    [back] = undone(shop, outcome)
    assert back.status == "restored", back
    assert database_of(shop.url) == before


def undone(shop: Deployment, outcome: TableOutcome) -> tuple[TableOutcome, ...]:
    """What an undo of the restore that kept this says of its tables."""
    restore_id = next(found.restore for found in shop.backups() if found.id == outcome.undo)
    return undo(shop.workspace, shop.url, UndoOrder(restore=str(restore_id), reason="a test")).tables
