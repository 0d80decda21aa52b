"""What differs between backups, and from a backup to the live tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from moi_backup.errors import SourceError, UsageError
from moi_backup.model.day import DayRange
from moi_backup.model.diff import DiffRequest, DiffResult, RowChange, TableDiff
from moi_backup.model.table import TableName
from moi_backup.operations.copy_repository import copy_repository
from moi_backup.operations.diff import diff
from moi_backup.operations.diff_live import live_side
from moi_backup.operations.progress import Silent
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP

META = TableName("public", "meta_import_data")
EDITS = """
    UPDATE meta_import_data SET amount_spent = 0 WHERE day = '2025-09-01' AND id < 100;
    DELETE FROM meta_import_data WHERE day = '2025-09-02' AND id < 100;
    INSERT INTO meta_import_data (day, campaign_name, amount_spent) VALUES ('2030-01-01', NULL, 1);
"""


def compare(
    deployment: Deployment, before: str, after: str, **request: Any
) -> tuple[DiffResult, dict[str, list[RowChange]]]:
    """The answer, and all rows by table."""
    rows: dict[str, list[RowChange]] = {}

    def told(table: TableDiff, found: Iterator[RowChange]) -> None:
        rows[table.table.name] = list(found)

    return diff(deployment.workspace, DiffRequest(before=before, after=after, **request), told=told), rows


def table_of(result: DiffResult, name: str) -> TableDiff:
    return next(table for table in result.tables if table.table.name == name)


def one(deployment: Deployment, before: str, after: str, name: str = "t", **request: Any) -> TableDiff:
    return table_of(compare(deployment, before, after, **request)[0], name)


def counts(table: TableDiff) -> tuple[int, int, int, int]:
    return (table.inserted, table.updated, table.deleted, table.unchanged)


@pytest.fixture
def edited(deployment: Deployment) -> tuple[Deployment, str, str]:
    """The shop with a backup before some edits and one after them."""
    deployment.sql(SHOP)
    before = deployment.back_up(full=True).manifest.id
    deployment.sql(EDITS)
    return deployment, before, deployment.back_up().manifest.id


def test_backup_and_live_answer_as_two_backups_do(edited: tuple[Deployment, str, str]) -> None:
    """The live tables after the edits and a backup of them differ from the first backup in the same rows."""
    deployment, before, after = edited
    stored, stored_rows = compare(deployment, before, after)
    live, live_rows = compare(deployment, before, "live")
    assert stored.tables == live.tables
    assert stored_rows == live_rows
    meta = table_of(stored, META.name)
    assert counts(meta) == (1, 3, 3, 1994)
    assert [(day.day, day.inserted, day.updated, day.deleted, day.unchanged) for day in meta.days] == [
        ("2025-09-01", 0, 3, 0, 47),
        ("2025-09-02", 0, 0, 3, 47),
        ("2030-01-01", 1, 0, 0, 0),
    ]
    assert [(column.name, column.rows) for column in meta.columns] == [("amount_spent", 3)]
    assert [(row.kind, set(row.before), row.after) for row in stored_rows[META.name][:3]] == [
        ("updated", {"amount_spent"}, {"amount_spent": "0.00"})
    ] * 3


def test_the_two_directions_mirror_each_other(edited: tuple[Deployment, str, str]) -> None:
    """From live to a backup what was inserted is deleted, and sums change sign."""
    deployment, before, _ = edited
    there, back = one(deployment, before, "live", META.name), one(deployment, "live", before, META.name)
    assert (there.inserted, there.deleted) == (back.deleted, back.inserted)
    for one_sum, other in zip(there.sums, back.sums, strict=True):
        assert (one_sum.before, one_sum.after) == (other.after, other.before)


def test_sums_are_what_the_database_says(edited: tuple[Deployment, str, str]) -> None:
    """The sums after are those of the live rows on the days that differ, to the last digit."""
    deployment, before, _ = edited
    days = "'2025-09-01', '2025-09-02', '2030-01-01'"
    [(total,)] = deployment.sql(f"SELECT sum(amount_spent)::text FROM meta_import_data WHERE day IN ({days})")
    found = {entry.name: entry for entry in one(deployment, before, "live", META.name).sums}
    assert found["amount_spent"].after == total
    assert set(found) == {"amount_spent", "cpm"}


def test_equal_days_are_never_read(edited: tuple[Deployment, str, str]) -> None:
    """A destroyed chunk of days that are equal disturbs nothing; one of a day that differs fails its table by name."""
    deployment, before, after = edited
    folder = deployment.folder / "repository" / "chunks" / "public.meta_import_data"
    [august] = (folder / "2025-08").iterdir()
    august.write_bytes(b"")
    assert counts(one(deployment, before, after, META.name)) == (1, 3, 3, 1994)
    assert counts(one(deployment, before, "live", META.name)) == (1, 3, 3, 1994)
    for chunk in (folder / "2025-09").iterdir():
        chunk.write_bytes(b"")
    for other in (after, "live"):
        result, _ = compare(deployment, before, other)
        meta = table_of(result, META.name)
        assert (meta.status, meta.error_days[0], meta.error_days[-1]) == ("failed", "2025-09-01", "2025-09-30")
        assert not result.complete
        assert {table.status for table in result.tables if table is not meta} == {"compared"}


def test_days_limit_what_is_compared(edited: tuple[Deployment, str, str]) -> None:
    """Outside of the days nothing is counted, and a backup of some days is compared on them alone."""
    deployment, before, _ = edited
    september_1 = DayRange(first="2025-09-01", last="2025-09-01")
    for other in ("latest", "live"):
        assert counts(one(deployment, before, other, META.name, days=september_1)) == (0, 3, 0, 47)
    limited = deployment.back_up(days=september_1).manifest.id
    result, _ = compare(deployment, limited, "live")
    assert result.days == september_1
    assert counts(table_of(result, META.name)) == (0, 0, 0, 50)
    with pytest.raises(UsageError, match="none in common"):
        compare(deployment, limited, "live", days=DayRange(first="2025-09-02", last="2025-09-02"))


def test_a_table_of_one_side_alone_is_said(edited: tuple[Deployment, str, str]) -> None:
    """A dropped table is only before, a new one only after, each with its rows; an unknown one is refused."""
    deployment, before, _ = edited
    deployment.sql("DROP TABLE nothing_yet; CREATE TABLE fresh (id int, day date); INSERT INTO fresh VALUES (1, NULL)")
    last = deployment.back_up(full=True).manifest.id
    for other in (last, "live"):
        result, _ = compare(deployment, before, other)
        found = {table.table.name: (table.status, table.rows_before, table.rows_after) for table in result.tables}
        assert (found["nothing_yet"], found["fresh"]) == (("only_before", 0, 0), ("only_after", 0, 1))
    with pytest.raises(UsageError, match=r"public\.nowhere"):
        compare(deployment, before, "live", tables=(TableName("public", "nowhere"),))
    with pytest.raises(UsageError, match="themselves"):
        compare(deployment, "live", "live")


def test_a_table_that_a_backup_does_not_cover_is_no_difference(edited: tuple[Deployment, str, str]) -> None:
    """A backup of certain tables is compared on these alone, with a note on the others; asking for one is refused."""
    deployment, before, _ = edited
    limited = deployment.back_up(tables=(META,)).manifest.id
    result, _ = compare(deployment, before, limited)
    assert [table.table for table in result.tables] == [META]
    assert all("not covered" in note for note in result.notes)
    assert len(result.notes) == 2
    with pytest.raises(UsageError, match="not covered"):
        compare(deployment, before, limited, tables=(TableName("public", "nothing_yet"),))


CHANGES = {
    "ALTER TABLE t ADD extra int DEFAULT 3": ("extra", False, 0),
    "ALTER TABLE t DROP big": ("big", False, 0),
    "ALTER TABLE t RENAME big TO large": ("big", False, 0),
    "ALTER TABLE t ALTER n TYPE bigint": ("n", True, 0),
    "ALTER TABLE t ALTER price TYPE numeric(12,4)": ("price", True, 0),
    "ALTER TABLE t ALTER price TYPE numeric": ("price", True, 0),
    "ALTER TABLE t ALTER n TYPE text": ("n", True, 0),
    "ALTER TABLE t ALTER at TYPE timestamptz USING at AT TIME ZONE 'UTC'": ("at", False, 0),
    "UPDATE t SET price = 'NaN' WHERE id = 2": ("price", True, 1),
    "UPDATE t SET at = 'infinity' WHERE id = 2": ("at", True, 1),
    "ALTER TABLE t DROP CONSTRAINT t_pkey": ("key", True, 0),
    "ALTER TABLE t DROP day": ("day column", True, 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_definition_is_said_and_the_rest_compared(deployment: Deployment, change: str) -> None:
    """Columns of both sides are compared in a common form, what differs is named, and no row differs for it."""
    deployment.sql("""
        CREATE TABLE t (id int PRIMARY KEY, day date, n int, price numeric(10, 2), big text, at timestamp);
        INSERT INTO t SELECT i, date '2025-01-01' + i, i, i / 3.0, 'x', timestamp '2025-01-01 10:00:00.5' FROM
            generate_series(1, 9) i;
        INSERT INTO t (id, at, price) VALUES (10, '0044-03-15 12:00:00.25 BC', 0), (11, '9999-12-31', -0.01);
    """)
    before = deployment.back_up(full=True).manifest.id
    deployment.sql(change)
    name, compared, updated = CHANGES[change]
    last = deployment.back_up(full=True).manifest.id
    for first, second in ((before, "live"), (before, last), ("live", before)):
        found = one(deployment, first, second)
        assert found.status == "compared", found.error
        assert (found.inserted + found.deleted, found.updated, found.unchanged) == (0, updated, 11 - updated)
        assert (name, compared) in [(entry.name, entry.compared) for entry in found.schema]


def test_a_table_with_nothing_in_common_fails_by_name_and_the_others_go_on(deployment: Deployment) -> None:
    """A table without any column to compare is not compared, and the answer says why."""
    deployment.sql("CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO u VALUES (1)")
    before = deployment.back_up(full=True).manifest.id
    deployment.sql("ALTER TABLE t RENAME a TO b; UPDATE u SET a = 2")
    result, _ = compare(deployment, before, "live")
    assert (table_of(result, "t").status, result.complete) == ("failed", False)
    assert "no column in common" in table_of(result, "t").error
    assert counts(table_of(result, "u")) == (1, 0, 1, 0)


@pytest.mark.parametrize("forbid", ["REVOKE SELECT ON a FROM {name}", "ALTER TABLE a ENABLE ROW LEVEL SECURITY"])
def test_a_live_table_the_role_may_not_read_whole_fails_by_name(deployment: Deployment, forbid: str) -> None:
    """Without SELECT, or under row security that would hide rows, that table fails and the others are compared."""
    deployment.sql("CREATE TABLE a (i int); INSERT INTO a VALUES (1); CREATE TABLE b (i int); INSERT INTO b VALUES (1)")
    before = deployment.back_up(full=True).manifest.id
    name = f"reader_{len(forbid)}"
    deployment.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'; GRANT SELECT ON a, b TO {name}; UPDATE b SET i = 2;")
    deployment.sql(forbid.format(name=name))
    try:
        known = psycopg.conninfo.conninfo_to_dict(deployment.url)
        url = f"postgresql://{name}:pw@{known['host']}:{known['port']}/{known['dbname']}"
        result, _ = compare(Deployment(url, deployment.folder), before, "live")
        assert [(table.table.name, table.status) for table in result.tables] == [("a", "failed"), ("b", "compared")]
        assert counts(result.tables[1]) == (1, 0, 1, 0)
    finally:
        deployment.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_after_an_error_the_live_side_shows_the_same_moment(edited: tuple[Deployment, str, str]) -> None:
    """A statement that fails ends the reading transaction; the next one reads in the same snapshot."""
    deployment, _, _ = edited
    with live_side(deployment.workspace, (META,), Silent()) as live:
        rows = live.count(META, runs=None)
        with pytest.raises(SourceError):
            live.session.rows("SELECT 1 / 0")
        deployment.sql("DELETE FROM meta_import_data")
        live.begin_again()
        assert live.count(META, runs=None) == rows


def test_nothing_is_left_behind(edited: tuple[Deployment, str, str], tmp_path: Path) -> None:
    """A comparison writes no object, and no temporary file of it stays."""
    deployment, before, _ = edited
    objects = deployment.objects()
    compare(deployment, before, "live")
    assert deployment.objects() == objects
    assert list((tmp_path / "state" / "scratch").iterdir()) == []
    assert list(itertools.islice((deployment.folder / "repository" / "tmp").iterdir(), 1)) == []


def test_what_the_repository_lost_is_read_from_the_copy(edited: tuple[Deployment, str, str], tmp_path: Path) -> None:
    """With a configured copy a damaged chunk disturbs nothing, and the answer says where its rows came from."""
    deployment, before, _ = edited
    place = tmp_path / "copy"
    deployment.configure(f'[repository]\ncopy = "{place}"\n')
    copy_repository(deployment.workspace)
    for chunk in (deployment.folder / "repository" / "chunks" / "public.meta_import_data").rglob("*.parquet"):
        chunk.write_bytes(b"")
    result, _ = compare(deployment, before, "live")
    assert counts(table_of(result, META.name)) == (1, 3, 3, 1994)
    assert any("read from the copy" in note for note in result.notes)
