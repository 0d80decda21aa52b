"""Live and stored states compared: what differs is found to the row, what is the same is not read."""

from __future__ import annotations

from pathlib import Path

from moi_backup.lake.row_diff import RowDiff
from moi_backup.lake.row_sets import RowSets, Shape
from moi_backup.model.table import TableName
from moi_backup.operations.row_states import Compared, LiveState, StoredState, compare
from moi_backup.operations.stored_table import open_table
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.session import session_settings
from moi_backup.repository.backups import resolve_backup
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP

META = TableName("public", "meta_import_data")


def against_live(
    deployment: Deployment, table: TableName, scratch: Path
) -> tuple[Compared, dict[str, tuple[int, ...]]]:
    """What differs from the latest backup to the live table, by day."""
    repository, chain = deployment.workspace.history()
    stored = open_table(repository, resolve_backup(repository, chain, "latest"), table)
    manifest = stored.manifest
    source = RowSource(table, only=False, columns=manifest.columns, day=manifest.day, order_by=manifest.order_by)
    with (
        ArrowSession(deployment.url) as session,
        RowSets(Shape(manifest.restorable, manifest.key), scratch=scratch) as sets,
    ):
        session.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for setting in session_settings(server_version=150000, lock_timeout_ms=1000):
            session.script(setting)
        live = LiveState(session, source, None, repository.ring)
        compared = compare(sets, {"before": StoredState(stored)}, ("after", live))
        return compared, {day: tuple(counts) for day, *counts in RowDiff(sets).days()}


def test_a_live_table_is_compared_by_key_and_equal_days_are_left_out(deployment: Deployment, tmp_path: Path) -> None:
    """Inserted, updated and deleted rows are counted on their days; the other days only say how many rows they have."""
    deployment.sql(SHOP)
    deployment.configure("")
    deployment.back_up(full=True)
    assert against_live(deployment, META, tmp_path)[1] == {}
    deployment.sql("""
        UPDATE meta_import_data SET amount_spent = 0 WHERE day = '2025-09-01' AND id < 100;
        DELETE FROM meta_import_data WHERE day = '2025-09-02' AND id < 100;
        INSERT INTO meta_import_data (day, campaign_name, amount_spent) VALUES ('2030-01-01', NULL, 1);
    """)
    compared, days = against_live(deployment, META, tmp_path)
    assert days == {"2025-09-01": (0, 3, 0, 47), "2025-09-02": (0, 0, 3, 47), "2030-01-01": (1, 0, 0, 0)}
    assert len(compared.same) == 38
    assert sum(compared.same.values()) == 1900
    assert set(compared.live) == {*compared.same, *days}
