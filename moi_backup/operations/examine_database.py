"""Examine the protected database: does it answer, may the role read what a backup reads, is there a pg_dump for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

from moi_backup.errors import MoiError
from moi_backup.model.child_environment import without_keys
from moi_backup.operations.examined import Examined
from moi_backup.operations.protect import ProtectedTable, protected_names, read_protected, unprotected_names
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.programs import find_program
from moi_backup.postgres.session import Connection, begin, connect, run

_CLOCK_SECONDS = 60.0


def examine_database(workspace: Workspace) -> Iterator[Examined]:
    """All checks of the database; when it does not answer, only that."""
    try:
        url = workspace.source_url()
        conn = connect(url)
    except MoiError as error:
        yield Examined.of_error("database", error)
        return
    with conn:
        version = conn.info.parameter_status("server_version")
        role = conn.info.user
        yield Examined(name="database", level="ok", text=f"{address_of(url)}, Postgres {version}, role {role}")
        yield _clock(conn, workspace)
        yield _pg_dump(conn.info.server_version // 10000)
        yield from _tables(conn, workspace)


def _clock(conn: Connection, workspace: Workspace) -> Examined:
    told = run(conn, "SELECT extract(epoch FROM clock_timestamp())::float8")[0][0]
    seconds = float(str(told)) - workspace.clock.now().timestamp()
    if abs(seconds) <= _CLOCK_SECONDS:
        return Examined(name="database clock", level="ok", text="agrees with this machine's")
    text = f"differs from this machine's by {seconds:+.0f} s"
    return Examined(name="database clock", level="warn", text=text, remedy="Set the clocks (NTP).")


def _pg_dump(major: int) -> Examined:
    try:
        program = find_program("pg_dump", server_major=major)
        asked, env = [program, "--version"], without_keys(os.environ)
        told = subprocess.run(asked, capture_output=True, text=True, env=env, timeout=10, check=True).stdout
    except MoiError as error:
        return Examined.of_error("pg_dump", error)
    except (OSError, subprocess.SubprocessError) as error:
        remedy = "Reinstall the Postgres client programs."
        return Examined(name="pg_dump", level="fail", text=str(error), remedy=remedy)
    return Examined(name="pg_dump", level="ok", text=f"{told.strip()} at {program}")


def _tables(conn: Connection, workspace: Workspace) -> Iterator[Examined]:
    configuration = workspace.configuration
    begin(conn, lock_timeout_ms=int(configuration.source.lock_timeout * 1000))
    try:
        tables = read_protected(conn, configuration, protected_names(conn, configuration))
        unprotected = unprotected_names(conn, configuration)
    except MoiError as error:
        yield Examined.of_error("tables", error)
        return
    if not tables:
        remedy = "Check source.schema in moi.toml and MOI_SOURCE_URL."
        yield Examined(name="tables", level="fail", text="there is no table to protect", remedy=remedy)
        return
    yield Examined(name="tables", level="ok", text=f"{len(tables)} protected, all with their columns")
    if unprotected:
        text = f"no entry covers {', '.join(map(str, unprotected))}"
        yield Examined(name="unprotected", level="warn", text=text, remedy="Add them to moi.toml to protect them.")
    yield from _privileges(conn, tables)
    conn.rollback()


def _privileges(conn: Connection, tables: tuple[ProtectedTable, ...]) -> Iterator[Examined]:
    """May the role read every table whole? A policy that hides rows makes a backup fail, never silently smaller."""
    names = {str(table.name): quote_literal(qualified(table.name)) for table in tables}
    unreadable = [name for name, text in names.items() if not _holds(conn, f"has_table_privilege({text}, 'SELECT')")]
    if unreadable:
        remedy = "GRANT SELECT on them to the role."
        text = f"the role may not SELECT from {', '.join(unreadable)}"
        yield Examined(name="privileges", level="fail", text=text, remedy=remedy)
    else:
        yield Examined(name="privileges", level="ok", text="SELECT on every protected table")
    hidden = [name for name, text in names.items() if _holds(conn, f"row_security_active({text}::regclass)")]
    if hidden:
        remedy = "Use the tables' owner or a role with BYPASSRLS (ALTER ROLE ... BYPASSRLS)."
        text = f"row security applies to the role on {', '.join(hidden)}, so a backup would be refused"
        yield Examined(name="row security", level="fail", text=text, remedy=remedy)
    else:
        yield Examined(name="row security", level="ok", text="hides no row from the role")


def _holds(conn: Connection, condition: str) -> bool:
    return bool(run(conn, f"SELECT pg_catalog.{condition}")[0][0])
