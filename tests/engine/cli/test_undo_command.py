"""An undo as a person does it: find the restore, preview, undo, and what is told of it."""

from __future__ import annotations

from tests.engine.cli.test_documents import undocumented
from tests.engine.oracle import rows_of

TABLE = "public.meta_import_data"
RESTORE = ("restore", "latest", "--to", "source", "--table", "meta_import_data", "--in-place")
REPLACE = (*RESTORE, "--on-conflict", "replace", "--reason", "rows were lost", "--json")


def test_a_restore_is_undone_by_the_token_of_a_preview(shop, copied, moi):
    """Its id stands in the list of restores, which afterwards names the undo as well."""
    shop.sql("DELETE FROM meta_import_data WHERE id % 7 = 0; UPDATE meta_import_data SET amount_spent = 1 WHERE id = 1")
    lost = rows_of(shop.url, TABLE)
    restored = moi(*REPLACE, on=copied).document["id"]
    assert restored in moi("restores", on=copied).out
    assert "until" in moi("restores", on=copied).out
    preview = moi("undo", restored, "--dry-run", "--json", on=copied)
    assert undocumented("restore --dry-run", preview.document) == []
    assert (preview.document["undoes"], preview.document["tables"][0]["changes"]["deleted"]) == (restored, 285)
    assert rows_of(shop.url, TABLE) != lost
    token = preview.document["token"]
    done = moi("undo", restored, "--plan", token, "--reason", "wrong week", "--json", on=copied)
    assert done.code == 0, done.err
    assert undocumented("restore", done.document) == []
    assert rows_of(shop.url, TABLE) == lost
    told = moi("restores", on=copied).out
    assert f"undo of {restored}" in told
    assert f"undone by {done.document['id']}" in told
    assert f"undo of {restored}" in moi("restores", done.document["id"], on=copied).out
    assert moi(*REPLACE, on=copied).code == 0


def test_what_was_changed_since_is_told_by_its_key(shop, copied, moi):
    """It stays, and the exit code says that not all was undone."""
    shop.sql("DELETE FROM meta_import_data WHERE id IN (5, 6)")
    restored = moi(*REPLACE, on=copied).document["id"]
    shop.sql("UPDATE meta_import_data SET amount_spent = 77 WHERE id = 6")
    done = moi("undo", restored, "--reason", "wrong week", on=copied)
    assert done.code == 3, done.err
    assert "Differ on both sides: day=" in done.out
    assert shop.sql("SELECT id, amount_spent::int FROM meta_import_data WHERE id IN (5, 6)") == [(6, 77)]
    assert moi(*REPLACE, on=copied).code == 0


def test_where_there_is_nothing_to_undo_it_is_said(shop, copied, moi):
    """A restore that found every row as it is in the backup; and words that are missing are a misuse."""
    assert moi(*REPLACE, on=copied).code == 0
    restored = moi(*REPLACE, on=copied).document["id"]
    for words in (("--dry-run",), ("--reason", "a mistake")):
        idle = moi("undo", restored, *words, on=copied)
        assert (idle.code, "Nothing to undo." in idle.out, "changed no row" in idle.out) == (0, True, True)
    refused = moi("undo", restored, on=copied)
    assert (refused.code, "--reason" in refused.err) == (2, True)
