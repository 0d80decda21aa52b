"""Sequences after a restore: moved forward to where the backup saw them, never back.

After the commit, because setval is not transactional.
"""

from __future__ import annotations

from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import TableName, parse_table_name
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.sequences import SequencePosition, forward_sql


def move_sequences(session: ArrowSession, backup: BackupManifest, table: TableName) -> list[str]:
    """Move the sequences of one table of the backup, as far as they exist in the target.

    What could not be moved, and why.
    """
    entry = next(entry for entry in backup.tables if entry.table == table)
    problems: list[str] = []
    for name, (value, called) in entry.sequences.items():
        sequence = parse_table_name(name)
        exists = f"SELECT pg_catalog.to_regclass({quote_literal(qualified(sequence))}) IS NOT NULL"
        try:
            if session.rows(exists)[0][0]:
                session.rows(forward_sql(sequence, SequencePosition(value, called)))
        except Refused as error:
            problems.append(f"Sequence {sequence} could not be moved to {value}: {error.what}")
    return problems
