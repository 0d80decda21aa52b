"""The definitions of the protected tables as one pg_dump archive.

Equal definitions share the archive of an earlier backup.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moi_backup.errors import Damaged
from moi_backup.model.backup import BackupManifest, SchemaDump
from moi_backup.operations.protect import ProtectedTable
from moi_backup.postgres.schema_dump import SchemaDumpFile, dump_schema, needed_schemas
from moi_backup.postgres.session import Connection
from moi_backup.repository.repository import Repository


def back_up_schema(
    repository: Repository,
    conn: Connection,
    url: str,
    tables: Sequence[ProtectedTable],
    *,
    snapshot: str,
    base: BackupManifest | None,
    scratch: Path,
    lock_timeout_ms: int,
) -> SchemaDump:
    """Dump the schemas of `tables` in the exported snapshot and store the archive, or reuse the base's equal one."""
    schemas = needed_schemas(conn, [table.catalog for table in tables])
    into = scratch / "schema.dump"
    into.unlink(missing_ok=True)
    major = conn.info.server_version // 10000
    dumped = dump_schema(url, snapshot, schemas, server_major=major, into=into, lock_timeout_ms=lock_timeout_ms)
    if base is not None and base.schema.text == dumped.text and _is_whole(repository, base.schema):
        return base.schema
    return _store(repository, dumped)


def _store(repository: Repository, dumped: SchemaDumpFile) -> SchemaDump:
    stored = repository.write_file(dumped.path)
    return SchemaDump(digest=stored.digest, size=stored.size, text=dumped.text, pg_dump=dumped.pg_dump)


def _is_whole(repository: Repository, schema: SchemaDump) -> bool:
    try:
        with repository.open_file(schema.digest, size=schema.size):
            return True
    except Damaged:
        return False
