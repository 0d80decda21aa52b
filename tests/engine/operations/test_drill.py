"""A drill restores into a database of its own, proves what it restored, and names what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import psycopg
import pytest

from moi_backup.errors import UsageError
from moi_backup.model.day import parse_day_range
from moi_backup.model.table import TableName
from moi_backup.operations.drill_rows import RECOVERED
from moi_backup.operations.drill_server import refuse_source
from moi_backup.operations.list_drills import list_drills, show_drill
from moi_backup.operations.status import read_status
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.scratch_database import scratch_database, scratch_name
from moi_backup.repository.key_text import generate_master
from tests.engine.conftest import Server, run_server
from tests.engine.deployment import Deployment
from tests.engine.operations.drills import SHOP, drill_databases, drilled, drilling, said
from tests.engine.oracle import database_of, rows_of

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def shop(deployment: Deployment, postgres_server: Server) -> Deployment:
    """A deployment with a full backup, whose drills run on the test server."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return drilling(deployment, postgres_server)


def test_a_drill_of_a_sound_backup_passes_and_leaves_nothing_but_its_report(shop):
    """Every check passes, the live rows are untouched, the database is gone, and the report is in the repository."""
    before = database_of(shop.url)
    report = drilled(shop)
    assert said(report, "failed", "warning", "unknown") == []
    assert (report.verdict, report.exit_code, report.limited, report.partial) == ("passed", 0, False, False)
    assert {table.name: table.rows_found for table in report.tables} == {
        "public.a_heir": 1,
        "public.customers": 20,
        "public.orders": 500,
        "public.z_base": 1,
    }
    assert database_of(shop.url) == before
    assert drill_databases(shop) == []
    assert show_drill(shop.workspace, "latest") == report
    assert shop.faults() == []


def test_the_recovery_time_is_measured_by_table_and_phase(shop):
    """The phases are those of all tables, each within its table's seconds, and the rest."""
    recovery = drilled(shop).recovery
    report = show_drill(shop.workspace, "latest")
    assert recovery.rows == 522
    assert recovery.rows_per_second == pytest.approx(522 / recovery.seconds)
    inside = sum(table.seconds for table in report.tables)
    assert recovery.phases["rest"] == pytest.approx(max(recovery.seconds - inside, 0.0), abs=0.01)
    assert recovery.phases["load"] == pytest.approx(sum(table.phases["load"] for table in report.tables))
    for table in report.tables:
        assert {"define", "read", "load", "proof"} <= table.phases.keys()
        assert 0 < sum(table.phases.values()) <= table.seconds
    [historical] = recovery.classes
    assert (historical.data_class, historical.objective, historical.within) == ("historical", 86400.0, True)


def test_a_broken_chunk_fails_the_drill_and_is_named(shop):
    """The table that needs it is lost, the others are proved."""
    [name] = shop.objects("chunks/public.customers/")
    store = shop.workspace.store()
    data = bytearray(store.get(name))
    data[len(data) // 2] ^= 1
    store.put(name, bytes(data))
    report = drilled(shop)
    assert (report.verdict, report.exit_code) == ("failed", 1)
    assert name in " ".join(said(report, "failed"))
    assert {table.name for table in report.tables if not table.equal} == {"public.customers"}
    [whole] = [check for check in report.checks if check.statement == RECOVERED]
    assert whole.facts["rows proved"] == 502
    assert drill_databases(shop) == []
    assert show_drill(shop.workspace, "latest").verdict == "failed"


def test_an_empty_required_field_is_a_warning_that_names_it(deployment, postgres_server):
    """The backup is true to data that is itself incomplete."""
    deployment.configure('[tables.visits]\nday = "day"\nrequired = ["day", "campaign"]')
    deployment.sql("CREATE TABLE visits (day date, campaign text)")
    deployment.sql("INSERT INTO visits VALUES ('2025-01-01', 'a'), ('2025-01-02', ' '), ('2025-01-02', NULL)")
    deployment.back_up(full=True)
    report = drilled(drilling(deployment, postgres_server))
    [warning] = said(report, "failed", "warning")
    assert "campaign is empty in 2 rows" in warning
    assert report.exit_code == 3


def test_live_tables_of_another_volume_are_a_warning(shop):
    """One percent is too far; less is not."""
    shop.sql("INSERT INTO orders (day) SELECT '2025-01-02' FROM generate_series(1, 4)")
    assert drilled(shop).verdict == "passed"
    shop.sql("INSERT INTO orders (day) VALUES ('2025-01-02'), ('2025-01-02')")
    report = drilled(shop)
    [warning] = said(report, "failed", "warning")
    assert "506 rows live, 500 in the backup" in warning
    assert report.exit_code == 3


def test_a_live_database_that_does_not_answer_is_unknown_and_fails_nothing(shop):
    """The drill is for the day on which it is gone."""
    report = drilled(replace(shop, url=NOWHERE))
    [unknown] = said(report, "unknown")
    assert "could not be asked" in unknown
    assert report.verdict == "passed"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_protected_database_is_refused_as_drill_server(shop, name):
    """Also under another name of its host; nothing is made there and nothing is reported."""
    place = replace(shop, keys={"MOI_DRILL_URL": shop.url.replace("127.0.0.1", name)})
    before = database_of(shop.url)
    with pytest.raises(UsageError, match="is the protected database"):
        drilled(place)
    assert database_of(shop.url) == before
    assert drill_databases(shop) == []
    assert list_drills(shop.workspace).drills == ()


def test_the_database_a_backup_came_from_is_refused_though_another_is_protected_now(shop, empty_database):
    """The backup names its source."""
    place = replace(shop, url=empty_database(), keys={"MOI_DRILL_URL": shop.url})
    with pytest.raises(UsageError, match="is the protected database"):
        drilled(place)


@pytest.mark.parametrize(("identifier", "refused"), [("1", False), ("unknown", True)])
def test_the_address_decides_only_where_a_server_does_not_tell_its_identifier(shop, identifier, refused):
    """Another server may have the address that the source had on its own machine."""
    place, [backup] = replace(shop, url=NOWHERE), shop.backups()
    source = msgspec.structs.replace(backup.source, system_identifier=identifier, address=address_of(shop.url))
    elsewhere = msgspec.structs.replace(backup, source=source)
    if refused:
        with pytest.raises(UsageError, match="is the protected database"):
            refuse_source(place.workspace, shop.url, elsewhere)
    else:
        assert refuse_source(place.workspace, shop.url, elsewhere) == ""


def test_a_role_that_the_server_lacks_is_named_and_the_rows_come_back(shop):
    """Its grant and its policy are left out."""
    shop.sql("CREATE ROLE drill_reader; GRANT SELECT ON orders TO drill_reader")
    shop.back_up(full=True)
    shop.sql("DROP OWNED BY drill_reader; DROP ROLE drill_reader")
    report = drilled(shop)
    assert report.exit_code == 3
    assert "role drill_reader is lacking" in " ".join(said(report, "warning"))
    assert all(table.equal for table in report.tables)
    assert said(report, "failed") == []


@pytest.mark.parametrize("schema", ["public", "extensions"])
def test_an_extension_that_the_server_has_is_made_for_the_drill(shop, schema):
    """A table with a type of an extension comes back, also from the schema in which Supabase keeps extensions."""
    shop.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION citext SCHEMA {schema}")
    shop.sql(f"CREATE TABLE texts (id int, word {schema}.citext); INSERT INTO texts VALUES (1, 'A')")
    shop.back_up(full=True)
    report = drilled(shop)
    assert said(report, "failed", "warning", "unknown") == []


@pytest.fixture(scope="module")
def postgres_15() -> Iterator[Server]:
    """A server older than the source's, where the system has it installed."""
    programs = Path("/usr/lib/postgresql/15/bin")
    if not (programs / "postgres").exists():
        pytest.skip("Postgres 15 is not installed (Debian: postgresql-15)")
    yield from run_server(programs)


def test_a_drill_server_too_old_for_the_backup_fails_the_drill_and_says_so(shop, postgres_15):
    """Its pg_restore cannot read the archive; the report names both versions, and nothing is left there."""
    place = drilling(shop, postgres_15)
    report = drilled(place)
    assert report.exit_code == 1
    assert "older than the backup's 18" in " ".join(said(report, "warning"))
    assert "pg_restore cannot read the schema archive" in " ".join(said(report, "failed"))
    assert not any(table.equal for table in report.tables)
    assert drill_databases(replace(place, url=postgres_15.url())) == []


def test_a_newer_drill_server_proves_the_rows_and_compares_no_definitions(shop, postgres_15, postgres_server, tmp_path):
    """Another version writes the same definition in other words; that is unknown and fails nothing."""
    with psycopg.connect(postgres_15.url(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE older")
    older = replace(drilling(shop, postgres_server), url=postgres_15.url("older"), folder=tmp_path / "older")
    older.folder.mkdir()
    older.configure("")
    older.initialise()
    older.sql(SHOP)
    older.back_up(full=True)
    report = drilled(older)
    assert said(report, "failed", "warning") == []
    assert "different versions of Postgres (15, 18)" in " ".join(said(report, "unknown"))
    assert all(table.equal for table in report.tables)
    assert not any("server of the protected database" in note for note in report.notes)


def test_a_drill_of_some_tables_forecasts_everything(shop):
    """By rows and by bytes, the slower of the two; the tables that were left out are no failure."""
    report = drilled(shop, tables=(TableName("public", "customers"), TableName("public", "z_base")))
    assert report.partial
    assert report.verdict == "passed"
    recovery = report.recovery
    assert recovery.forecast
    assert recovery.everything > recovery.seconds
    assert recovery.classes[0].forecast


def test_a_limited_backup_is_drilled_and_the_report_says_that_it_is_limited(shop):
    """Its volume is compared with nothing, for it holds only some days."""
    taken = shop.back_up(days=parse_day_range("2025-01-01..2025-01-05"), tables=(TableName("public", "orders"),))
    report = drilled(shop, backup=taken.manifest.id)
    assert report.limited
    assert any("limited" in note for note in report.notes)
    assert said(report, "failed") == []
    assert report.tables[0].equal
    assert drilled(shop).backup != taken.manifest.id


def test_a_database_that_is_kept_holds_the_rows_and_no_later_drill_drops_it(shop, postgres_server):
    """Only the person who asked for it drops it."""
    report = drilled(shop, keep_database=True)
    drilled(shop)
    name = report.server.database
    assert report.server.kept
    assert drill_databases(shop) == [name]
    assert rows_of(postgres_server.url(name), "public.orders") == rows_of(shop.url, "public.orders")
    shop.sql(f"DROP DATABASE {name}")


def test_what_a_killed_drill_left_is_dropped_and_told_but_never_the_database_of_a_living_one(shop, postgres_server):
    """A living drill is known by the lock it holds; a database of another name is nobody's business."""
    left, living = (scratch_name(f"20250101T00000{n}Z-abcdef", keep=False) for n in (1, 2))
    shop.sql(f"CREATE DATABASE {left}")
    shop.sql("CREATE DATABASE moi_drill_of_my_own")
    with scratch_database(postgres_server.url(), living, keep=False):
        report = drilled(shop)
        assert drill_databases(shop) == [living, "moi_drill_of_my_own"]
    assert any(left in note for note in report.notes)
    assert drill_databases(shop) == ["moi_drill_of_my_own"]
    shop.sql("DROP DATABASE moi_drill_of_my_own")


def test_a_table_that_the_backup_does_not_hold_cannot_be_drilled(shop):
    """Nothing is made for it."""
    with pytest.raises(UsageError, match=r"public\.absent"):
        drilled(shop, tables=(TableName("public", "absent"),))


def test_an_encrypted_backup_is_drilled_and_its_report_is_encrypted(empty_database, tmp_path, postgres_server):
    """No name of a table can be read in the stored report."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(lambda n: bytes(range(n)))})
    made = drilling(made, postgres_server)
    made.configure('[tables.customers]\nscopes = { pii = ["name"] }\n[tables.orders]\nday = "day"')
    made.initialise()
    made.sql(SHOP)
    made.back_up(full=True)
    report = drilled(made)
    assert said(report, "failed", "unknown") == []
    assert all(table.equal for table in report.tables)
    [stored] = made.objects("records/drills/").values()
    assert b"customers" not in stored
    assert show_drill(made.workspace, report.id) == report


def test_status_tells_the_last_drill_and_of_which_backup(shop):
    """A newer backup has not been drilled; a drill that failed is a warning."""
    assert read_status(shop.workspace).drill is None
    report = drilled(shop)
    told = read_status(shop.workspace).drill
    assert told is not None
    assert (told.id, told.of_newest, told.verdict) == (report.id, True, "passed")
    shop.sql("UPDATE customers SET name = 'x'")
    newest = shop.back_up(full=True).manifest
    told = read_status(shop.workspace).drill
    assert told is not None
    assert (told.id, told.of_newest) == (report.id, False)
    of_newest = drilled(shop)
    drilled(shop, backup=report.backup)
    told = read_status(shop.workspace).drill
    assert told is not None
    assert (told.id, told.of_newest) == (of_newest.id, True)
    for name in shop.objects("chunks/public.customers/"):
        shop.workspace.store().delete(name)
    drilled(shop)
    found = read_status(shop.workspace)
    assert found.drill is not None
    assert (found.drill.backup, found.drill.verdict) == (newest.id, "failed")
    assert ("warning", "drill") in [(finding.level, finding.component) for finding in found.findings]


def test_drills_are_listed_the_newest_first(shop):
    """Each with its backup, its verdict and its recovery time; an id that is none is refused."""
    first, second = drilled(shop), drilled(shop, tables=(TableName("public", "orders"),))
    listed = list_drills(shop.workspace).drills
    assert [found.id for found in listed][:2] in ([second.id, first.id], [first.id, second.id])
    assert {found.partial for found in listed} == {True, False}
    with pytest.raises(UsageError, match="No drill"):
        show_drill(shop.workspace, "nothing")
