"""The doctor and the keys: which are given, what they open, who can read them, and when they were rotated."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from moi_backup.operations.doctor import examine
from moi_backup.operations.examined import Examined
from moi_backup.operations.export_keys import export_keys
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.repository.key_text import generate_master
from tests.engine.deployment import Deployment

TABLE = "CREATE TABLE sales (id int PRIMARY KEY, customer text); INSERT INTO sales VALUES (1, $$a$$)"
SCOPES = '[tables.sales]\nscopes = { pii = ["customer"] }\n'


@pytest.fixture
def shop(empty_database, tmp_path: Path) -> Deployment:
    """A table with a scope of its own, backed up into an encrypted repository."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure(SCOPES)
    made.initialise()
    made.sql(TABLE)
    made.back_up()
    return made


def examined(shop: Deployment) -> dict[str, Examined]:
    """What the doctor finds, by name; no key is in it."""
    checks = examine(lambda: shop.workspace, entropy=os.urandom).checks
    assert not [text for text in shop.keys.values() if text.startswith("moi-") and text in repr(checks)]
    return {check.name: check for check in checks}


def test_a_plain_repository_is_told_as_readable(deployment: Deployment):
    """No key and no encryption is a fact, not a fault."""
    assert (examined(deployment)["encryption"].level, "MOI_KEY" in str(examined(deployment))) == ("ok", False)


def test_given_keys_are_told_by_id_and_what_they_open(shop: Deployment):
    """All is well with the master key of the repository."""
    found = examined(shop)
    assert {found[name].level for name in ("MOI_KEY_1", "keys", "key rotation")} == {"ok"}
    assert found["keys"].text == "open: default.1, pii.1; locked: none"
    assert "master key, id" in found["MOI_KEY_1"].text


def test_a_scope_that_is_not_open_is_a_warning_and_default_a_failure(shop: Deployment):
    """Without pii backups of its columns are impossible, without default everything is."""
    exported = replace(shop, keys={"MOI_KEY_1": export_keys(shop.workspace, [])})
    found = examined(exported)
    assert (found["keys"].level, found["keys"].text) == ("warn", "open: default.1; locked: pii.1")
    found = examined(replace(shop, keys={"MOI_KEY_2": generate_master(os.urandom)}))
    assert (found["keys"].level, found["repository"].level) == ("fail", "fail")
    assert "master key 1" in found["keys"].remedy


def test_a_key_that_cannot_be_had_fails_by_its_variable(shop: Deployment):
    """Its file is missing; the other key still opens everything."""
    found = examined(replace(shop, keys={**shop.keys, "MOI_KEY_2": "file:gone"}))
    assert (found["MOI_KEY_2"].level, found["keys"].level) == ("fail", "ok")
    assert "gone cannot be read" in found["MOI_KEY_2"].text


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o602])
def test_a_key_file_that_others_can_read_or_write_is_a_warning(shop: Deployment, mode: int):
    """A key is the secret of one user; the remedy says how."""
    file = shop.folder / "key"
    file.write_text(shop.keys["MOI_KEY_1"])
    file.chmod(mode)
    found = examined(replace(shop, keys={"MOI_KEY_1": "file:key"}))
    if mode == 0o600:
        assert "key file" not in found
    else:
        assert found["key file"].level == "warn"
        assert "chmod 600 key" in found["key file"].remedy


def test_keys_that_are_not_rotated_are_a_warning(shop: Deployment):
    """A new master key that wraps nothing yet, and one that has been the same for more than 400 days."""
    both = replace(shop, keys={**shop.keys, "MOI_KEY_2": generate_master(os.urandom)})
    assert examined(both)["key rotation"].text == "2 of 2 keys are not yet under the newest master key"
    rotate_keys(both.workspace, wait=0, entropy=os.urandom)
    assert examined(both)["key rotation"].level == "ok"
    entry = shop.folder / "repository" / "keys" / "pii" / "1"
    os.utime(entry, (0, entry.stat().st_mtime - 401 * 86400))
    found = examined(both)["key rotation"]
    assert (found.level, found.text) == ("warn", "no rotation for 401 days")


def test_a_key_beside_a_plain_repository_fails(deployment: Deployment):
    """No backup would be written in the clear while a key is configured."""
    found = examined(replace(deployment, keys={"MOI_KEY_1": generate_master(os.urandom)}))
    assert (found["encryption"].level, found["repository"].level) == ("fail", "fail")


def test_a_damaged_entry_of_a_key_fails_by_name(shop: Deployment):
    """Damage is told from a missing key."""
    entry = shop.folder / "repository" / "keys" / "pii" / "1"
    entry.chmod(0o600)
    entry.write_bytes(b"rotten")
    assert "keys/pii/1" in examined(shop)["keys"].text
