"""A restore in place as a person does it: preview, plan, restore, and what is told of it."""

from __future__ import annotations

from tests.engine.oracle import rows_of

RESTORE = ("restore", "latest", "--to", "source", "--table", "meta_import_data", "--in-place")
REPLACE = (*RESTORE, "--on-conflict", "replace", "--reason", "rows were lost")


def test_a_previewed_restore_is_applied_by_its_token(shop, copied, moi):
    """The preview writes nothing; with its token the rows come back, and what was replaced is kept for an undo."""
    before = rows_of(shop.url, "public.meta_import_data")
    shop.sql("DELETE FROM meta_import_data WHERE id % 7 = 0; UPDATE meta_import_data SET amount_spent = 1 WHERE id = 1")
    lost = rows_of(shop.url, "public.meta_import_data")
    preview = moi(*REPLACE, "--dry-run", "--json", on=copied)
    [planned] = preview.document["tables"]
    assert (planned["changes"]["inserted"], planned["changes"]["updated"]) == (285, 1)
    assert rows_of(shop.url, "public.meta_import_data") == lost
    done = moi(*REPLACE, "--plan", preview.document["token"], on=copied)
    assert done.code == 0, done.err
    assert rows_of(shop.url, "public.meta_import_data") == before
    assert "kept in backup" in done.out


def test_a_token_of_other_rows_writes_nothing(shop, copied, moi):
    """Live rows that changed since the preview stop the restore, and the words say so."""
    before = rows_of(shop.url, "public.meta_import_data")
    shop.sql("DELETE FROM meta_import_data WHERE id = 5")
    token = moi(*REPLACE, "--dry-run", "--json", on=copied).document["token"]
    shop.sql("DELETE FROM meta_import_data WHERE id = 6")
    refused = moi(*REPLACE, "--plan", token, on=copied)
    assert refused.code == 1
    assert "not as they were then" in refused.out
    assert len(rows_of(shop.url, "public.meta_import_data")) == len(before) - 2
    assert moi(*REPLACE, on=copied).code == 0
    assert rows_of(shop.url, "public.meta_import_data") == before
