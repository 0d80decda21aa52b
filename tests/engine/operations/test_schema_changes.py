"""What changes under a backup or between two, past the change scan and past the locks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from moi_backup.operations.progress import Silent
from moi_backup.operations.workspace import WRITER
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import acquire
from tests.engine.deployment import Deployment

MOOD = "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, m mood); INSERT INTO t VALUES (1, 'a')"
PARTED = """
CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
INSERT INTO t VALUES (1, 'old')
"""


class Meddler(Silent):
    """Runs statements when the first table begins, once."""

    def __init__(self, deployment: Deployment, text: str) -> None:
        self._deployment, self._text = deployment, text

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        text, self._text = self._text, ""
        if text:
            self._deployment.sql(text)


def restored(deployment: Deployment, url: str, query: str) -> list[tuple[object, ...]]:
    result = deployment.restore(url)
    assert result.complete, result
    return deployment.sql(query, url=url)


def test_an_enum_label_renamed_during_the_backup_does_not_make_it_unrestorable(
    deployment: Deployment, empty_database: Callable[[], str]
) -> None:
    """The table locks let the renaming pass, so the backup begins again and rows fit the definitions."""
    deployment.sql(MOOD)
    deployment.back_up(progress=Meddler(deployment, "ALTER TYPE mood RENAME VALUE 'a' TO 'z'"))
    assert len(deployment.backups()) == 1
    assert restored(deployment, empty_database(), "SELECT m::text FROM t") == [("z",)]


def test_a_partition_attached_during_the_backup_does_not_make_it_unrestorable(
    deployment: Deployment, empty_database: Callable[[], str]
) -> None:
    """Attaching passes the locks too; the published backup has the rows and their partition, or neither."""
    deployment.sql(PARTED + "; CREATE TABLE t2 (id int PRIMARY KEY, v text); INSERT INTO t2 VALUES (11, 'new')")
    deployment.configure('[tables."public.t"]\n')
    meddler = Meddler(deployment, "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20)")
    deployment.back_up(progress=meddler)
    assert restored(deployment, empty_database(), "SELECT id FROM t ORDER BY 1") == [(1,), (11,)]


def test_a_partition_that_changed_while_detached_is_read_again(
    deployment: Deployment, empty_database: Callable[[], str]
) -> None:
    """Its oid, its filenode and its rows' xmin are as before, its column's default is not."""
    deployment.sql(PARTED)
    deployment.configure('[tables."public.t"]\n')
    deployment.back_up()
    deployment.sql("ALTER TABLE t DETACH PARTITION t1")
    deployment.sql("ALTER TABLE t1 DROP COLUMN v; ALTER TABLE t1 ADD COLUMN v text DEFAULT 'new'")
    deployment.sql("ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (10)")
    deployment.back_up(full=False)
    assert restored(deployment, empty_database(), "SELECT v FROM t") == [("new",)]


def test_a_new_expression_of_a_generated_column_is_backed_up(deployment: Deployment) -> None:
    """The other columns are as before; the generated one is stored anew, and a scratch restore shows it."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)")
    deployment.sql("INSERT INTO t VALUES (1)")
    deployment.back_up()
    deployment.sql("ALTER TABLE t DROP COLUMN g; ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (id * 1000) STORED")
    deployment.back_up(full=True)
    assert deployment.restore(schema="scratch").complete
    assert deployment.sql("SELECT g FROM scratch.t") == [(1000,)]


def test_names_of_objects_are_always_read_again(deployment: Deployment) -> None:
    """A regclass shows another name when its table is renamed, which no row of this table tells."""
    deployment.sql("CREATE TABLE x (); CREATE TABLE t (id int PRIMARY KEY, r regclass); INSERT INTO t VALUES (1, 'x')")
    deployment.configure('[tables."public.t"]\n')
    deployment.back_up()
    deployment.sql("ALTER TABLE x RENAME TO y; CREATE TABLE x ()")
    deployment.back_up(full=False)
    assert deployment.restore(schema="scratch").complete
    assert deployment.sql("SELECT r::text FROM scratch.t") == [("y",)]


def test_a_column_stored_as_text_follows_a_change_of_its_type(deployment: Deployment) -> None:
    """Text is kept for a timestamp that once held infinity, and not for the date it became."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, day timestamp); INSERT INTO t VALUES (1, 'infinity')")
    deployment.back_up()
    deployment.sql("ALTER TABLE t ALTER day TYPE date USING '2025-09-01'::date")
    tables = deployment.back_up().tables
    assert {column.name: column.encoding for column in tables[0].columns} == {"id": "native", "day": "native"}


def test_a_table_created_while_the_backup_waits_is_in_it(deployment: Deployment) -> None:
    """A complete backup covers what exists in its snapshot, not what existed when it began to wait."""
    deployment.sql("CREATE TABLE first (id int PRIMARY KEY)")
    workspace = deployment.workspace
    held = acquire(workspace.store(), WRITER, operation="test", wait=0, clock=workspace.clock, identity=own_identity())
    found: list[list[str]] = []

    def back_up() -> None:
        found.append([str(entry.table) for entry in deployment.back_up(wait=30.0).manifest.tables])

    thread = threading.Thread(target=back_up)
    thread.start()
    thread.join(1.5)
    assert thread.is_alive()
    deployment.sql("CREATE TABLE second (id int PRIMARY KEY); INSERT INTO second VALUES (1)")
    held.release()
    thread.join(30)
    assert found == [["public.first", "public.second"]]


def test_a_full_backup_heals_older_backups_of_a_damaged_chunk(deployment: Deployment) -> None:
    """The same rows give the same bytes under the same name, whatever else the backup writes."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY, day date, name text)")
    deployment.sql(
        "INSERT INTO t SELECT i, date '2025-01-01' + i % 90, 'n' || i % (1 + i / 500) FROM generate_series(1, 3000) i"
    )
    first = deployment.back_up()
    chunk = next(deployment.workspace.settings.repository.path.rglob("chunks/**/2025-02/*.parquet"))
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-100])
    deployment.back_up(full=True)
    assert chunk.read_bytes() == whole
    assert deployment.restore(schema="scratch", backup=first.manifest.id).complete


def test_a_short_statement_timeout_of_the_target_does_not_fail_a_committed_restore(
    deployment: Deployment, empty_database: Callable[[], str]
) -> None:
    """What comes after the commit runs without the database's own limit."""
    deployment.sql("CREATE TABLE t (id serial PRIMARY KEY, v text)")
    deployment.sql("INSERT INTO t (v) SELECT repeat(md5(i::text), 10) FROM generate_series(1, 100000) i")
    deployment.back_up()
    url = empty_database()
    name = url.rpartition("/")[2]
    deployment.sql(f"ALTER DATABASE {name} SET statement_timeout = '200ms'", url=url)
    deployment.sql(f"ALTER DATABASE {name} SET default_statistics_target = 10000", url=url)
    result = deployment.restore(url)
    assert result.complete, result
