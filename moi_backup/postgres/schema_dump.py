"""Dumping the definitions of the protected tables: one pg_dump archive of their schemas, in the backup's snapshot."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import blake3

from moi_backup.errors import SourceError
from moi_backup.model.child_environment import without_keys
from moi_backup.postgres.catalog import CatalogTable
from moi_backup.postgres.connection_url import scrub, without_password
from moi_backup.postgres.identifiers import quote_identifier
from moi_backup.postgres.programs import find_program
from moi_backup.postgres.schema_archive import definition_text, read_archive
from moi_backup.postgres.session import Connection, run

_LIMIT_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class SchemaDumpFile:
    """An archive on local disk: `text` is the blake3 of its SQL without what changes from dump to dump."""

    path: Path
    size: int
    digest: str
    text: str
    pg_dump: str


def dump_schema(
    url: str,
    snapshot: str | None,
    schemas: Sequence[str],
    *,
    server_major: int,
    into: Path,
    lock_timeout_ms: int = 30_000,
) -> SchemaDumpFile:
    """Write one archive of the schemas' definitions as of the exported snapshot, or now; `into` must not exist.

    The password reaches pg_dump through its environment. Raises SourceError with pg_dump's own words.
    """
    program = find_program("pg_dump", server_major=server_major)
    address, secret = without_password(url)
    command = [
        program, "--format=custom", "--schema-only", "--no-password", "--no-publications", "--no-subscriptions",
        *((f"--snapshot={snapshot}",) if snapshot is not None else ()),
        f"--lock-wait-timeout={lock_timeout_ms}", f"--file={into}", f"--dbname={address}",
        *(f"--schema={quote_identifier(schema)}" for schema in schemas),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**without_keys(os.environ), **secret, "LC_ALL": "C"},
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SourceError(
            f"pg_dump failed: {scrub(done.stderr.decode('utf-8', 'replace').strip(), url=url)[-800:]}",
            meaning="The tables' definitions were not dumped, so there is no backup.",
            remedy="The role must be able to read every table of the schemas that hold protected tables.",
        )
    stored = into.read_bytes()
    text = definition_text(read_archive(into, server_major=server_major))
    return SchemaDumpFile(
        path=into,
        size=len(stored),
        digest=blake3.blake3(stored).hexdigest(),
        text=blake3.blake3(text.encode()).hexdigest(),
        pg_dump=_version(program),
    )


def needed_schemas(conn: Connection, tables: Iterable[CatalogTable]) -> tuple[str, ...]:
    """The schemas of the tables and of everything their definitions use (types, functions, sequences, collations).

    Follows pg_depend; what belongs to an extension or to Postgres itself is a prerequisite and not counted.
    """
    oids = ", ".join(str(table.oid) for table in tables)
    rows = run(conn, _NEEDED.format(oids=oids)) if oids else []
    return tuple(str(schema) for (schema,) in rows)


_NEEDED: Final = """
WITH RECURSIVE wanted(oid) AS (
  SELECT o FROM unnest(ARRAY[{oids}]::oid[]) AS o
  UNION SELECT p.relid FROM unnest(ARRAY[{oids}]::oid[]) AS o CROSS JOIN LATERAL pg_catalog.pg_partition_tree(o) AS p),
needed(classid, objid) AS (
  SELECT 'pg_catalog.pg_class'::regclass::oid, oid FROM wanted
  UNION
  SELECT next.classid, next.objid FROM needed n CROSS JOIN LATERAL (
    SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
    WHERE d.classid = n.classid AND d.objid = n.objid AND d.deptype IN ('n', 'a', 'i')
    UNION ALL
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = n.classid AND d.refobjid = n.objid
      AND d.classid IN ('pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_constraint'::regclass,
                        'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE d.classid = 'pg_catalog.pg_constraint'::regclass
                      AND k.oid = d.objid AND k.contype = 'f')
      AND (n.classid <> 'pg_catalog.pg_class'::regclass OR n.objid IN (SELECT oid FROM wanted))
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, t.typrelid FROM pg_catalog.pg_type t
    WHERE n.classid = 'pg_catalog.pg_type'::regclass AND t.oid = n.objid AND t.typrelid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.typelem FROM pg_catalog.pg_type t
    WHERE n.classid = 'pg_catalog.pg_type'::regclass AND t.oid = n.objid AND t.typelem <> 0
  ) AS next(classid, objid)
  WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = next.classid AND e.objid = next.objid AND e.deptype = 'e'))
SELECT DISTINCT s.nspname FROM (
  SELECT c.relnamespace FROM needed n JOIN pg_catalog.pg_class c
    ON n.classid = 'pg_catalog.pg_class'::regclass AND c.oid = n.objid
  UNION SELECT t.typnamespace FROM needed n JOIN pg_catalog.pg_type t
    ON n.classid = 'pg_catalog.pg_type'::regclass AND t.oid = n.objid
  UNION SELECT p.pronamespace FROM needed n JOIN pg_catalog.pg_proc p
    ON n.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = n.objid
  UNION SELECT l.collnamespace FROM needed n JOIN pg_catalog.pg_collation l
    ON n.classid = 'pg_catalog.pg_collation'::regclass AND l.oid = n.objid
  UNION SELECT o.oprnamespace FROM needed n JOIN pg_catalog.pg_operator o
    ON n.classid = 'pg_catalog.pg_operator'::regclass AND o.oid = n.objid) AS used(oid)
JOIN pg_catalog.pg_namespace s ON s.oid = used.oid
WHERE s.nspname <> 'information_schema' AND s.nspname !~ '^pg_' ORDER BY 1
"""


def _version(program: Path) -> str:
    asked, env = [program, "--version"], without_keys(os.environ)
    answer = subprocess.run(asked, capture_output=True, text=True, env=env, timeout=10.0, check=True).stdout
    found = re.search(r"\(PostgreSQL\) (\S+)", answer)
    return found.group(1) if found else answer.strip()
