"""Sweep removes what killed runs left beside the data, says how much of each kind, and touches nothing else."""

from __future__ import annotations

import os

import pytest

from moi_backup.operations.backup_debris import ABANDONED_SECONDS
from moi_backup.operations.sweep import SweepResult, sweep
from moi_backup.repository import layout
from moi_backup.repository.marks import encode_mark
from tests.engine.deployment import Deployment


@pytest.fixture
def littered(deployment: Deployment) -> Deployment:
    """A backed up table, beside what three killed runs left."""
    deployment.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    deployment.back_up()
    store = deployment.workspace.store()
    for name, days in (("fresh", 0), ("old", 1)):
        folder = store.scratch() / name
        folder.mkdir()
        (folder / "part").write_bytes(b"12345")
        moment = folder.stat().st_mtime - days * ABANDONED_SECONDS - 1
        os.utime(folder, (moment, moment))
    for seq in (1, 2):  # the first place belongs to the publish, the second is free
        store.create(layout.mark_name(seq, 1), encode_mark(["chunks/x"], seq=seq, epoch=1))
    store.create(layout.done_name(1, 9), b"")
    store.create(layout.lease_name("writer", 9), b"{}")
    store.create(layout.beat_name("writer", 9), b"{}")
    return deployment


def found(result: SweepResult) -> dict[str, tuple[int, int]]:
    """Removed objects and bytes by kind."""
    return {kind.kind: (kind.removed, kind.bytes) for kind in result.kinds}


def everything(deployment: Deployment) -> set[str]:
    """Every file of the repository, leases and temporary files too."""
    root = deployment.folder / "repository"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_it_removes_each_kind_and_nothing_else(littered: Deployment):
    """The old folder, the marks that do not count, and the ended epoch go; all else stays."""
    before = everything(littered)
    result = sweep(littered.workspace)
    mark = len(encode_mark(["chunks/x"], seq=1, epoch=1))
    removed = before - everything(littered)
    assert removed == {
        "tmp/old/part",
        layout.mark_name(1, 1),
        layout.done_name(1, 9),
        layout.lease_name("writer", 1),
        layout.beat_name("writer", 1),
    }
    sizes = found(result)
    assert (sizes["temporary"], sizes["marks"]) == ((1, 5), (2, mark))
    assert sizes["leases"][0] == 2
    assert found(sweep(littered.workspace)) == {"temporary": (0, 0), "marks": (0, 0), "leases": (0, 0)}
    assert littered.faults() == []


def test_a_dry_run_says_the_same_and_removes_nothing(littered: Deployment):
    """Counts are those of the sweep that follows."""
    before = everything(littered)
    told = sweep(littered.workspace, dry_run=True)
    assert everything(littered) == before
    assert found(told) == found(sweep(littered.workspace))


def test_a_mark_whose_place_in_the_chain_is_free_stays(littered: Deployment):
    """Its writer may only be held up: it could still be given its entry, and then it counts."""
    sweep(littered.workspace)
    assert layout.mark_name(2, 1) in everything(littered)
