"""Explain the configuration, joined with what the database's catalog says where it answers."""

from __future__ import annotations

import msgspec

from moi_backup.errors import ConfigurationError, MoiError
from moi_backup.operations.explain_configuration import ExplainedSetting, explain
from moi_backup.operations.protect import ProtectedTable, protected_names, read_protected, unprotected_names
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.session import begin, connect


class CheckedConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Every resolved setting with its origin. `connected` says whether the catalog was asked, `problem` why not."""

    connected: bool
    problem: str
    settings: tuple[ExplainedSetting, ...]
    unprotected: tuple[str, ...]


def check_configuration(workspace: Workspace) -> CheckedConfiguration:
    """Explain every setting; raises ConfigurationError when it names a table or column that does not exist."""
    try:
        tables, unprotected = read_catalog(workspace)
    except ConfigurationError:
        raise
    except MoiError as error:
        return CheckedConfiguration(
            connected=False, problem=error.what, settings=explain(workspace.settings), unprotected=()
        )
    return CheckedConfiguration(
        connected=True,
        problem="",
        settings=explain(workspace.settings, tables=tables),
        unprotected=unprotected,
    )


def read_catalog(workspace: Workspace) -> tuple[tuple[ProtectedTable, ...], tuple[str, ...]]:
    """The protected tables as the catalog confirms them, and the names of those no entry covers.

    Raises SourceError when the database does not answer, ConfigurationError when the configuration does not fit it.
    """
    configuration = workspace.configuration
    with connect(workspace.source_url()) as conn:
        begin(conn, lock_timeout_ms=int(configuration.source.lock_timeout * 1000))
        names = protected_names(conn, configuration)
        tables = read_protected(conn, configuration, names)
        unprotected = tuple(str(name) for name in unprotected_names(conn, configuration))
        conn.rollback()
    return tables, unprotected
