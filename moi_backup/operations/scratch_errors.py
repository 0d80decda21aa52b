"""What fails on this machine while rows are compared (no space, no memory) is a failure of one table, not a defect."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import duckdb

from moi_backup.errors import StorageError
from moi_backup.model.table import TableName


@contextmanager
def scratch_errors(table: TableName) -> Generator[None]:
    """Raise StorageError, without a value of any row, when the scratch database or a scratch file fails."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        told = error.strerror if isinstance(error, OSError) else ""
        raise StorageError(
            f"{table} could not be compared with the backup: {told or type(error).__name__}.",
            meaning="Nothing was written to it.",
            remedy="Free memory, and space where the repository keeps its temporary files; or restore fewer --days.",
        ) from error
