"""Every change of a row between backups is told, with the backups it lies between, and little is read for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moi_backup.errors import Damaged, UsageError, WrongKey
from moi_backup.model.day import DayRange
from moi_backup.model.table import Chunk, TableName
from moi_backup.operations.blame import Blame, BlameRequest, blame
from moi_backup.operations.destroy_scope import destroy_scope
from moi_backup.operations.expire_backups import expire_backups
from moi_backup.operations.export_keys import export_keys
from moi_backup.operations.stored_table import open_table
from moi_backup.repository.key_text import generate_master
from moi_backup.repository.layout import chunk_name
from tests.engine.deployment import Deployment

SALES = TableName("public", "sales")
TABLE = """
CREATE TABLE sales (id int PRIMARY KEY, day date, name text, amount numeric(10, 2), "odd=name" text);
INSERT INTO sales SELECT i, date '2025-01-01' + i % 90, 'name ' || i, i FROM generate_series(1, 300) i;
INSERT INTO sales VALUES (1001, NULL, NULL, 5, 'NULL');
"""


@pytest.fixture
def sales(deployment: Deployment) -> Deployment:
    """A table with one full backup."""
    deployment.sql(TABLE)
    deployment.back_up(full=True)
    return deployment


def asked(deployment: Deployment, *keys: str, **options: Any) -> Blame:
    return blame(deployment.workspace, BlameRequest(table=SALES, keys=keys, **options))


def told(found: Blame) -> list[tuple[str, list[tuple[str, dict[str, tuple[str | None, str | None]]]]]]:
    """Each backup with what it says of its rows."""
    return [
        (b.backup, [(c.what, {d.column: (d.before, d.after) for d in c.columns}) for c in b.changes])
        for b in found.changed
    ]


def changed_to(deployment: Deployment, sql: str) -> str:
    """Change something and back it up; the id of the backup."""
    deployment.sql(sql)
    return deployment.back_up().manifest.id


def test_a_row_is_followed_from_its_appearance_to_its_end(sales: Deployment):
    """Inserted, changed, untouched, moved to another day and deleted: each is told of its own backup."""
    first = sales.backups()[0].id
    born = changed_to(sales, "INSERT INTO sales VALUES (7000, '2025-01-05', 'new', 1.5)")
    changed = changed_to(sales, "UPDATE sales SET amount = 2, name = NULL WHERE id = 7000")
    changed_to(sales, "UPDATE sales SET amount = 0 WHERE id <> 7000")
    moved = changed_to(sales, "UPDATE sales SET day = '2025-03-03' WHERE id = 7000")
    dead = changed_to(sales, "DELETE FROM sales WHERE id = 7000")
    found = asked(sales, "id=7000")
    assert told(found) == [
        (born, [("appeared", {})]),
        (changed, [("changed", {"amount": ("1.50", "2.00"), "name": ("new", None)})]),
        (moved, [("changed", {"day": ("2025-01-05", "2025-03-03")})]),
        (dead, [("disappeared", {})]),
    ]
    assert [entry.after for entry in found.changed][:2] == [first, born]
    assert found.changed[0].changes[0].row == {"amount": "1.50", "day": "2025-01-05", "id": "7000", "name": "new"}
    assert (found.looked_at, found.rows, found.passed_over) == (6, 0, ())


def test_what_did_not_change_is_never_read_again(sales: Deployment):
    """Chunks of days that are the same are opened once, whatever the number of backups; a key's day spares the rest."""
    for number in range(3):
        changed_to(sales, f"UPDATE sales SET amount = {number} + 0.5 WHERE id = 1")
    changed_to(sales, "CREATE TABLE another (a int)")
    chunks = open_table(sales.workspace.open(), sales.backups()[0], SALES).chunks()
    assert len(chunks) == 4
    assert asked(sales, "id=1").chunks_read == 4 + 3
    assert asked(sales, "id=3", "day=2025-03-03").chunks_read == 1


def test_a_key_is_compared_in_the_type_of_its_column(sales: Deployment):
    """Numbers by value, days as days, a name with an equals sign, NULL by an option of its own."""
    assert asked(sales, "amount=7.0", "id=+7").rows == 1
    assert asked(sales, "odd=name=NULL").rows == 1
    assert asked(sales, "id=1001", null_keys=["day", "name"]).rows == 1
    assert asked(sales, null_keys=["odd=name"]).rows == 300
    assert asked(sales, "name=").rows == 0
    assert asked(sales, "day=2025-01-02").rows == 4


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ((), "--key id=VALUE"),
        (("id",), "not COLUMN=VALUE"),
        (("id=",), "no value of column id"),
        (("id=NULL",), "--key-null id"),
        (("id=1.5",), "never rounded"),
        (("id=99999999999",), "no value of column id"),
        (("amount=1.555",), "never rounded"),
        (("day=2025-02-30",), "2025-09-14"),
        (("nme=x",), "Did you mean name"),
        (("id=1", "id=2"), "twice"),
    ],
)
def test_a_key_that_is_none_is_refused_with_what_would_be(sales: Deployment, keys: tuple[str, ...], why: str):
    """Nothing is guessed or rounded; the message names the table's key or the right form."""
    with pytest.raises(UsageError) as caught:
        asked(sales, *keys)
    assert why in str(caught.value)


def test_a_window_is_compared_with_the_backup_before_it(sales: Deployment):
    """Backups outside are left alone, but the last one before tells what the first inside changed."""
    second = changed_to(sales, "UPDATE sales SET amount = 2.5 WHERE id = 1")
    assert [entry.backup for entry in asked(sales, "id=1", since="2000-01-01").changed][-1] == second
    late = asked(sales, "id=1", since="2999-01-01")
    assert [(entry.backup, entry.after) for entry in late.changed] == [(second, None)]
    with pytest.raises(UsageError, match="no complete backup"):
        asked(sales, "id=1", until="2000-01-01")
    with pytest.raises(UsageError, match="not a day"):
        asked(sales, "id=1", since="yesterday")


def test_an_expired_backup_is_named_and_its_change_told_of_a_longer_time(sales: Deployment):
    """What lies in the trash is not read; the change shows in the next backup, as after the one before."""
    first = sales.backups()[0].id
    second = changed_to(sales, "UPDATE sales SET amount = 2.5 WHERE id = 1")
    third = changed_to(sales, "UPDATE sales SET amount = 3.5 WHERE id = 2")
    expire_backups(sales.workspace, [second])
    found = asked(sales, "id=1")
    assert [(entry.backup, entry.after) for entry in found.changed] == [(first, None), (third, first)]
    assert [(entry.backup, entry.why) for entry in found.passed_over] == [(second, "expired")]


def test_limited_backups_and_those_without_the_table_are_no_evidence(sales: Deployment):
    """A row outside of a backup's coverage has not disappeared."""
    first = sales.backups()[0].id
    sales.back_up(days=DayRange(first="2025-03-01", last="2025-03-01"))
    sales.configure('[tables."public.other"]\n')
    sales.sql("CREATE TABLE other (a int)")
    without = sales.back_up().manifest.id
    found = asked(sales, "id=1")
    assert [entry.backup for entry in found.changed] == [first]
    assert [(entry.backup, entry.why) for entry in found.passed_over] == [(without, "no_table")]
    with pytest.raises(UsageError, match="does not hold public.nowhere"):
        blame(sales.workspace, BlameRequest(table=TableName("public", "nowhere"), keys=["id=1"]))


def test_a_damaged_chunk_costs_its_backup_alone(sales: Deployment):
    """The backup is named, and those whose changed days can be read still answer; days of others do not matter."""
    second = changed_to(sales, "UPDATE sales SET amount = 2.5 WHERE id = 1")
    third = changed_to(sales, "UPDATE sales SET amount = 3.5 WHERE id = 1")
    first = sales.backups()[0].id
    damage(sales, second, "2025-01-02")
    found = asked(sales, "id=1")
    assert [(entry.backup, entry.after) for entry in found.changed] == [(first, None), (third, first)]
    assert [(entry.backup, entry.why) for entry in found.passed_over] == [(second, "damaged")]
    assert asked(sales, "id=31", "day=2025-02-01").passed_over == ()


def test_damage_everywhere_is_an_error(sales: Deployment):
    """Without one backup that can be read there is no answer."""
    damage(sales, sales.backups()[0].id, "2025-01-02")
    with pytest.raises(Damaged):
        asked(sales, "id=1")


def damage(deployment: Deployment, backup: str, day: str) -> None:
    """Turn a bit in the chunk of a day."""
    manifest = next(found for found in deployment.backups() if found.id == backup)
    stored = open_table(deployment.workspace.open(), manifest, SALES)
    file = file_of(deployment, next(c for c in stored.chunks() if any(part.day == day for part in c.days)))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def file_of(deployment: Deployment, chunk: Chunk) -> Path:
    return deployment.folder / "repository" / chunk_name(SALES, chunk)


def test_a_changed_schema_changes_the_rows_it_gives_values(sales: Deployment):
    """A new column is a change where it is not NULL, and a row without a key that fits is passed over, not gone."""
    changed_to(sales, "ALTER TABLE sales ADD COLUMN note text")
    with_default = changed_to(sales, "ALTER TABLE sales ADD COLUMN state text DEFAULT 'ok'")
    assert told(asked(sales, "id=1"))[1:] == [(with_default, [("changed", {"state": (None, "ok")})])]
    found = asked(sales, "state=ok", "id=1")
    assert [entry.backup for entry in found.changed] == [with_default]
    assert [entry.why for entry in found.passed_over] == ["no_column", "no_column"]


def test_equal_rows_are_counted(deployment: Deployment):
    """A table without a key may hold a row several times, and loses some of them."""
    deployment.sql("CREATE TABLE sales (day date, name text); INSERT INTO sales SELECT NULL, 'x' FROM range(5)"
                   .replace("range(5)", "generate_series(1, 5)"))  # fmt: skip
    deployment.back_up()
    changed_to(deployment, "DELETE FROM sales WHERE ctid IN (SELECT ctid FROM sales LIMIT 2)")
    found = asked(deployment, "name=x")
    assert [(c.what, c.rows) for entry in found.changed for c in entry.changes] == [("present", 5), ("disappeared", 2)]


def test_more_rows_than_memory_should_hold_are_refused(deployment: Deployment):
    """A key that means half the table is answered with what would name less."""
    deployment.sql("CREATE TABLE sales (id int PRIMARY KEY, name text);"
                   "INSERT INTO sales SELECT i, 'x' FROM generate_series(1, 20001) i")  # fmt: skip
    deployment.back_up()
    with pytest.raises(UsageError, match="20,000 rows"):
        asked(deployment, "name=x")


@pytest.fixture
def owner(empty_database: Callable[[], str], tmp_path: Path) -> Deployment:
    """The table in an encrypted repository, its names in a scope of their own."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure('[tables.sales]\nday = "day"\nscopes = { pii = ["name"] }\n')
    made.initialise()
    made.sql(TABLE)
    made.back_up(full=True)
    return made


def test_a_destroyed_scope_costs_the_backups_under_its_key_alone(owner: Deployment):
    """They are named as locked, and what the next key opens still answers."""
    first = owner.backups()[0].id
    destroy_scope(owner.workspace, "pii", wait=0)
    owner.sql("UPDATE sales SET amount = 9 WHERE id = 1")
    second = owner.back_up(full=True).manifest.id
    found = asked(owner, "id=1")
    assert [(entry.backup, entry.why) for entry in found.passed_over] == [(first, "locked")]
    assert [(entry.backup, entry.after) for entry in found.changed] == [(second, None)]
    assert len(asked(owner, "id=1", without_scopes=["pii"]).changed) == 2


def test_a_scope_without_its_key_is_refused_or_left_out(owner: Deployment):
    """As in a query: by name, or with --without-scope as if its columns were not there."""
    last = changed_to(owner, "UPDATE sales SET amount = 9 WHERE id = 1")
    changed_to(owner, "UPDATE sales SET name = 'secret' WHERE id = 1")
    assert len(asked(owner, "id=1").changed) == 3
    holder = Deployment(owner.url, owner.folder, keys={"MOI_KEY_1": export_keys(owner.workspace, [])})
    with pytest.raises(WrongKey, match="pii"):
        asked(holder, "id=1")
    found = asked(holder, "id=1", without_scopes=["pii"])
    assert [entry.backup for entry in found.changed][1:] == [last]
    assert "name" not in found.changed[0].changes[0].row
