"""Days and tables that are too large for one chunk are cut, and the cut follows the rows."""

from __future__ import annotations

from moi_backup.model.table import Chunk, TableName
from moi_backup.operations.stored_table import open_table
from tests.engine.deployment import Deployment
from tests.engine.oracle import rows_of

MONTH = "INSERT INTO t SELECT i, date '2025-09-01' + i % 30, i FROM generate_series({}, {}) i"


def chunks(deployment: Deployment) -> list[Chunk]:
    """The chunks of table t in the newest backup."""
    return open_table(deployment.workspace.open(), deployment.backups()[-1], TableName("public", "t")).chunks()


def restored(deployment: Deployment, schema: str) -> bool:
    """Whether the newest backup restores to the live rows."""
    result = deployment.restore(schema=schema)
    return result.complete and rows_of(deployment.url, f"{schema}.t") == rows_of(deployment.url, "public.t")


def test_a_month_is_cut_when_it_grows_and_joined_when_it_shrinks(deployment):
    """Past 20,000 rows it has several chunks, below it one again; every state restores, other months are kept."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, day date, v int); INSERT INTO t VALUES (0, '2025-08-31', 0)")
    deployment.sql(MONTH.format(1, 20_000))
    deployment.back_up()
    assert [chunk.span for chunk in chunks(deployment)] == ["2025-08", "2025-09"]
    deployment.sql(MONTH.format(20_001, 20_001))
    grown = deployment.back_up(full=False)
    assert [chunk.span for chunk in chunks(deployment)] == [
        "2025-08",
        "2025-09-01_10",
        "2025-09-11_20",
        "2025-09-21_31",
    ]
    assert grown.manifest.tables[0].new_chunks == 3
    assert restored(deployment, "grown")
    deployment.sql(MONTH.format(20_002, 90_000))
    deployment.back_up(full=False)
    assert len(chunks(deployment)) == 31
    assert restored(deployment, "large")
    deployment.sql("DELETE FROM t WHERE id > 300")
    deployment.back_up(full=False)
    assert [chunk.span for chunk in chunks(deployment)] == ["2025-08", "2025-09"]
    assert restored(deployment, "small")


def test_one_changed_row_of_a_large_month_is_one_new_chunk(deployment):
    """A month that is cut into days costs a day, not a month, when one row changes."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, day date, v int)")
    deployment.sql(MONTH.format(1, 90_000))
    deployment.back_up()
    deployment.sql("UPDATE t SET v = -1 WHERE id = 45000")
    assert deployment.back_up(full=False).manifest.tables[0].new_chunks == 1
    assert restored(deployment, "changed")


def test_an_oversized_table_without_days_is_cut_where_its_rows_say(deployment):
    """A row inserted in the middle of more than 64 MiB changes few parts, and the table comes back whole."""
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text);"
        "INSERT INTO t SELECT i * 2, rpad(md5(i::text), 400, md5((i / 7)::text)) FROM generate_series(1, 300000) i"
    )
    deployment.back_up()
    before = {chunk.stored for chunk in chunks(deployment)}
    assert len(before) >= 2
    deployment.sql("INSERT INTO t VALUES (300001, 'in the middle')")
    after = deployment.back_up(full=False).manifest.tables[0]
    assert after.new_chunks <= 2
    assert len(before & {chunk.stored for chunk in chunks(deployment)}) >= after.chunks - 2
    assert deployment.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t") == _restored_hash(deployment)


def _restored_hash(deployment: Deployment) -> list[tuple[str]]:
    assert deployment.restore(schema="scratch").complete
    return deployment.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM scratch.t t")
