"""SQL over a backup gives its values, and reaches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moi_backup.errors import Damaged, UsageError
from moi_backup.model.table import TableName
from moi_backup.operations.query import Row, query
from moi_backup.operations.stored_table import open_table
from moi_backup.repository.layout import chunk_name
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP, backed_up_shop


@pytest.fixture(scope="module")
def shop(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A small shop with one full backup, which no test changes."""
    with backed_up_shop(postgres_server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def own_shop(deployment: Deployment) -> Deployment:
    """A small shop with one full backup, for tests that change it."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return deployment


def rows(shop: Deployment, sql: str, *, backup: str = "latest") -> list[Row]:
    """All rows of a query."""
    with query(shop.workspace, backup, sql) as result:
        return list(result.rows)


def test_a_query_counts_what_the_database_counts(shop: Deployment):
    """Sums over a backup equal those over the table it was taken from."""
    sql = "SELECT day, count(*), sum(amount_spent) FROM meta_import_data GROUP BY day ORDER BY day"
    assert rows(shop, sql) == [(str(day), count, str(total)) for day, count, total in shop.sql(sql)]


def test_an_older_backup_answers_with_its_own_rows(own_shop: Deployment):
    """Each backup is a complete state."""
    first = own_shop.backups()[0].id
    own_shop.sql("DELETE FROM meta_import_data WHERE id > 10")
    own_shop.back_up()
    assert rows(own_shop, "SELECT count(*) FROM meta_import_data") == [(10,)]
    assert rows(own_shop, "SELECT count(*) FROM public.meta_import_data", backup=first) == [(2000,)]


def test_every_kind_of_value_keeps_what_it_says(shop: Deployment):
    """Decimals, infinite days, uuids, arrays and NULL arrive as their text, generated columns too."""
    found = rows(shop, 'SELECT id, "Amount (INR)", "at", day, tags, doubled FROM "Odd.Names" ORDER BY id')
    assert found == [
        ("11111111-1111-1111-1111-111111111111", "1.50", "2025-09-14 00:00:00+00", "2025-09-14", "{a,b}", 42),
        ("22222222-2222-2222-2222-222222222222", "NaN", None, "infinity", None, 42),
        ("33333333-3333-3333-3333-333333333333", None, None, None, "{}", 42),
    ]


def test_an_empty_table_has_its_columns(shop: Deployment):
    """A table without chunks is a view without rows."""
    with query(shop.workspace, "latest", "SELECT * FROM nothing_yet") as result:
        assert result.columns == ("id", "day", "flag")
        assert result.types == ("INTEGER", "DATE", "BOOLEAN")
        assert list(result.rows) == []


def test_repeated_column_names_are_told_apart(shop: Deployment):
    """No field of a document hides another."""
    with query(shop.workspace, "latest", "SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a") as result:
        assert result.columns == ("a", "a_2", "b", "a_3")


@pytest.mark.parametrize("end", ["", ";", " ; -- a remark", "\n-- a remark; with a semicolon", "; /* हिन्दी; */"])
def test_a_query_may_end_as_people_end_them(shop: Deployment, end: str):
    """Semicolons and comments after the statement are no second one."""
    assert rows(shop, f"SELECT ';', 'हिन्दी' -- a ; remark\n{end}") == [(";", "हिन्दी")]


def test_the_tables_can_be_listed_and_described(shop: Deployment):
    """SHOW TABLES and DESCRIBE tell what there is, and nothing of how it is done."""
    assert rows(shop, "SHOW TABLES") == [("Odd.Names",), ("meta_import_data",), ("nothing_yet",)]
    assert ("day", "DATE") in [row[:2] for row in rows(shop, "DESCRIBE meta_import_data")]


def test_a_name_in_two_schemas_needs_its_schema(deployment: Deployment):
    """A bare name is never resolved to one of two tables."""
    deployment.sql(
        "CREATE SCHEMA other; CREATE TABLE t (a int); CREATE TABLE other.t (a int); INSERT INTO other.t VALUES (7)"
    )
    deployment.configure('[tables."public.t"]\n[tables."other.t"]\n')
    deployment.back_up()
    assert rows(deployment, "SELECT * FROM other.t") == [(7,)]
    assert rows(deployment, "SELECT * FROM public.t") == []
    with pytest.raises(UsageError, match="does not exist"):
        rows(deployment, "SELECT * FROM t")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM sniff_csv('{file}')",
        "COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO ':memory:'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO ':memory:'",
        "ATTACH '{file}' AS other",
        "EXPORT DATABASE '{file}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "CREATE TABLE t AS SELECT 1",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT * FROM no_such_table",
        "SELECT CAST('x' AS INTEGER)",
    ],
)
def test_a_query_reaches_no_file_and_changes_nothing(
    shop: Deployment, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever is tried is refused as usage, and leaves no file anywhere."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = folder / "secret.csv"
    file.write_text("a\nsecret\n")
    with pytest.raises(UsageError):
        rows(shop, sql.format(file=file))
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]
    assert file.read_text() == "a\nsecret\n"


def test_a_damaged_chunk_is_never_queried(own_shop: Deployment):
    """The hash of every chunk is checked before the query runs; tables it does not name are not read."""
    table = TableName("public", "meta_import_data")
    chunk = open_table(own_shop.workspace.open(), own_shop.backups()[0], table).chunks()[0]
    file = own_shop.folder / "repository" / chunk_name(table, chunk)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Damaged, match="hash"):
        rows(own_shop, "SELECT count(*) FROM meta_import_data")
    assert rows(own_shop, 'SELECT count(*) FROM "Odd.Names"') == [(3,)]


def test_a_long_answer_is_streamed(shop: Deployment):
    """Rows come before the last one is made: a billion of them end when the reader does."""
    with query(shop.workspace, "latest", "SELECT range FROM range(1000000000)") as result:
        assert [next(result.rows) for _ in range(3)] == [(0,), (1,), (2,)]
