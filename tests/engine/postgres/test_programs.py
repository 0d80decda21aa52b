"""Which pg_dump is taken for a server: small scripts stand in for installed versions, as programs that really run."""

from __future__ import annotations

from pathlib import Path

import pytest

from moi_backup.postgres.programs import ProgramMissingError, find_program, wheel_folder


def install(folder: Path, version: str) -> Path:
    """Put a pg_dump that reports `version` into a folder; returns the folder."""
    folder.mkdir()
    program = folder / "pg_dump"
    program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    program.chmod(0o755)
    return folder


def test_the_exact_major_version_wins_over_a_newer_one(tmp_path: Path):
    """Its dump is the one the server's own tools read."""
    places = [install(tmp_path / "a", "18.1"), install(tmp_path / "b", "16.9"), install(tmp_path / "c", "17.2")]
    assert find_program("pg_dump", server_major=16, places=places) == tmp_path / "b" / "pg_dump"


def test_the_lowest_newer_version_is_taken_when_the_exact_one_is_missing(tmp_path: Path):
    """A newer pg_dump reads older servers."""
    places = [install(tmp_path / "a", "18.1"), install(tmp_path / "b", "14.9"), install(tmp_path / "c", "17.2")]
    assert find_program("pg_dump", server_major=16, places=places) == tmp_path / "c" / "pg_dump"


def test_only_older_versions_are_an_error_that_says_what_to_install(tmp_path: Path):
    """pg_dump refuses a server newer than itself."""
    places = [install(tmp_path / "a", "15.4"), tmp_path / "missing"]
    with pytest.raises(ProgramMissingError, match="only older versions: 15") as missing:
        find_program("pg_dump", server_major=17, places=places)
    assert "postgresql-client-17" in missing.value.remedy


def test_a_broken_program_is_passed_over(tmp_path: Path):
    """A program that does not run or answers nonsense is no candidate."""
    broken = install(tmp_path / "a", "17.0")
    (broken / "pg_dump").write_text("#!/no/such/interpreter\n")
    places = [broken, install(tmp_path / "b", "17.1")]
    assert find_program("pg_dump", server_major=17, places=places) == tmp_path / "b" / "pg_dump"


def test_the_wheel_serves_its_own_major_version():
    """Without any installed Postgres, pg_dump and psql fit the embedded server."""
    for name in ("pg_dump", "pg_restore", "psql"):
        place = wheel_folder() / "pginstall" / "bin"
        assert find_program(name, server_major=18, places=[place]) == place / name
        assert find_program(name, server_major=18).name == name
