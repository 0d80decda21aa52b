"""Kill -9 of a copy at any change of a file: what the copy lists is whole, and the next copy completes it."""

from __future__ import annotations

import random
import shutil
import signal
from uuid import uuid4

import pytest

from moi_backup.repository.chain import published, read_chain, scan_chain
from moi_backup.repository.repository import Repository, open_repository
from moi_backup.repository.verify import verify_structure
from moi_backup.storage.local import LocalStore
from tests.engine.copies import CopiedDeployment
from tests.engine.deployment import Deployment
from tests.engine.operations.victim import Victim
from tests.engine.shop import SHOP

CHANGE = "UPDATE meta_import_data SET cpm = coalesce(cpm, 0) + 1"


@pytest.fixture
def shop(deployment: Deployment) -> CopiedDeployment:
    """Two backups, not copied yet."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    deployment.sql(CHANGE)
    deployment.back_up()
    return CopiedDeployment(deployment.url, deployment.folder)


def changes_of_a_copy(shop: CopiedDeployment) -> int:
    """How many changes of files a copy of one more backup makes."""
    with Victim(shop, "copy") as victim:
        victim.begin()
        said = victim.wait_for("done")
    return next(int(word.split()[1]) for word in said if word.startswith("changes"))


def kill_copy(shop: CopiedDeployment, moment: int) -> bool:
    """Kill a copy before this change of a file, look at what it left, and let the next one complete it.

    Whether it was killed: threads side by side make a few changes more or less.
    """
    before = listed(shop)
    with Victim(shop, "copy", kill_at=moment) as victim:
        victim.begin()
        victim.wait_for("done")
        ended = victim.end()
        assert ended in (-signal.SIGKILL, 0)
    copy = opened(shop)
    assert copy is None or verify_structure(copy) == [], moment
    assert listed(shop)[: len(before)] == before
    result = shop.copy(wait=5)
    assert (result.exit_code, result.faults) == (0, ()), moment
    assert shop.in_copy() == shop.objects()
    return ended != 0


def opened(shop: CopiedDeployment) -> Repository | None:
    """The copy as somebody sees it who has never seen it before; None before it is one."""
    if not (shop.folder / "copy" / "repository.json").exists():
        return None
    return open_repository(LocalStore(shop.folder / "copy"), heads=shop.folder / f"heads-{uuid4().hex}")


def listed(shop: CopiedDeployment) -> list[str]:
    """The backups the copy lists."""
    copy = opened(shop)
    return [] if copy is None else published(read_chain(copy))


def test_a_first_copy_killed_at_any_change_of_a_file_lists_only_whole_backups(shop: CopiedDeployment):
    """From the first folder to the last entry; a place with leases alone is not taken for something else."""
    last = changes_of_a_copy(shop)
    shutil.rmtree(shop.folder / "copy")
    moments = (3, 9, last // 3, 2 * last // 3, last - 12, last - 8)
    killed = 0
    for moment in moments:
        killed += kill_copy(shop, moment)
        assert len(listed(shop)) == 2
        shutil.rmtree(shop.folder / "copy")
    assert killed >= len(moments) - 2


def test_a_refresh_killed_at_any_change_of_a_file_keeps_what_was_there(shop: CopiedDeployment):
    """Early, in the middle, around the manifests and the chain."""
    shop.copy()
    shop.sql(CHANGE)
    shop.back_up()
    last = changes_of_a_copy(shop)
    moments = (1, last // 2, last - 8, last - 5)
    killed = 0
    for moment in moments:
        shop.sql(CHANGE)
        shop.back_up()
        killed += kill_copy(shop, moment)
    assert killed >= len(moments) - 2
    assert scan_chain(shop.workspace.open_copy()).damage == ()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_copies_killed_at_random_leave_whole_backups(shop: CopiedDeployment):
    """The same promises at moments drawn by chance."""
    chance = random.Random(7)
    shop.copy()
    shop.sql(CHANGE)
    shop.back_up()
    last = changes_of_a_copy(shop)
    killed = 0
    for _ in range(40):
        shop.sql(CHANGE)
        shop.back_up()
        killed += kill_copy(shop, chance.randint(1, last))
    assert killed > 30
