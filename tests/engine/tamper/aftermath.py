"""What an operation makes of a damage that verification has named, or need not name."""

from __future__ import annotations

import re

import pytest

from moi_backup.errors import Damaged, MoiError, WrongKey
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.verify import verify
from moi_backup.repository.records import try_records
from tests.engine.deployment import Deployment
from tests.engine.tamper.sample import RECORDS, Happened, Sample, remembered_head
from tests.engine.tamper.tampering import Target


def the_next_backup_works_or_refuses(sample: Sample, on: Deployment, target: Target) -> None:
    """It publishes a whole backup, or publishes nothing and names the object, or who may still hold it."""
    before = [backup.id for backup in on.backups()]
    name = target.file.relative_to(on.folder / "repository").as_posix()
    published: list[str] = []
    refusal = ""
    try:
        published.append(on.back_up(full=False).manifest.id)
    except MoiError as error:
        refusal = error.what
    assert published or name in refusal or re.search(r"in use: backup by process \d+ on ", refusal), refusal
    assert [backup.id for backup in on.backups()] == before + published
    assert verify(on.workspace, read_data=True).exit_code == 0


def the_head_is_what_was_read(sample: Sample, on: Deployment, target: Target) -> None:
    """An older or absent one was written anew by the first reader; with another one nothing is read."""
    pristine = remembered_head(sample.deployment.folder)
    assert target.file.read_bytes() == pristine.read_bytes() or not is_read(on)


def is_read(on: Deployment) -> bool:
    """Whether the history can be read at all."""
    try:
        return bool(on.backups())
    except MoiError:
        return False


def the_mark_is_made_anew(sample: Sample, on: Deployment, target: Target) -> None:
    """By the next verification, which finds the chunk damaged again."""
    assert not target.file.exists()
    assert verify(on.workspace, read_data=True).marked == 1
    assert target.file.exists()


def a_restore_with_the_schema_refuses(sample: Sample, on: Deployment, target: Target) -> None:
    """It names the object, and nothing is created in the empty database that was to hold the backup."""
    url = sample.empty_database()
    with pytest.raises(Damaged, match=target.file.name):
        on.restore(url, backup=sample.newest.id)
    assert on.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", url=url) == [(0,)]


def the_next_backup_makes_no_other_key(sample: Sample, on: Deployment, target: Target) -> None:
    """It refuses: with another key of that number what was written under the first would be lost."""
    before = sorted(on.objects())
    with pytest.raises((Damaged, WrongKey), match=f"{target.file.parent.name}|scope financial"):
        on.back_up(full=True)
    assert sorted(on.objects()) == before


def the_backup_cannot_come_back_and_can_be_pruned(sample: Sample, on: Deployment, target: Target) -> None:
    """Undelete refuses and names the object; the other backups go on without it."""
    backup = target.file.name
    with pytest.raises(Damaged, match=f"trash/{backup}"):
        undelete_backups(on.workspace, [backup])
    _all_goes_on(on)


def expiring_it_again_heals(sample: Sample, on: Deployment, target: Target) -> None:
    """The trash holds the very bytes of the manifest again, and the backup can come back."""
    backup = sample.deployment.folder / "repository" / "backups" / target.file.name
    expire_backups(on.workspace, [backup.name])
    assert target.file.read_bytes() == backup.read_bytes()
    undelete_backups(on.workspace, [backup.name])
    assert on.faults() == []


def the_next_prune_deletes_it_all(sample: Sample, on: Deployment, target: Target) -> None:
    """Backups go on, and what no backup needs is gone afterwards."""
    _all_goes_on(on)


def _all_goes_on(on: Deployment) -> None:
    """A backup, a prune, and nothing is left behind or damaged."""
    on.back_up(full=True)
    prune(on.workspace, grace_hours=0)
    found = verify(on.workspace, read_data=True)
    assert (found.exit_code, found.debris and found.debris.objects) == (0, 0), found


def the_other_records_are_read(sample: Sample, on: Deployment, target: Target) -> None:
    """The damaged one is not, those that restores left meanwhile are, and backups go on."""
    read = dict(try_records(on.workspace.open(), "restores", Happened))
    left = read.keys() - set(RECORDS)
    assert left, "a reader restored something, which is recorded"
    assert all(read[record] == Happened(id=record) for record in left)
    assert read.get(target.file.name) != Happened(id=target.file.name)
    assert on.back_up(full=False).manifest.id


def nothing_else(sample: Sample, on: Deployment, target: Target) -> None:
    """The readers have said it all."""
