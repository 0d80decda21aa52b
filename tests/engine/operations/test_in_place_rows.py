"""What a restore in place does with keys, numbers, references and triggers of real tables, row by row."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from moi_backup.errors import UsageError, WrongKey
from moi_backup.lake.parquet_encryption import decryption
from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import TableOutcome
from moi_backup.operations.export_keys import export_keys
from moi_backup.repository.key_text import generate_master
from tests.engine.deployment import Deployment
from tests.engine.oracle import rows_of

SPEND = """
CREATE TABLE spend (id serial PRIMARY KEY, day date, campaign text, amount numeric(10, 2), UNIQUE (day, campaign));
INSERT INTO spend (day, campaign, amount) SELECT date '2025-01-01' + i % 5, 'c' || i, i FROM generate_series(1, 20) i;
"""
BY_CAMPAIGN = '[tables.spend]\nkey = ["day", "campaign"]\n'


@pytest.fixture
def spend(deployment: Deployment) -> Deployment:
    """A table with a surrogate number and a natural key, backed up."""
    deployment.sql(SPEND)
    deployment.configure(BY_CAMPAIGN)
    deployment.back_up(full=True)
    return deployment


def in_place(deployment: Deployment, policy: str, **options: Any) -> TableOutcome:
    """Restore by a policy; the outcome of the only table that was asked for."""
    result = deployment.restore(in_place=True, on_conflict=policy, reason="a test", **options)
    return result.tables[0]


def done(outcome: TableOutcome) -> tuple[int, int, int]:
    """Inserted, updated, deleted."""
    assert outcome.status == "restored", outcome.error
    assert outcome.changes is not None
    return outcome.changes.inserted, outcome.changes.updated, outcome.changes.deleted


def test_only_rows_that_differ_are_written(spend):
    """A row that is as in the backup keeps its place and its transaction."""
    spend.sql("UPDATE spend SET amount = 0 WHERE id = 7")
    before = dict(spend.sql("SELECT id, xmin::text || ctid::text FROM spend"))
    assert done(in_place(spend, "replace")) == (0, 1, 0)
    after = dict(spend.sql("SELECT id, xmin::text || ctid::text FROM spend"))
    assert {number for number in before if before[number] != after[number]} == {7}


def test_a_number_that_a_newer_row_took_is_replaced_by_a_new_one(spend):
    """The deleted rows come back beside the newer ones, with numbers that nobody has."""
    spend.sql(
        "DELETE FROM spend WHERE id IN (19, 20); SELECT setval('spend_id_seq', 18);"
        "INSERT INTO spend (day, campaign, amount) VALUES ('2025-02-01', 'new', 1), ('2025-02-02', 'newer', 2)"
    )
    outcome = in_place(spend, "take-backup")
    assert done(outcome) == (2, 0, 0)
    assert outcome.changes.renumbered == 2
    assert spend.sql("SELECT campaign, id FROM spend WHERE id > 18 ORDER BY id") == [
        ("new", 19), ("newer", 20), ("c20", 21), ("c19", 22),
    ]  # fmt: skip
    assert spend.sql("SELECT nextval('spend_id_seq')") == [(23,)]
    assert in_place(spend, "replace").changes.deleted == 2


def test_numbers_become_the_backups_where_they_are_free(spend):
    """A day that was loaded anew has other numbers; replace gives back those of the backup."""
    before = rows_of(spend.url, "public.spend")
    spend.sql(
        "DELETE FROM spend WHERE day = '2025-01-03';"
        "INSERT INTO spend (day, campaign, amount) SELECT '2025-01-03', 'c' || i, i FROM generate_series(2, 17, 5) i"
    )
    outcome = in_place(spend, "replace")
    assert done(outcome) == (0, 4, 0)
    assert (outcome.changes.renumbered, outcome.equal) == (0, True)
    assert rows_of(spend.url, "public.spend") == before


def test_a_row_that_takes_the_place_of_a_live_one_keeps_its_number_when_its_own_is_taken(spend):
    """Also when the number it keeps is one that another row of the backup had."""
    spend.sql(
        "DELETE FROM spend WHERE id IN (1, 2); INSERT INTO spend VALUES (1, '2025-01-03', 'c2', 99),"
        " (2, '2025-02-01', 'new', 0)"
    )
    outcome = in_place(spend, "take-backup")
    assert done(outcome) == (1, 1, 0)
    assert outcome.changes.renumbered == 2
    assert spend.sql("SELECT id, campaign, amount FROM spend WHERE id < 3 OR campaign = 'c1' ORDER BY id") == [
        (1, "c2", 2), (2, "new", 0), (21, "c1", 1),
    ]  # fmt: skip


def test_a_number_that_something_refers_to_is_never_another(spend):
    """The restore is refused by the name of the index."""
    spend.sql(
        "CREATE TABLE notes (spend int REFERENCES spend); DELETE FROM spend WHERE id = 20;"
        "INSERT INTO spend VALUES (20, '2025-02-01', 'new', 1)"
    )
    outcome = in_place(spend, "take-backup")
    assert outcome.status == "refused"
    assert "spend_pkey" in outcome.error


def test_identities_that_are_always_generated_get_the_backups_values(deployment):
    """No UPDATE may set them: such a row is deleted and inserted."""
    deployment.sql(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, day date, k text UNIQUE, n int);"
        "INSERT INTO t (day, k, n) SELECT '2025-01-01', 'k' || i, i FROM generate_series(1, 5) i"
    )
    deployment.configure('[tables.t]\nkey = ["k"]\n')
    deployment.back_up()
    before = rows_of(deployment.url, "public.t")
    deployment.sql("DELETE FROM t WHERE k = 'k3'; INSERT INTO t (day, k, n) VALUES ('2025-01-01', 'k3', 0);")
    deployment.sql("UPDATE t SET n = 9 WHERE k = 'k1'")
    assert done(in_place(deployment, "take-backup")) == (0, 2, 0)
    assert rows_of(deployment.url, "public.t") == before


def test_unique_values_that_rows_exchanged_go_back(deployment):
    """Two rows swapped, three in a ring, and a chain that frees its own end."""
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE, day date);"
        "INSERT INTO t SELECT i, i, '2025-01-01' FROM generate_series(1, 9) i"
    )
    deployment.back_up()
    before = rows_of(deployment.url, "public.t")
    deployment.sql("UPDATE t SET place = -place; UPDATE t SET place = (ARRAY[2, 1, 4, 5, 3, 7, 8, 10, 9])[id]")
    assert done(in_place(deployment, "take-backup")) == (0, 8, 0)
    assert rows_of(deployment.url, "public.t") == before


def test_a_tree_inside_of_the_table_is_restored_with_its_parents(deployment):
    """A parent that was deleted (its children lost their reference) comes back, and the children refer to it again."""
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t ON DELETE SET NULL, day date);"
        "INSERT INTO t SELECT i, nullif(i / 2, 0), '2025-01-01' FROM generate_series(1, 15) i"
    )
    deployment.back_up()
    before = rows_of(deployment.url, "public.t")
    deployment.sql("DELETE FROM t WHERE id IN (2, 4, 15); INSERT INTO t VALUES (90, 7, '2025-01-01'), (91, 90, NULL)")
    assert done(in_place(deployment, "replace")) == (3, 3, 2)
    assert rows_of(deployment.url, "public.t") == before


def test_references_to_rows_that_stay_what_they_are_for_others_are_no_obstacle(spend):
    """A row that is updated keeps its key, so another table may go on referring to it."""
    spend.sql(
        "CREATE TABLE notes (spend int REFERENCES spend ON DELETE CASCADE); INSERT INTO notes VALUES (3), (4);"
        "UPDATE spend SET amount = 0 WHERE id = 3"
    )
    assert done(in_place(spend, "replace")) == (0, 1, 0)
    assert spend.sql("SELECT count(*) FROM notes") == [(2,)]


def test_a_row_whose_parent_is_gone_is_refused_by_the_name_of_its_foreign_key(deployment):
    """The other way around: the restored row refers to a row of another table."""
    deployment.sql(
        "CREATE TABLE accounts (id int PRIMARY KEY); INSERT INTO accounts VALUES (1), (2);"
        "CREATE TABLE t (id int PRIMARY KEY, day date, account int CONSTRAINT of_account REFERENCES accounts);"
        "INSERT INTO t VALUES (1, '2025-01-01', 1), (2, '2025-01-01', 2)"
    )
    deployment.configure("[tables.t]\n")
    deployment.back_up()
    deployment.sql("DELETE FROM t; DELETE FROM accounts WHERE id = 2")
    outcome = in_place(deployment, "take-backup")
    assert outcome.status == "refused"
    assert "foreign key of_account of public.t: 1 rows of the backup refer to rows of public.accounts" in outcome.error
    assert deployment.sql("SELECT count(*) FROM t") == [(0,)]


TRIGGERS = """
CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.amount := NEW.amount * 2; RETURN NEW; END';
CREATE TRIGGER plain BEFORE INSERT OR UPDATE ON spend FOR EACH ROW EXECUTE FUNCTION doubled();
CREATE TRIGGER always BEFORE INSERT ON spend FOR EACH ROW EXECUTE FUNCTION doubled();
ALTER TABLE spend ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER asleep BEFORE INSERT ON spend FOR EACH ROW EXECUTE FUNCTION doubled();
ALTER TABLE spend DISABLE TRIGGER asleep;
"""
ENABLED = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"


def test_triggers_are_kept_from_firing_on_demand_and_left_as_they_were(spend):
    """Without the option they are refused by name; with it rows are the backup's and triggers as before."""
    before = rows_of(spend.url, "public.spend")
    spend.sql(f"DELETE FROM spend WHERE id = 5; {TRIGGERS}")
    enabled = spend.sql(ENABLED)
    refused = in_place(spend, "replace")
    assert refused.status == "refused"
    assert "trigger plain on public.spend" in refused.error
    assert "trigger asleep" not in refused.error
    outcome = in_place(spend, "replace", disable_triggers=True)
    assert done(outcome) == (1, 0, 0)
    assert outcome.changes.disabled_triggers == ("always on public.spend", "plain on public.spend")
    assert rows_of(spend.url, "public.spend") == before
    assert spend.sql(ENABLED) == enabled


def test_a_trigger_on_another_kind_of_statement_is_no_obstacle(spend):
    """Rows that only come back need no UPDATE and no DELETE."""
    spend.sql(
        "DELETE FROM spend WHERE id = 5; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE UPDATE OR DELETE ON spend FOR EACH ROW EXECUTE FUNCTION f()"
    )
    assert done(in_place(spend, "take-backup")) == (1, 0, 0)


def test_a_condition_limits_the_restore_to_keys_that_meet_it_on_either_side(spend):
    """A row meets it as it is live or as it is in the backup; all others stay as they are."""
    spend.sql(
        "UPDATE spend SET amount = amount + 100 WHERE id IN (1, 2); UPDATE spend SET amount = 3.5 WHERE id = 3;"
        "DELETE FROM spend WHERE id IN (4, 5); INSERT INTO spend (day, campaign, amount) VALUES ('2025-03-01', 'x', 4)"
    )
    outcome = in_place(spend, "replace", where="amount BETWEEN 3 AND 4 OR amount > 101")
    assert done(outcome) == (1, 2, 1)
    assert spend.sql("SELECT id, amount FROM spend WHERE id <= 5 ORDER BY id") == [(1, 101), (2, 2), (3, 3), (4, 4)]
    assert outcome.equal is False


def test_a_condition_that_is_none_is_a_usage_error_before_anything_is_written(spend):
    """For any of the tables, before the first one is touched."""
    spend.sql("CREATE TABLE a (id int PRIMARY KEY)")
    spend.configure(BY_CAMPAIGN + "[tables.a]\n")
    spend.back_up()
    spend.sql("DELETE FROM spend")
    for condition in ("amount > 1", "(SELECT true)", "random() > 0.5", "amount >"):
        with pytest.raises(UsageError):
            in_place(spend, "replace", where=condition)
    assert spend.sql("SELECT count(*) FROM spend") == [(0,)]


def test_a_row_that_moved_to_another_day_is_updated_back(deployment):
    """Under a key without the day; with the other day outside of the range it is refused by the unique index."""
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, day date); INSERT INTO t SELECT i, date '2025-01-01' + i % 3"
        " FROM generate_series(1, 9) i"
    )
    deployment.back_up()
    before = rows_of(deployment.url, "public.t")
    deployment.sql("UPDATE t SET day = '2025-01-01' WHERE id = 4; UPDATE t SET day = NULL WHERE id = 5")
    ranged = in_place(deployment, "replace", days=parse_day_range("2025-01-02..2025-01-03"))
    assert "t_pkey" in ranged.error
    assert done(in_place(deployment, "replace")) == (0, 2, 0)
    assert rows_of(deployment.url, "public.t") == before


def test_rows_of_partitions_go_back_to_theirs(deployment):
    """Rows that moved to another partition, were changed, lost or added."""
    deployment.sql(
        "CREATE TABLE t (id int, day date, n int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2025-01-03');"
        "CREATE TABLE t2 PARTITION OF t DEFAULT;"
        "INSERT INTO t SELECT i, date '2025-01-01' + i % 5, i FROM generate_series(1, 40) i"
    )
    deployment.configure('[tables.t]\nkey = ["id"]\n')
    deployment.back_up()
    before = rows_of(deployment.url, "public.t")
    deployment.sql(
        "UPDATE t SET day = '2025-01-05' WHERE id IN (1, 6); UPDATE t SET n = 0 WHERE id IN (2, 3);"
        "DELETE FROM t WHERE id IN (4, 5); INSERT INTO t VALUES (99, '2025-01-01', 1)"
    )
    outcome = in_place(deployment, "replace")
    assert done(outcome) == (2, 4, 1)
    assert rows_of(deployment.url, "public.t") == before
    assert outcome.equal


def test_rows_that_are_the_same_in_everything_are_counted_one_by_one(deployment):
    """A table without a key: two of three equal rows were lost, one was added twice."""
    deployment.sql("CREATE TABLE t (day date, n int); INSERT INTO t VALUES ('2025-01-01', 1), ('2025-01-01', 1),"
                   " ('2025-01-01', 1), (NULL, NULL)")  # fmt: skip
    deployment.back_up()
    deployment.sql(
        "DELETE FROM t WHERE ctid IN ('(0,1)', '(0,2)'); INSERT INTO t VALUES ('2025-01-01', 2), ('2025-01-01', 2)"
    )
    assert done(in_place(deployment, "replace")) == (2, 0, 2)
    assert sorted(deployment.sql("SELECT count(*) FROM t GROUP BY n")) == [(1,), (3,)]


def test_row_security_that_binds_even_the_owner_is_refused(deployment, postgres_server):
    """FORCE ROW LEVEL SECURITY: an owner without BYPASSRLS would see and replace too little."""
    name = deployment.url.rpartition("/")[2]
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, day date); INSERT INTO t VALUES (1, '2025-01-01'), (2, '2025-01-01');"
    )
    deployment.back_up()
    deployment.sql(
        "CREATE ROLE holder LOGIN PASSWORD 'holder-word'; ALTER TABLE t OWNER TO holder; DELETE FROM t WHERE id = 2;"
        f"GRANT TEMPORARY ON DATABASE {name} TO holder; ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id < 2)"
    )
    url = postgres_server.url(name, user="holder", password="holder-word")
    result = deployment.restore(url, in_place=True, on_conflict="replace", reason="a test")
    assert "row-level security" in result.tables[0].error
    assert deployment.sql("SELECT id FROM t") == [(1,)]
    deployment.sql("DROP OWNED BY holder CASCADE; DROP ROLE holder")


def test_what_a_restore_changed_is_listed_row_by_row(spend):
    """Rows that went and came, those of conflicts, and renumbered ones as the backup has them."""
    spend.sql(
        "UPDATE spend SET amount = 0 WHERE id = 1; DELETE FROM spend WHERE id = 2;"
        "INSERT INTO spend VALUES (2, '2025-02-01', 'new', 7)"
    )
    outcome = in_place(spend, "take-backup")
    assert done(outcome) == (1, 1, 0)
    repository = spend.workspace.open()
    with repository.open_file(outcome.listed.digest, size=outcome.listed.size) as path:
        rows = pq.read_table(path, decryption_properties=decryption(repository.ring)).to_pylist()
    assert sorted((row["moi_change"], row["campaign"], row["id"], int(row["amount"])) for row in rows) == [
        ("come", "c1", 1, 1), ("come", "c2", 21, 2), ("conflict_backup", "c1", 1, 1), ("conflict_live", "c1", 1, 0),
        ("gone", "c1", 1, 0), ("renumbered", "c2", 2, 2),
    ]  # fmt: skip


def test_what_was_replaced_comes_back_from_its_backup(spend):
    """The backup that was taken before the restore holds the rows of the range as they were."""
    spend.sql("UPDATE spend SET amount = 0 WHERE id < 5; DELETE FROM spend WHERE id = 9")
    before = rows_of(spend.url, "public.spend")
    outcome = in_place(spend, "replace", days=parse_day_range("2025-01-01..2025-01-31"))
    assert rows_of(spend.url, "public.spend") != before
    undone = in_place(spend, "replace", backup=outcome.undo)
    assert undone.status == "restored", undone.error
    assert rows_of(spend.url, "public.spend") == before
    assert undone.digest == outcome.changes.live


SCOPES = """
[tables.spend]
key = ["day", "campaign"]
scopes = { sensitive_campaigns = ["campaign"], financial = ["amount"] }
"""


def test_an_encrypted_backup_is_restored_and_what_it_replaced_is_sealed_by_the_same_scopes(
    empty_database: Callable[[], str], tmp_path: Path
):
    """Nothing readable is stored of the rows that changed, and a holder without a scope restores nothing of it."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure(SCOPES)
    made.initialise()
    made.sql(SPEND)
    made.back_up(full=True)
    before = rows_of(made.url, "public.spend")
    made.sql("UPDATE spend SET campaign = 'very-secret-name' WHERE id = 1; DELETE FROM spend WHERE id = 2")
    holder = replace(made, keys={"MOI_KEY_1": export_keys(made.workspace, ["financial"])})
    with pytest.raises(WrongKey):
        in_place(holder, "replace")
    outcome = in_place(made, "replace")
    assert done(outcome) == (2, 0, 1)
    assert rows_of(made.url, "public.spend") == before
    assert outcome.listed is not None
    assert not any(b"very-secret-name" in data for data in made.objects().values())
    repository = made.workspace.open()
    with repository.open_file(outcome.listed.digest, size=outcome.listed.size) as path:
        assert pq.read_table(path, decryption_properties=decryption(repository.ring)).num_rows == 3
