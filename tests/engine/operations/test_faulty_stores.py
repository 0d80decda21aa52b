"""Operations over stores that lie about what is there or are slow, and under clocks that are wrong."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from moi_backup.errors import Damaged, Locked, MoiError, StorageError
from moi_backup.model.restore import RestoreRequest
from moi_backup.operations.progress import Silent
from moi_backup.operations.restore import restore
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.verify import verify
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.clock import SystemClock
from tests.engine.crash.shop import CHANGE, SCRIPT
from tests.engine.deployment import Deployment
from tests.engine.oracle import Rows, rows_of
from tests.engine.storage.faults import (
    Call,
    Exchanged,
    FailingCall,
    Fault,
    FaultyWorkspace,
    ShiftedTimes,
    SlowCalls,
    StaleListing,
)

TABLES = ("customers", "orders")
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class OddClock(SystemClock):
    """This machine's clock, so much ahead of the true time; it waits for nothing."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Return at once."""


class JumpingClock(OddClock):
    """A clock that is set forward by a year whenever it is read."""

    jumps: list[None] = []  # noqa: RUF012 - how often

    def now(self) -> datetime:
        self.jumps.append(None)
        return super().now() + YEAR * len(self.jumps)


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """Two tables, a full backup, changes, and a second backup."""
    deployment.sql(SCRIPT)
    deployment.back_up()
    deployment.sql(CHANGE)
    deployment.back_up()
    return deployment


def rows(deployment: Deployment, *, schema: str = "public") -> dict[str, Rows]:
    return {table: rows_of(deployment.url, f"{schema}.{table}") for table in TABLES}


def faulty(deployment: Deployment, fault: Fault) -> Workspace:
    return FaultyWorkspace(deployment.workspace.settings, OddClock(), fault)


def restored(deployment: Deployment, workspace: Workspace) -> dict[str, Rows]:
    """The rows of the newest backup, restored through a workspace; raises what the restore refuses."""
    deployment.sql("DROP SCHEMA IF EXISTS scratch CASCADE")
    result = restore(workspace, deployment.url, RestoreRequest(backup="latest", schema="scratch"))
    if not result.complete:
        raise MoiError("; ".join(table.error or "" for table in result.tables))
    return rows(deployment, schema="scratch")


def require_right(deployment: Deployment) -> None:
    """The next backup, restore and verification work, and the rows are those of the database."""
    deployment.back_up()
    assert restored(deployment, deployment.workspace) == rows(deployment)
    found = verify(deployment.workspace, read_data=True)
    assert (found.faults, found.notes) == ((), ())


def two_objects(deployment: Deployment, kind: str) -> tuple[str, str]:
    """The first and the last of the kind; of tables/ two table manifests, for an unread one hides its chunk lists."""
    if kind == "tables/":
        first, last = [f"tables/{entry.manifest}" for entry in deployment.backups()[-1].tables]
    else:
        first, *_, last = sorted(deployment.objects(kind))
    return first, last


@pytest.mark.parametrize("kind", ["backups/", "chain/", "chunks/public.orders/", "tables/"])
def test_objects_exchanged_for_each_other_are_named_and_never_restored(shop, kind):
    """Each of the two is whole, and neither is what its name says."""
    first, last = two_objects(shop, kind)
    exchanged = faulty(shop, Exchanged({first: last, last: first}))
    found = verify(exchanged, read_data=True)
    assert found.exit_code == Damaged.exit_code
    assert {fault.object for fault in found.faults} >= {first, last}
    with pytest.raises(MoiError, match=f"{first}|{last}"):
        restored(shop, exchanged)
    require_right(shop)


def test_a_repository_rolled_back_to_an_older_state_is_refused_where_the_newer_one_was_seen(shop):
    """It is whole in itself, so only the head remembered outside of it can tell."""
    repository, newest = shop.folder / "repository", shop.folder / "newest"
    shutil.copytree(repository, newest)
    for name in [*shop.objects("chain/")][1:]:
        (repository / name).unlink()
    for refused in (shop.back_up, lambda: restored(shop, shop.workspace)):
        with pytest.raises(Damaged, match="chain/0000000002"):
            refused()
    assert [fault.object for fault in verify(shop.workspace).faults] == ["chain/0000000002"]
    shutil.rmtree(repository)
    newest.rename(repository)
    require_right(shop)


def stale(deployment: Deployment) -> StaleListing:
    """Listings of this moment, of a store that has gone on since: a lease was replaced, a backup was added."""
    then = list(deployment.workspace.store().list(""))
    deployment.sql("UPDATE orders SET note = 'newer'")
    deployment.back_up()
    return StaleListing(then)


def test_reading_does_not_depend_on_what_a_stale_listing_misses(shop):
    """The newest backup is found and restored, and a verification reports no fault."""
    workspace = faulty(shop, stale(shop))
    assert restored(shop, workspace) == rows(shop)
    assert verify(workspace, read_data=True).faults == ()
    require_right(shop)


def test_a_writer_that_is_shown_a_stale_listing_gives_up_in_words(shop):
    """It neither waits for ever for the lease nor writes without one."""
    workspace = faulty(shop, stale(shop))
    before = shop.objects()
    with pytest.raises((StorageError, Locked), match="lease"):
        take_backup(workspace, BackupRequest())
    assert shop.objects() == before
    require_right(shop)


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_lease_that_was_taken_while_the_store_failed_is_given_back(shop, carried_out):
    """The process lives on, so nobody could tell that it does not hold the lease."""
    fault = FailingCall(1 if carried_out else 2, carried_out=carried_out)
    fault.counted = ("create",) if carried_out else ("list",)  # the creation's answer, or the look after it
    with pytest.raises(StorageError, match="leases/writer/"):
        take_backup(faulty(shop, fault), BackupRequest())
    require_right(shop)


class UnreleasableLease(Fault):
    """From a backup's publication on no heartbeat can be written."""

    def before(self, call: Call) -> None:
        published = any(seen.method == "create" and seen.name.startswith("chain/") for seen in self.seen[:-1])
        if published and call.method == "put" and call.name.startswith("leases/"):
            raise StorageError(f"Could not put {call.name}: the medium failed.")


class Warned(Silent):
    """Collects warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_a_published_backup_whose_lease_cannot_be_released_is_done_and_says_so(shop):
    """The release comes last and undoes nothing; the lease runs out by itself."""
    warned, known = Warned(), len(shop.backups())
    made = take_backup(faulty(shop, UnreleasableLease()), BackupRequest(), progress=warned).manifest.id
    assert [manifest.id for manifest in shop.backups()][known:] == [made]
    [warning] = warned.warnings
    assert "All is done" in warning
    assert "leases/writer/" in warning


class FailingName(Fault):
    """One object cannot be read from the second time on."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def before(self, call: Call) -> None:
        if call.name == self._name and [seen.name for seen in self.seen].count(self._name) > 1:
            raise StorageError(f"Could not read {call.name}: the medium failed.")


def test_a_table_whose_manifest_cannot_be_read_after_the_planning_fails_alone(shop):
    """The other one is restored in place, and the result says which was not and why."""
    good = rows(shop)
    shop.sql("ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey; UPDATE customers SET name = 'gone'")
    [orders] = [f"tables/{entry.manifest}" for entry in shop.backups()[-1].tables if entry.table.name == "orders"]
    request = RestoreRequest(backup="latest", in_place=True, on_conflict="replace", reason="a test")
    result = restore(faulty(shop, FailingName(orders)), shop.url, request)
    assert [(table.table.name, table.status) for table in result.tables] == [
        ("customers", "restored"),
        ("orders", "refused"),
    ]
    assert orders in (result.tables[1].error or "")
    assert rows(shop) == good


def test_a_store_that_is_slow_at_first_changes_nothing(shop):
    """Nothing in the engine takes slow for broken."""
    workspace = faulty(shop, SlowCalls(8, 0.1))
    shop.sql("DELETE FROM orders WHERE id < 5")
    take_backup(workspace, BackupRequest())
    assert restored(shop, faulty(shop, SlowCalls(8, 0.1))) == rows(shop)
    require_right(shop)


@pytest.mark.parametrize("years", [-1, 1])
def test_a_store_whose_clock_is_a_year_off_changes_nothing(shop, years):
    """Times of objects decide about nothing that a backup or a restore does."""
    workspace = faulty(shop, ShiftedTimes((YEAR * years).total_seconds()))
    shop.sql("DELETE FROM orders WHERE id < 5")
    take_backup(workspace, BackupRequest())
    assert restored(shop, workspace) == rows(shop)
    assert verify(workspace, read_data=True).faults == ()
    require_right(shop)


@pytest.mark.parametrize("years", [-1, 1])
def test_a_machine_whose_clock_is_a_year_off_backs_up_and_restores_the_newest_rows(shop, years):
    """`latest` is what was published last, whatever times stand in the backups."""
    shop.sql("DELETE FROM orders WHERE id < 5")
    odd = replace(shop.workspace, clock=OddClock(YEAR * years))
    taken = take_backup(odd, BackupRequest())
    assert shop.backups()[-1].id == taken.manifest.id
    assert restored(shop, odd) == rows(shop)
    shop.sql("DELETE FROM orders WHERE id < 9")
    require_right(shop)


def test_a_clock_set_forward_during_a_backup_stops_it_in_words(shop):
    """It looks as if the backup had taken a year, which is longer than a clean-up may count on."""
    listed = [manifest.id for manifest in shop.backups()]
    with pytest.raises(StorageError, match="longer than the allowed"):
        take_backup(replace(shop.workspace, clock=JumpingClock()), BackupRequest())
    assert [manifest.id for manifest in shop.backups()] == listed
    require_right(shop)
