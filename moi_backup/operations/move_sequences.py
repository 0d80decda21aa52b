"""Sequences after a restore: moved forward to where the backup saw them, never back. After the commit, because setval is not transactional."""

from __future__ import annotations

from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import TableName, parse_table_name
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.sequences import SequencePosition, forward_sql


def move_sequences(session: ArrowSession, backup: BackupManifest, table: TableName) -> None:
    """Move the sequences of one table of the backup, as far as they exist in the target."""
    entry = next(entry for entry in backup.tables if entry.table == table)
    for name, (value, called) in entry.sequences.items():
        sequence = parse_table_name(name)
        [(exists,)] = session.rows(f"SELECT pg_catalog.to_regclass({quote_literal(qualified(sequence))}) IS NOT NULL")
        if exists:
            session.rows(forward_sql(sequence, SequencePosition(value, called)))
