"""Connecting, the settings that text output depends on, and the snapshot that nothing can empty."""

from __future__ import annotations

import traceback
from contextlib import closing
from threading import Timer

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pytest

from moi_backup.errors import Locked, SourceError, UsageError
from moi_backup.model.table import TableName
from moi_backup.postgres.connection_url import address_of, libpq_url, redact, scrub, without_password
from moi_backup.postgres.session import connect, coordinating_snapshot, read_source, session_settings, snapshot_text
from tests.engine.conftest import PASSWORD, run_sql

T = TableName("public", "t")
ROWS = "CREATE TABLE public.t AS SELECT generate_series(1, 100) AS id"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host:5432/db",
        "postgres://me:hunter2@host/db?sslmode=require",
        "postgresql+psycopg2://me:hunter2@host/db",
        "postgresql://me@host/db?password=hunter2&sslmode=require",
        "postgresql://me:hunter2@ho@st/db",
        "postgresql://me:hun/ter2@hunter2@host/db",
        "postgresql://:hunter2@host",
        "host=x user=me password='hunter2 hunter2' dbname=d",
        "postgresql://me:hunter2@host/db?sslpassword=hunter2",
    ],
)
def test_a_redacted_url_holds_no_password(url):
    """Wherever the password stands, even in a URL that is not well formed."""
    assert "hunter2" not in redact(url)
    assert "me" in redact(url) or "@host" in redact(url)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/db", SourceError),
        ("postgresql://me:hunter2@127.0.0.1:1/db?connect_timeout=2", SourceError),
        ("postgresql://me:hun@hunter2/hunter2@127.0.0.1:1/db", UsageError),
        ("postgresql://me:hunter2#x@127.0.0.1:1/db", UsageError),
        ("postgresql://me:hunter2@127.0.0.1:1/db?nonsense=1", UsageError),
        ("postgresql://me:hunter2%zz@127.0.0.1:1/db", UsageError),
        ("mysql://me:hunter2@host/db", UsageError),
        ("host=127.0.0.1 port=1 password=hunter2", UsageError),
    ],
)
def test_no_failure_to_connect_shows_the_password(url, error):
    """Neither the message nor anything chained to the exception, as a full traceback would print it."""
    with pytest.raises(error) as caught:
        connect(url, timeout_seconds=2)
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert "hunter2" not in "".join(traceback.TracebackException.from_exception(caught.value).format_exception_only())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.value.remedy


def test_a_wrong_password_is_said_with_the_remedy_and_not_shown(postgres_server):
    """The server's refusal is told, the password that was tried is not."""
    with pytest.raises(SourceError, match="password authentication failed") as caught:
        connect(postgres_server.url(password="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "pgpass" in caught.value.remedy


def test_the_password_can_come_from_libpqs_own_places(postgres_server, monkeypatch, tmp_path):
    """PGPASSWORD and a password file serve a URL without one; a message never shows what they hold."""
    bare = f"postgresql://postgres@127.0.0.1:{postgres_server.port}/postgres"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    connect(bare).close()
    assert PASSWORD not in scrub(f"bad {PASSWORD}", url=bare)
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres_server.port}:*:postgres:{PASSWORD}\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    connect(bare).close()
    connect(bare.replace("postgresql://", "postgresql+psycopg2://")).close()


def test_scrubbing_hides_the_password_encoded_and_decoded():
    """What libpq or a child program says may hold either form; an empty password hides nothing."""
    url = "postgresql://me:p%40ss@host/db"
    assert scrub("no p@ss and no p%40ss", url=url) == "no *** and no ***"
    assert scrub("plain text", url="postgresql://me:@host/db") == "plain text"
    assert without_password(url) == ("user=me dbname=db host=host", {"PGPASSWORD": "p@ss"})
    assert address_of(url) == "host:5432/db"
    assert libpq_url("postgres+psycopg2://h/d") == "postgresql://h/d"


@pytest.mark.parametrize("host", ["aws-0-ap-south-1.pooler.supabase.com", "db.abcdefgh.supabase.co"])
def test_supabases_transaction_pooler_is_refused_by_name(host):
    """It gives every transaction another session; the session pooler's port is named instead."""
    with pytest.raises(SourceError, match="transaction pooler") as caught:
        connect(f"postgresql://postgres.abc:hunter2@{host}:6543/postgres")
    assert "5432" in caught.value.remedy
    assert "hunter2" not in str(caught.value)


def test_the_settings_hold_for_one_transaction_over_either_driver(postgres_server, database):
    """Text output does not depend on what the database or role was configured with."""
    url = database("settings")
    run_sql(
        url, "ALTER DATABASE settings SET DateStyle = 'German'; ALTER DATABASE settings SET IntervalStyle = 'iso_8601'"
    )
    run_sql(
        url,
        "ALTER DATABASE settings SET bytea_output = 'escape'; ALTER DATABASE settings SET TimeZone = 'Asia/Kolkata'",
    )
    query = "SELECT '2025-09-14 12:00+00'::timestamptz::text, '1 day'::interval::text, '\\x00'::bytea::text"
    expected = ("2025-09-14 12:00:00+00", "1 day", "\\x00")
    settings = session_settings(server_version=180000, lock_timeout_ms=1000)
    with closing(connect(url)) as conn:
        coordinating_snapshot(conn, [], address="")
        assert conn.execute(query).fetchone() == expected
        conn.rollback()
        assert conn.execute(query).fetchone() != expected
    with closing(adbc.connect(url)) as conn, closing(conn.cursor()) as cursor:
        for setting in settings:
            cursor.execute(setting)
        cursor.execute(query)
        assert cursor.fetchone() == expected


def test_a_truncate_in_another_session_cannot_empty_the_snapshot(database):
    """The lock comes before the snapshot: a TRUNCATE that holds the table is waited for, never seen as emptiness."""
    url = database("truncated")
    run_sql(url, ROWS)
    with psycopg.connect(url) as other, closing(connect(url)) as conn:
        other.execute("TRUNCATE public.t")
        other.execute("INSERT INTO public.t SELECT generate_series(1, 7)")
        timer = Timer(0.5, other.commit)
        timer.start()
        coordinating_snapshot(conn, [T], address="", lock_timeout_ms=200)
        timer.join()
        assert conn.execute("SELECT count(*) FROM public.t").fetchone() == (7,)


def test_a_table_that_stays_locked_ends_the_wait_after_a_bounded_time(database):
    """Locked is raised, and the connection is idle again."""
    url = database("locked")
    run_sql(url, ROWS)
    with psycopg.connect(url) as other, closing(connect(url)) as conn:
        other.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Locked, match="locked"):
            coordinating_snapshot(conn, [T], address="", lock_timeout_ms=50, attempts=2)
        other.rollback()
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        coordinating_snapshot(conn, [T], address="")


def test_a_missing_or_forbidden_table_is_a_source_error(postgres_server, database):
    """Both are told by name; nothing is read."""
    url = database("forbidden")
    run_sql(url, ROWS)
    run_sql(url, "DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN PASSWORD 'poor'")
    with closing(connect(url)) as conn, pytest.raises(SourceError, match="nowhere"):
        coordinating_snapshot(conn, [TableName("public", "nowhere")], address="")
    poor = postgres_server.url("forbidden", user="poor", password="poor")
    with closing(connect(poor)) as conn, pytest.raises(SourceError, match="permission denied"):
        coordinating_snapshot(conn, [T], address="")


def test_a_policy_that_hides_rows_is_an_error_and_not_a_smaller_backup(postgres_server, database):
    """row_security is off, so a role under a policy cannot read a part of the table unnoticed."""
    url = database("policies")
    run_sql(url, f"{ROWS}; ALTER TABLE public.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.t USING (id < 5)")
    run_sql(
        url, "DROP ROLE IF EXISTS watched; CREATE ROLE watched LOGIN PASSWORD 'w'; GRANT SELECT ON public.t TO watched"
    )
    with closing(connect(postgres_server.url("policies", user="watched", password="w"))) as conn:
        coordinating_snapshot(conn, [T], address="")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            conn.execute("SELECT count(*) FROM public.t")


def test_another_session_shares_the_exported_snapshot(database):
    """A worker sees the same rows although others were committed in between, and both have the same snapshot text."""
    url = database("shared")
    run_sql(url, ROWS)
    with closing(connect(url)) as conn:
        snapshot = coordinating_snapshot(conn, [T], address="here:5432/shared")
        run_sql(url, "DELETE FROM public.t")
        with closing(adbc.connect(url, autocommit=True)) as worker, closing(worker.cursor()) as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(snapshot_text(snapshot.exported))
            cursor.execute("SELECT count(*), pg_current_snapshot()::text FROM public.t")
            assert cursor.fetchone() == (100, snapshot.source.snapshot)


def test_the_source_tells_where_in_history_the_snapshot_lies(database):
    """Identity, timeline and position are those the server gives; the address is the caller's."""
    url = database("source")
    with closing(connect(url)) as conn:
        source = read_source(conn, address="a:1/source")
        assert (source.database, source.address, source.timeline, source.role) == (
            "source",
            "a:1/source",
            1,
            "postgres",
        )
        assert source.server_version.startswith("18")
        assert "/" in source.wal_position
        conn.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        conn.execute("DROP ROLE IF EXISTS managed; CREATE ROLE managed")
        conn.execute("SET ROLE managed")
        assert source.system_identifier.isdigit()
        assert read_source(conn, address="").system_identifier == "unknown"


def test_a_database_without_an_encoding_is_refused(postgres_server):
    """SQL_ASCII texts may be any bytes, so keeping them as text could lose some."""
    with psycopg.connect(postgres_server.url(), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS ascii")
        conn.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(SourceError, match="SQL_ASCII"):
        connect(postgres_server.url("ascii"))
