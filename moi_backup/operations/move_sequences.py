"""Sequences after a restore: moved forward to where the backup saw them, never back.

A sequence that the transaction itself made goes with it: it is moved before the commit, so that nobody ever sees rows
with a sequence that would give their numbers again. One that was there is moved after the commit, because no rollback
takes setval back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import TableName, parse_table_name
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.sequences import SequencePosition, forward_sql


def move_sequences(
    session: ArrowSession,
    backup: BackupManifest,
    table: TableName,
    *,
    guard: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[str]:
    """Move the sequences of one table of the backup, as far as they exist in the target.

    What could not be moved, and why. Each is moved inside of a `guard`: in an open transaction a savepoint.
    """
    entry = next(entry for entry in backup.tables if entry.table == table)
    problems: list[str] = []
    for name, (value, called) in entry.sequences.items():
        sequence = parse_table_name(name)
        exists = f"SELECT pg_catalog.to_regclass({quote_literal(qualified(sequence))}) IS NOT NULL"
        try:
            with guard():
                if session.rows(exists)[0][0]:
                    session.rows(forward_sql(sequence, SequencePosition(value, called)))
        except Refused as error:
            problems.append(f"Sequence {sequence} could not be moved to {value}: {error.what}")
    return problems
