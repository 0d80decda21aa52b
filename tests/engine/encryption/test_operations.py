"""A whole encrypted repository: nothing readable lies in it, and each holder gets exactly what the keys open."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moi_backup.errors import Damaged, NoRepository, UsageError, WrongKey
from moi_backup.model.table import TableName
from moi_backup.operations.check_keys import check_keys
from moi_backup.operations.destroy_scope import destroy_scope
from moi_backup.operations.export_keys import export_keys
from moi_backup.operations.list_keys import list_keys
from moi_backup.operations.prune import prune
from moi_backup.operations.query import query
from moi_backup.operations.rekey import rekey
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.operations.take_backup import BackupResult
from moi_backup.operations.verify import verify
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import append
from moi_backup.repository.key_text import MasterKey, generate_master
from moi_backup.repository.marks import with_marks
from moi_backup.repository.records import read_record, write_record
from moi_backup.repository.rewriting import rewrite_manifest
from moi_backup.repository.scope_keys import create_key, read_entries, rewrap
from moi_backup.repository.sealing import key_number
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of, rows_of

SALES = """
CREATE TABLE sales (id int PRIMARY KEY, day date, customer text, amount numeric(10, 2),
    half numeric GENERATED ALWAYS AS (amount / 2) STORED);
INSERT INTO sales (id, day, customer, amount)
    SELECT i, date '2025-01-01' + i % 90, 'customer-' || i, i FROM generate_series(1, 500) i;
INSERT INTO sales (id, day, customer) VALUES (1001, NULL, 'customer-undated');
CREATE TABLE visits (day date, visitors int);
INSERT INTO visits SELECT date '2025-02-01' + i % 20, i FROM generate_series(1, 100) i;
"""
SCOPES = """
[tables.sales]
day = "day"
scopes = { pii = ["customer"], financial = ["amount", "half"] }
[tables.visits]
day = "day"
"""


RECORD = "20261124T203000Z-000001"


class Told(msgspec.Struct, frozen=True):
    """A record with something to hide."""

    reason: str


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path) -> Deployment:
    """Two tables in an encrypted repository with one full backup."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure(SCOPES)
    made.initialise()
    made.sql(SALES)
    made.back_up(full=True, reason="confidential-reason")
    return made


def holding(shop: Deployment, *scopes: str) -> Deployment:
    """The same deployment for a holder of these scopes (and default)."""
    return replace(shop, keys={"MOI_KEY_1": export_keys(shop.workspace, scopes)})


def rows(shop: Deployment, sql: str, **options: Any) -> list[Any]:
    """All rows of a query of the newest backup."""
    with query(shop.workspace, "latest", sql, **options) as result:
        return list(result.rows)


def written(taken: BackupResult) -> list[int]:
    """New chunks of each table."""
    return [entry.new_chunks for entry in taken.manifest.tables]


def test_everything_restores_from_an_encrypted_repository(shop: Deployment, empty_database: Callable[[], str]) -> None:
    """New tables in an empty database, and days in place, are what they were."""
    target = empty_database()
    assert shop.restore(target).complete
    assert database_of(target) == database_of(shop.url)
    before = rows_of(shop.url, "public.sales")
    shop.sql("DELETE FROM sales WHERE id > 100")
    assert shop.restore_in_place().complete
    assert rows_of(shop.url, "public.sales") == before


def test_nothing_that_was_backed_up_can_be_read_in_the_store(shop: Deployment) -> None:
    """No value, column, definition or reason stands in any object; table names and days stand in names alone."""
    write_record(shop.workspace.open(), "restores", RECORD, Told(reason="confidential"))
    objects = shop.objects()
    for word in (b"customer", b"amount", b"visitors", b"CREATE TABLE", b"confidential", b"snapshot", b"PGDMP"):
        assert [name for name, data in objects.items() if word in data] == []
    plain = {name for name, data in objects.items() if not data.startswith((b"MOI1", b"PARE"))}
    assert {name.partition("/")[0] for name in plain} == {"repository.json", "keys"}


def test_names_are_other_in_another_repository(shop: Deployment, tmp_path: Path) -> None:
    """The digests in object names are keyed, so equal rows cannot be recognised."""
    other = Deployment(shop.url, tmp_path / "other", keys={"MOI_KEY_1": generate_master(os.urandom)})
    other.folder.mkdir()
    other.configure(SCOPES)
    other.initialise()
    other.back_up(full=True)
    digests = [{name.split("/")[-1].partition(".")[0] for name in made.objects("chunks/")} for made in (shop, other)]
    assert digests[0]
    assert digests[0].isdisjoint(digests[1])


def test_an_unchanged_table_costs_nothing(shop: Deployment) -> None:
    """Keyed digests are comparable from backup to backup, full or incremental."""
    assert written(shop.back_up(full=True)) == [0, 0]
    assert written(shop.back_up()) == [0, 0]
    shop.sql("UPDATE sales SET amount = 0 WHERE id = 1")
    assert written(shop.back_up(full=True)) == [1, 0]


def test_a_column_that_changes_its_scope_is_written_anew(shop: Deployment) -> None:
    """What becomes confidential does not stay readable in the next backup."""
    shop.configure(SCOPES.replace('pii = ["customer"]', 'pii = ["customer", "id"]'))
    taken = shop.back_up()
    assert written(taken)[0] == taken.manifest.tables[0].chunks
    assert written(taken)[1] == 0


@pytest.mark.parametrize("keys", [{}, {"MOI_KEY_1": generate_master(os.urandom)}])
def test_without_the_right_key_nothing_opens(shop: Deployment, keys: dict[str, str]) -> None:
    """Neither reading nor writing; the key that is needed is named by its number and id."""
    stranger, before = replace(shop, keys=keys), shop.objects()
    needed = list_keys(shop.workspace).keys[0]
    for act in (stranger.backups, stranger.back_up, stranger.restore, lambda: verify(stranger.workspace)):
        with pytest.raises(WrongKey, match=rf"master key 1 \(id {needed.master_id}\)"):
            act()
    assert shop.objects() == before


def test_a_plain_repository_is_not_used_while_a_key_is_configured(deployment: Deployment) -> None:
    """Encryption is never silently off."""
    keyed = replace(deployment, keys={"MOI_KEY_1": generate_master(os.urandom)})
    with pytest.raises(WrongKey, match="is not encrypted, but MOI_KEY_1 is set"):
        keyed.back_up()


def test_a_holder_of_some_scopes_lists_and_verifies(shop: Deployment) -> None:
    """Every object is there and has its hash; the values that were not looked at are named."""
    holder = holding(shop, "financial")
    assert [backup.id for backup in holder.backups()] == [backup.id for backup in shop.backups()]
    found = verify(holder.workspace, read_data=True)
    assert found.faults == ()
    assert [note for note in found.notes if "customer" in note and "pii" in note]
    assert not [note for note in verify(shop.workspace, read_data=True).notes if "scope" in note]


def test_a_holder_of_some_scopes_finds_damage_in_what_these_open(shop: Deployment) -> None:
    """A manifest that contradicts the rows is found by the columns that are open."""
    chunk = next(name for name in shop.objects("chunks/public.sales/") if "2025-02" in name)
    store = shop.workspace.store()
    data = bytearray(store.get(chunk))
    data[len(data) // 2] ^= 1
    store.put(chunk, bytes(data))
    (fault,) = verify(holding(shop, "financial").workspace, read_data=True).faults
    assert fault.object == chunk


def test_a_holder_of_some_scopes_queries_the_columns_these_open(shop: Deployment) -> None:
    """Other columns fail by name when they are read, or are left out on request."""
    holder = holding(shop, "financial")
    total = [(str(total),) for (total,) in shop.sql("SELECT sum(amount) FROM sales")]
    assert rows(holder, "SELECT sum(amount) FROM sales") == total
    assert rows(holder, "SELECT count(*) FROM sales") == [(501,)]
    for sql in ("SELECT customer FROM sales", "SELECT * FROM sales", "SELECT 1 FROM sales WHERE customer = 'x'"):
        with pytest.raises(WrongKey, match="customer: scope pii"):
            rows(holder, sql)
    assert len(rows(holder, "SELECT * FROM sales WHERE id = 7", without_scopes=["pii"])[0]) == 4
    with pytest.raises(UsageError):
        rows(holder, "SELECT customer FROM sales", without_scopes=["pii"])


def test_a_holder_of_some_scopes_restores_what_these_open(shop: Deployment, empty_database: Callable[[], str]) -> None:
    """A table with a locked column is refused by name, the others are restored; exit code 3."""
    result = holding(shop, "financial").restore(empty_database())
    assert result.exit_code == 3
    told = {str(table.table): (table.status, table.error) for table in result.tables}
    assert told["public.visits"] == ("restored", "")
    assert told["public.sales"][0] == "refused"
    assert "scope pii (customer) is not open" in told["public.sales"][1]


def test_a_restore_that_is_locked_as_a_whole_is_a_wrong_key(shop: Deployment) -> None:
    """Exit code 12, and nothing was written."""
    with pytest.raises(WrongKey, match="customer"):
        holding(shop, "financial").restore(schema="scratch", tables=(TableName("public", "sales"),))


def test_a_scope_is_left_out_of_a_scratch_schema_on_request(shop: Deployment) -> None:
    """The other columns are proved equal to the backup; what is missing is named."""
    holder = holding(shop, "financial")
    result = holder.restore(schema="scratch", without_scopes=("pii",))
    assert result.complete
    assert "Left out with scope pii: public.sales.customer." in result.notes
    kept = "SELECT id, day, amount, half FROM {} ORDER BY id"
    assert shop.sql(kept.format("scratch.sales")) == shop.sql(kept.format("sales"))
    with pytest.raises(UsageError, match="scratch schema"):
        holder.restore(without_scopes=("pii",))
    with pytest.raises(UsageError, match="nonsense"):
        holder.restore(schema="other", without_scopes=("nonsense",))


def test_a_backup_needs_the_keys_of_all_scopes(shop: Deployment) -> None:
    """It is complete or it is none."""
    with pytest.raises(WrongKey, match="scope pii"):
        holding(shop, "financial").back_up()
    assert holding(shop, "financial", "pii").back_up().manifest.rows == shop.backups()[0].rows


def test_a_rotation_writes_nothing_but_keys_and_retires_the_old_one(shop: Deployment) -> None:
    """Afterwards the new master key alone opens everything, and the old one nothing."""
    new = generate_master(os.urandom)
    both = replace(shop, keys={**shop.keys, "MOI_KEY_2": new})
    assert list_keys(both.workspace).unwrapped_by_newest == 3
    before = both.objects()
    done = rotate_keys(both.workspace, wait=0, entropy=os.urandom)
    assert (set(done.rewrapped), done.retired) == ({"default.1", "financial.1", "pii.1"}, ("MOI_KEY_1",))
    changed = {name for name, data in both.objects().items() if before[name] != data}
    assert {name.partition("/")[0] for name in changed} == {"keys"}
    with pytest.raises(WrongKey, match="master key 2"):
        shop.backups()
    alone = replace(shop, keys={"MOI_KEY_2": new})
    assert check_keys(alone.workspace).exit_code == 0
    assert alone.restore(schema="scratch").complete
    assert rotate_keys(alone.workspace, wait=0, entropy=os.urandom).rewrapped == ()


def test_a_rotation_that_was_cut_opens_with_both_keys_and_goes_on(shop: Deployment) -> None:
    """Killed after the first key, nothing is lost: both master keys are configured then."""
    both = replace(shop, keys={**shop.keys, "MOI_KEY_2": generate_master(os.urandom)})
    repository = both.workspace.open()
    master = both.workspace.settings.keys[1].read()
    assert isinstance(master, MasterKey)
    entry = read_entries(repository.store)[0]
    key = repository.ring.key(entry.scope)
    rewrap(repository.store, entry, key, master=master, repository=repository.id, entropy=os.urandom)
    assert both.restore(schema="scratch").complete
    assert len(rotate_keys(both.workspace, wait=0, entropy=os.urandom).rewrapped) == 2


@pytest.mark.parametrize("scope", ["default", "pii"])
def test_a_key_that_was_put_back_under_the_old_master_key_is_named(shop: Deployment, scope: str) -> None:
    """Where both master keys are configured nothing is lost, and the notes name it until it is rotated again."""
    name, new = layout.key_name(scope, 1), generate_master(os.urandom)
    both, store = replace(shop, keys={**shop.keys, "MOI_KEY_2": new}), shop.workspace.store()
    before = store.get(name)
    rotate_keys(both.workspace, wait=0, entropy=os.urandom)
    assert verify(both.workspace, read_data=True).notes == ()
    store.put(name, before)
    found = verify(both.workspace, read_data=True)
    assert (found.faults, [name in note for note in found.notes]) == ((), [True])
    rotate_keys(both.workspace, wait=0, entropy=os.urandom)
    assert verify(both.workspace, read_data=True).notes == ()


def test_a_scope_whose_key_is_gone_gets_no_other_key(shop: Deployment) -> None:
    """Under the same number it would hide that older backups are lost; brought back, everything goes on."""
    store, name = shop.workspace.store(), layout.key_name("pii", 1)
    key = store.get(name)
    store.delete(name)
    with pytest.raises(Damaged, match=name):
        shop.back_up(full=True)
    (fault,) = verify(shop.workspace).faults
    assert (fault.object, fault.kind, fault.table) == (name, "missing", "public.sales")
    store.put(name, key)
    assert written(shop.back_up(full=True)) == [0, 0]


def test_a_rotation_never_leaves_a_key_behind(shop: Deployment) -> None:
    """Without the old master key nothing is rewrapped."""
    exported = export_keys(shop.workspace, ["financial"])
    some = replace(shop, keys={"MOI_KEY_1": exported, "MOI_KEY_2": generate_master(os.urandom)})
    before = shop.objects()
    with pytest.raises(WrongKey, match="pii"):
        rotate_keys(some.workspace, wait=0, entropy=os.urandom)
    assert shop.objects() == before


def test_a_destroyed_scope_is_gone_and_nothing_else(shop: Deployment) -> None:
    """Its columns are locked for good, the others stay; the next backup has a new key for it."""
    assert destroy_scope(shop.workspace, "pii", wait=0).destroyed == ("pii.1",)
    assert rows(shop, "SELECT sum(id) FROM sales") == [(sum(range(1, 501)) + 1001,)]
    with pytest.raises(WrongKey, match="destroyed"):
        rows(shop, "SELECT customer FROM sales")
    old = shop.backups()[-1].id
    taken = shop.back_up()
    assert written(taken)[0] == taken.manifest.tables[0].chunks
    assert len(rows(shop, "SELECT customer FROM sales")) == 501
    assert shop.restore(schema="scratch").complete
    with pytest.raises(WrongKey, match="customer"):
        shop.restore(backup=old, schema="old", tables=(TableName("public", "sales"),))
    assert verify(shop.workspace, read_data=True).faults == ()


def test_scope_default_cannot_be_destroyed(shop: Deployment) -> None:
    """It opens every manifest; an unknown scope is an error too."""
    for scope in ("default", "nonsense"):
        with pytest.raises(UsageError):
            destroy_scope(shop.workspace, scope, wait=0)
    assert shop.backups()


@pytest.mark.parametrize("scope", ["default", "pii"])
def test_a_damaged_key_is_damage_and_not_a_wrong_key(shop: Deployment, scope: str) -> None:
    """Every flipped bit of a key's entry is found and the object named."""
    store, name = shop.workspace.store(), f"keys/{scope}/1"
    whole = store.get(name)
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 1
        store.put(name, bytes(data))
        with pytest.raises(Damaged, match=name):
            shop.workspace.open()
    store.put(name, whole)
    assert shop.backups()


def test_a_key_under_another_name_is_noticed(shop: Deployment) -> None:
    """Entries that changed places do not open each other's scope."""
    store = shop.workspace.store()
    pii, financial = store.get("keys/pii/1"), store.get("keys/financial/1")
    store.put("keys/pii/1", financial)
    store.put("keys/financial/1", pii)
    with pytest.raises(Damaged, match="keys/financial/1"):
        shop.workspace.open()


def test_an_init_that_was_cut_is_completed(shop: Deployment, tmp_path: Path) -> None:
    """Killed before the first key was made, the repository is empty and `init` goes on with it."""
    cut = Deployment(shop.url, tmp_path / "cut", keys=shop.keys)
    cut.folder.mkdir()
    cut.configure(SCOPES)
    cut.initialise()
    (tmp_path / "cut" / "repository" / "keys" / "default" / "1").unlink()
    with pytest.raises(NoRepository, match="not finished") as refused:
        cut.backups()
    assert "moi-backup init again" in refused.value.remedy
    cut.initialise()
    assert cut.back_up().manifest.rows
    with pytest.raises(UsageError):
        cut.initialise()


@pytest.mark.parametrize("scope", ["pii", "default"])
def test_a_rekey_writes_everything_of_a_scope_anew_and_changes_no_row(
    shop: Deployment, empty_database: Callable[[], str], scope: str
) -> None:
    """Backups keep id, rows and digests; after a prune nothing is under the old key, and an old export is retired."""
    write_record(shop.workspace.open(), "restores", RECORD, Told(reason="confidential"))
    before, target = shop.backups()[0], empty_database()
    export = replace(shop, keys={"MOI_KEY_1": export_keys(shop.workspace, ["pii"])})
    shop.sql("UPDATE sales SET amount = 0 WHERE id = 1")
    shop.back_up()
    done = rekey(shop.workspace, scope, wait=0)
    assert (done.number, done.backups) == (2, tuple(backup.id for backup in shop.backups()))
    after = shop.backups()[0]
    assert [entry.digest for entry in after.tables] == [entry.digest for entry in before.tables]
    assert verify(shop.workspace, read_data=True).faults == ()
    prune(shop.workspace, grace_hours=0)
    kinds = ("chunks/", "tables/", "files/", "backups/", "records/")
    numbers = {key_number(data, name=name) for name, data in shop.objects().items() if data.startswith(b"MOI1")
               and name.startswith(kinds)}  # fmt: skip
    assert numbers == ({2} if scope == "default" else {1})
    assert shop.restore(target, backup=before.id).complete
    assert [row[0] for row in rows_of(target, "public.sales")] == [row[0] for row in rows_of(shop.url, "public.sales")]
    assert written(shop.back_up()) == [0, 0]
    assert read_record(shop.workspace.open(), "restores", RECORD, Told) == Told(reason="confidential")
    with pytest.raises(WrongKey, match=rf"only an older key|{scope}\.2"):
        rows(export, "SELECT customer FROM sales")


def test_a_rekey_that_was_cut_goes_on_with_the_key_it_made(shop: Deployment) -> None:
    """Killed after some chunks, every backup opens, and no further key is made."""
    repository = shop.workspace.open()
    create_key(
        repository.store, repository=repository.id, scope="pii", number=2, digest=repository.ring.digest_key("pii"),
        master=shop.workspace.settings.keys[0].read(), now=shop.workspace.clock.now(), entropy=os.urandom,
    )  # fmt: skip
    assert shop.restore(schema="scratch").complete
    assert rekey(shop.workspace, "pii", wait=0).number == 2
    assert rekey(shop.workspace, "pii", wait=0).number == 3
    assert verify(shop.workspace, read_data=True).faults == ()


def test_a_rekey_needs_the_keys_of_all_columns(shop: Deployment) -> None:
    """A chunk is written anew as a whole, so nothing is begun without them."""
    before = shop.objects()
    with pytest.raises(WrongKey):
        rekey(holding(shop, "financial").workspace, "financial", wait=0)
    with pytest.raises(UsageError):
        rekey(shop.workspace, "nonsense", wait=0)
    assert shop.objects() == before


def test_every_moment_of_a_rewrite_has_the_manifest_that_the_chain_names(shop: Deployment) -> None:
    """Cut after any of its writes, the backup reads, and a later rewrite completes it."""
    repository = shop.workspace.open()
    (backup,) = shop.backups()
    changed = msgspec.structs.replace(backup, reason="rewritten")
    data = repository.manifest_bytes(changed)
    repository.store.put(layout.trash_name(backup.id), data)
    assert shop.backups() == [backup]
    with shop.workspace.writing(repository, operation="test", wait=0) as lease:
        repository = with_marks(repository)
        now = shop.workspace.clock.now()
        append(repository, action="rewrite", backup=backup.id, manifest=documents.digest_of(data), at=now, lease=lease)
        assert shop.backups() == [changed]
        rewrite_manifest(repository, changed, at=now, lease=lease)
    assert shop.backups() == [changed]
    assert shop.faults() == []
