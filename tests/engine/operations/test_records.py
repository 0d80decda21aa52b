"""Records beside backups: copies carry them, clean-ups leave them, a damaged one is told and stops nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from moi_backup.operations.expire_backups import expire_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.rekey import rekey
from moi_backup.operations.repair import plan_repair, repair
from moi_backup.operations.sweep import sweep
from moi_backup.operations.verify import verify
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.records import read_record, write_record
from tests.engine.copies import CopiedDeployment, cut, flip

FIRST, SECOND = "20261124T203000Z-000001", "20261124T203001Z-000002"
NAMES = [f"records/restores/{record}" for record in (FIRST, SECOND)]
PROTECTIONS = {"plain": False, "encrypted": True}


class Happened(msgspec.Struct, frozen=True):
    """What a record of these tests says."""

    text: str


@pytest.fixture(params=PROTECTIONS.values(), ids=list(PROTECTIONS))
def shop(empty_database: Callable[[], str], tmp_path: Path, request: pytest.FixtureRequest) -> CopiedDeployment:
    """One table, one backup, two records and no copy yet; plain and encrypted."""
    keys: Mapping[str, str] = {"MOI_KEY_1": generate_master(os.urandom)} if request.param else {}
    made = CopiedDeployment(empty_database(), tmp_path, keys=keys)
    made.configure("")
    made.initialise()
    made.sql("CREATE TABLE sales AS SELECT i AS id, date '2025-01-01' + i AS day FROM generate_series(1, 50) i")
    made.back_up(full=True)
    for record in (FIRST, SECOND):
        write_record(made.workspace.open(), "restores", record, Happened(record))
    return made


def test_a_copy_carries_the_records(shop: CopiedDeployment) -> None:
    """Byte for byte; they are readable there and count as whole."""
    done = shop.copy()
    assert (done.exit_code, done.not_copied) == (0, ())
    assert {name: shop.in_copy()[name] for name in NAMES} == shop.objects("records/")
    assert read_record(shop.workspace.open_copy(), "restores", FIRST, Happened) == Happened(FIRST)
    assert verify(shop.workspace, repository=shop.workspace.open_copy()).faults == ()
    assert shop.copy().objects == 0


def test_a_copy_takes_over_no_damaged_record(shop: CopiedDeployment) -> None:
    """The copy keeps what it has; what it has not is told and its backups are whole."""
    shop.copy()
    before = shop.in_copy()
    cut(shop.file(NAMES[0]))
    assert [failed.object for failed in shop.copy().not_copied] == NAMES[:1]
    assert shop.in_copy() == before


def test_a_damaged_record_is_told_and_no_backup_suffers(shop: CopiedDeployment) -> None:
    """Verification names it with no backup, the backup is judged as before, restores and is built on."""
    flip(shop.file(NAMES[0]))
    found = verify(shop.workspace, read_data=True)
    assert [(fault.object, fault.backups, fault.table) for fault in found.faults] == [(NAMES[0], (), None)]
    assert [verdict.passed for verdict in found.verdicts] == [True, True]
    assert found.exit_code == 20
    assert verify(shop.workspace, backup="latest").faults == ()
    assert shop.restore(schema="scratch").complete
    assert shop.back_up().manifest.kind == "incremental"


def test_repair_heals_a_record_from_the_copy(shop: CopiedDeployment) -> None:
    """A damaged one reads as it was written; without the copy it stays damaged and no backup is taken for it."""
    flip(shop.file(NAMES[0]))
    plan = plan_repair(shop.workspace, live=True)
    assert (plan.backup, [fault.object for fault in plan.damage.lost]) == (False, NAMES[:1])
    flip(shop.file(NAMES[0]))
    shop.copy()
    flip(shop.file(NAMES[0]))
    done = repair(shop.workspace, plan_repair(shop.workspace))
    assert ([healed.object for healed in done.healed], done.lost) == (NAMES[:1], ())
    assert read_record(shop.workspace.open(), "restores", FIRST, Happened) == Happened(FIRST)


def test_no_clean_up_touches_a_record(shop: CopiedDeployment) -> None:
    """Whatever is expired, pruned and swept."""
    before = shop.objects("records/")
    first = shop.backups()[0].id
    shop.back_up(full=True)
    expire_backups(shop.workspace, [first])
    prune(shop.workspace, grace_hours=0)
    sweep(shop.workspace)
    assert shop.objects("records/") == before


@pytest.mark.parametrize("shop", [True], indirect=True)
def test_a_rekey_passes_a_damaged_record_over(shop: CopiedDeployment) -> None:
    """The others are sealed anew, and the copy gets them."""
    shop.copy()
    cut(shop.file(NAMES[0]))
    damaged, whole = (shop.file(name).read_bytes() for name in NAMES)
    assert rekey(shop.workspace, "default", wait=0).number == 2
    assert shop.file(NAMES[0]).read_bytes() == damaged
    assert shop.file(NAMES[1]).read_bytes() != whole
    assert read_record(shop.workspace.open(), "restores", SECOND, Happened) == Happened(SECOND)
    shop.copy()
    assert shop.in_copy()[NAMES[1]] == shop.file(NAMES[1]).read_bytes()
