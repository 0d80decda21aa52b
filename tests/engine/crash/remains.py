"""What a killed operation left, said so that equal remains of different runs are equal text.

Names of chunks and tables hold the hash of their bytes, which is another one in every run of an encrypted repository;
that, times, process ids and random ids are left out, sizes are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from moi_backup.repository.scope_keys import read_entries
from tests.engine.crash.place import Place

_FACTS = """
SELECT 'relations ' || count(*) FROM pg_class WHERE relnamespace::regnamespace::text NOT LIKE 'pg_%'
UNION ALL SELECT 'types ' || count(*) FROM pg_type WHERE typnamespace::regnamespace::text NOT LIKE 'pg_%'
UNION ALL SELECT 'constraints ' || count(*) FROM pg_constraint
UNION ALL SELECT format('%s at %s', schemaname || '.' || sequencename, last_value) FROM pg_sequences
ORDER BY 1
"""
_TABLES = """SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND c.oid >= 16384
             AND c.relnamespace::regnamespace::text NOT LIKE 'pg_%' ORDER BY 1"""
_ADDRESSED = ("chunks/", "tables/")
_RANDOM = re.compile(r"[0-9a-f]{8,}|\d{2,}")


def remains_of(place: Place) -> str:
    """Objects, files of the folder, what the keys are, and everything in both databases."""
    return "\n".join([*sorted(_files(place)), *_keys(place), database_remains(place)])


def database_remains(place: Place) -> str:
    """Relations, types, constraints, sequences and rows of both databases."""
    return "\n".join(fact for url in (place.url, place.target) for fact in _facts(place, url))


def _facts(place: Place, url: str) -> Iterator[str]:
    yield from (fact for (fact,) in place.sql(_FACTS, url=url))
    for (table,) in place.sql(_TABLES, url=url):
        [(rows,)] = place.sql(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t", url=url)
        yield f"rows of {table}: {rows}"


def _files(place: Place) -> Iterator[str]:
    if place.bucket:
        yield from (f"{_named(info.name, place)} {info.size}" for info in place.workspace.store().list(""))
    for path in place.folder.rglob("*"):
        name = str(path.relative_to(place.folder))
        yield f"{_named(name, place)} {path.stat().st_size if path.is_file() else 'folder'}"


def _keys(place: Place) -> Iterator[str]:
    """By which master key each is wrapped: the sizes do not tell."""
    for entry in read_entries(place.workspace.store()):
        yield f"{entry.name} under {entry.master}, rotation {entry.rotation}, {'destroyed' * bool(entry.destroyed_at)}"


def _named(name: str, place: Place) -> str:
    addressed = name.removeprefix("repository/").startswith(_ADDRESSED) and not place.keys
    return name if addressed else _RANDOM.sub("*", name)
