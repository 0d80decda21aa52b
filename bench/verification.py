"""Reading all data of a repository back, against programs that read the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bench import work
from bench.measured import Measured
from bench.place import Place
from bench.round import Round
from bench.timing import Side, alternating, run
from moi_backup.operations.verify import Verification, verify

SHA256 = "find chunks files -type f -print0 | xargs -0 sha256sum"


def read_data(of: Round) -> Iterator[Measured]:
    """`verify --read-data`, which decodes every chunk and recomputes every digest, against sha256sum of the files."""
    place = of.place
    place.empty_repository()
    work.back_up(place)
    archive = place.folder / "table.dump"
    work.dump(place, "-f", str(archive))
    taken = alternating(
        {
            "verify": Side(partial(_verified, place)),
            "sha256sum": Side(partial(run, ["sh", "-c", f"cd '{place.repository}' && {SHA256}"])),
            "pg_restore": Side(partial(run, [place.program("pg_restore"), "-f", "/dev/null", str(archive)])),
        },
        repeat=of.repeat,
    )
    archive.unlink()
    data = _verified(place).data
    stored = 0 if data is None else data.bytes / 1e6
    rows = f"{of.rows:,} rows in {stored:.1f} MB"
    yield Measured(f"verify --read-data: {rows}", taken["verify"], "s", "sha256sum of the files", taken["sha256sum"], 3)
    yield Measured(
        "verify --read-data", taken["verify"], "s", "pg_restore of the dump to /dev/null", taken["pg_restore"]
    )


def _verified(place: Place) -> Verification:
    found = verify(place.workspace(), read_data=True)
    if found.exit_code:
        raise RuntimeError(f"the repository is damaged: {found.faults}")
    return found
