"""Every built-in type goes into a backup and comes back the same: into new tables, a scratch schema, and in place."""

from __future__ import annotations

import pytest

from moi_backup.model.table import TableName
from tests.engine.conftest import EVERY_TYPE
from tests.engine.deployment import Deployment
from tests.engine.oracle import definition_of, rows_of

TABLE = "public.every_type"


@pytest.fixture
def every_type(deployment: Deployment) -> Deployment:
    """A deployment with the table of all types and their edge values."""
    deployment.sql(EVERY_TYPE.read_text())
    return deployment


def test_every_type_comes_back_in_an_empty_database(every_type, empty_database):
    """Values, float bits, lengths and column definitions are those of the source, and the digest is the manifest's."""
    target = empty_database()
    taken = every_type.back_up(full=True)
    result = every_type.restore(target)
    assert result.complete, result
    assert rows_of(target, TABLE) == rows_of(every_type.url, TABLE)
    assert definition_of(target, TABLE) == definition_of(every_type.url, TABLE)
    assert result.tables[0].digest == taken.manifest.tables[0].digest


def test_every_type_comes_back_in_a_scratch_schema(every_type):
    """A scratch table holds the same values, the generated ones as plain ones."""
    every_type.back_up(full=True)
    result = every_type.restore(schema="scratch")
    assert result.complete, result
    assert rows_of(every_type.url, "scratch.every_type") == rows_of(every_type.url, TABLE)


def test_every_type_comes_back_in_place_after_damage(every_type):
    """Rows changed, lost and added are replaced by those of the backup."""
    before = rows_of(every_type.url, TABLE)
    every_type.back_up(full=True)
    every_type.sql(
        "DELETE FROM every_type WHERE day = '2025-09-14';"
        "UPDATE every_type SET c_float8 = 0, c_text = 'gone', c_jsonb = NULL;"
        "INSERT INTO every_type (day, c_enum) VALUES ('2030-01-01', 'sad')"
    )
    result = every_type.restore_in_place()
    assert result.complete, result
    assert rows_of(every_type.url, TABLE) == before
    assert result.tables[0].replaced == len(before)


def test_a_restored_table_of_every_type_backs_up_to_the_same_digest(every_type, empty_database, tmp_path):
    """What was restored elsewhere has the digest of the original when it is backed up there."""
    taken = every_type.back_up(full=True)
    target = empty_database()
    every_type.restore(target)
    (tmp_path / "other").mkdir()
    other = Deployment(target, tmp_path / "other")
    other.configure("")
    other.initialise()
    assert other.back_up().manifest.tables[0].digest == taken.manifest.tables[0].digest


def test_an_unchanged_table_of_every_type_needs_no_new_chunk(every_type):
    """NaN in numeric(p,s) and infinite timestamps turn columns to text once; later backups are stable."""
    first = every_type.back_up(full=True).manifest.tables[0]
    again = [every_type.back_up(full=full).manifest.tables[0] for full in (False, True)]
    assert [(table.new_chunks, table.digest, table.manifest) for table in again] == [
        (0, first.digest, first.manifest)
    ] * 2


@pytest.mark.parametrize(
    ("pg_type", "value", "plain"),
    [
        ("numeric(10,2)", "'NaN'", "12.50"),
        ("timestamp", "'infinity'", "'2025-01-01 12:00'"),
        ("timestamptz", "'-infinity'", "'2025-01-01 12:00+00'"),
        ("timestamp", "'294276-12-31 23:59:59'", "'2025-01-01 12:00'"),
    ],
)
def test_a_value_its_encoding_cannot_hold_turns_the_column_to_text_for_good(
    deployment, empty_database, pg_type, value, plain
):
    """It comes back, and neither the value's going nor later backups turn the column back."""
    deployment.sql(
        f"CREATE TABLE t (id int PRIMARY KEY, day date, v {pg_type});"
        f"INSERT INTO t SELECT i, date '2025-01-01' + i * 20, {plain} FROM generate_series(1, 9) i"
    )
    native = deployment.back_up().tables[0]
    deployment.sql(f"INSERT INTO t VALUES (100, '2025-03-03', {value})")
    text = deployment.back_up(full=False)
    assert [table.columns[2].encoding for table in (native, text.tables[0])] == [native.columns[2].encoding, "text"]
    target = empty_database()
    assert deployment.restore(target).complete
    assert rows_of(target, "public.t") == rows_of(deployment.url, "public.t")
    stable = [deployment.back_up(full=full).manifest.tables[0] for full in (False, True)]
    assert [table.new_chunks for table in stable] == [0, 0]
    deployment.sql("DELETE FROM t WHERE id = 100")
    after = deployment.back_up(full=False)
    assert after.tables[0].columns[2].encoding == "text"
    assert after.manifest.tables[0].new_chunks == 1
    assert deployment.restore_in_place(tables=(TableName("public", "t"),)).complete
