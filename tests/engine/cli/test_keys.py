"""The key commands as a person or a script runs them: exit codes, documents, files, and no key where none belongs."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from moi_backup.repository.key_text import generate_master
from tests.engine.cli.conftest import Answer, Command
from tests.engine.cli.test_documents import undocumented
from tests.engine.conftest import Server, create_database
from tests.engine.deployment import Deployment

SCOPES = '[tables.sales]\nscopes = { pii = ["customer"], financial = ["amount"] }\n'
SALES = """
CREATE TABLE sales (id int PRIMARY KEY, day date, customer text, amount numeric(10, 2));
INSERT INTO sales SELECT i, date '2025-01-01' + i % 9, 'customer-' || i, i FROM generate_series(1, 50) i;
"""
A_KEY = re.compile(r"moi-(?:key|scopes)-1-[A-Za-z0-9_-]{16,}")


@pytest.fixture(scope="module")
def sales(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A table with two scopes and one backup of it in an encrypted repository, for all tests of this module."""
    folder, name = tmp_path_factory.mktemp("sales"), f"sales_{os.getpid()}"
    create_database(postgres_server, name)
    made = Deployment(postgres_server.url(name), folder, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure(SCOPES)
    made.initialise()
    made.sql(SALES)
    made.back_up()
    yield made
    with psycopg.connect(postgres_server.url(), autocommit=True) as conn:
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def shop(sales: Deployment, tmp_path: Path) -> Deployment:
    """The same with a repository of the test's own."""
    shutil.copytree(sales.folder / "repository", tmp_path / "repository")
    made = replace(sales, folder=tmp_path)
    made.configure(SCOPES)
    return made


def document_of(answer: Answer, command: str, *, code: int = 0) -> dict:
    """The document of a command that ended so; every field of it is on the page, and no key is on any stream."""
    assert answer.code == code, answer.err
    assert undocumented(command, answer.document) == []
    assert not A_KEY.search(answer.out + answer.err)
    return answer.document


def refused(answer: Answer, code: int, *words: str) -> None:
    """The command failed so, said why, and printed neither a document nor a key."""
    assert (answer.code, answer.out) == (code, "")
    assert [word for word in words if word not in answer.err] == []
    assert not A_KEY.search(answer.err)


def test_a_generated_key_makes_an_encrypted_repository(process: Command, shop: Deployment, tmp_path: Path):
    """What `key generate` printed is set as MOI_KEY_1; the whole way works, and init says what it made."""
    key = process("key", "generate", on=shop)
    assert (key.code, key.err) == (0, "")
    assert A_KEY.fullmatch(key.out.strip())
    new = replace(shop, keys={"MOI_KEY_1": key.out.strip()})
    made = process("init", "--json", on=new, MOI_REPOSITORY=str(tmp_path / "new"))
    assert document_of(made, "init")["encrypted"] is True
    assert process("backup", "--quiet", on=new, MOI_REPOSITORY=str(tmp_path / "new")).code == 0
    assert process("key", "generate", on=shop).out != key.out


@pytest.mark.parametrize("command", [["generate"], ["export", "--scope", "pii"]])
def test_a_key_is_handed_over_in_three_ways(process: Command, shop: Deployment, command: list[str]):
    """As one line, as a document, or into a file of mode 0600 that is named and not shown."""
    line = process("key", *command, "--quiet", on=shop)
    assert A_KEY.fullmatch(line.out.strip())
    document = process("key", *command, "--json", on=shop).document
    assert A_KEY.fullmatch(document["key"])
    assert undocumented(f"key {command[0]}", document) == []
    told = process("key", *command, "--to", "a key", on=shop)
    assert told.code == 0
    file = shop.folder / "a key"
    assert A_KEY.fullmatch(file.read_text().strip())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not A_KEY.search(told.out + told.err)
    named = document_of(process("key", *command, "--to", "other", "--json", on=shop), f"key {command[0]}")
    assert (named["key"], named["file"]) == (None, str(shop.folder / "other"))


@pytest.mark.parametrize("command", [["generate"], ["export", "--scope", "pii"]])
def test_a_key_never_replaces_a_file(process: Command, shop: Deployment, command: list[str]):
    """The file may hold another key; neither it nor what a link points to is touched, and no folder is made up."""
    (shop.folder / "taken").write_text("another key")
    (shop.folder / "link").symlink_to(shop.folder / "nothing")
    for name in ("taken", "link", "no/such/folder"):
        refused(process("key", *command, "--to", name, "--json", on=shop), 2, name, "No key was written")
    assert (shop.folder / "taken").read_text() == "another key"
    assert not (shop.folder / "nothing").exists()


def test_list_tells_the_state_of_every_key(moi: Command, shop: Deployment):
    """Open with the master key; without any key all are locked, which is no failure of a list."""
    document = document_of(moi("key", "list", "--json", on=shop), "key list")
    assert [(key["scope"], key["number"], key["state"]) for key in document["keys"]] == [
        ("default", 1, "open"), ("financial", 1, "open"), ("pii", 1, "open"),
    ]  # fmt: skip
    assert document["given"][0]["id"] == document["keys"][0]["master_id"]
    without = document_of(moi("key", "list", "--json", on=replace(shop, keys={})), "key list")
    assert {(key["state"], "set MOI_KEY_1" in key["why"]) for key in without["keys"]} == {("locked", True)}
    told = moi("key", "list", on=replace(shop, keys={"MOI_KEY_3": "file:gone"}))
    assert (told.code, "unusable" in told.out) == (0, True)


def test_check_ends_with_12_when_a_key_does_not_open(moi: Command, shop: Deployment):
    """All open: 0. A scope locked: 12 with its name. Scope default locked: 12 with nothing on standard output."""
    document = document_of(moi("key", "check", "--json", on=shop), "key check")
    assert (document["opened"], document["locked"]) == (["default", "financial", "pii"], [])
    export = moi("key", "export", "--scope", "pii", on=shop).out.strip()
    holder = replace(shop, keys={"MOI_KEY_1": export})
    document = document_of(moi("key", "check", "--json", on=holder), "key check", code=12)
    assert (document["opened"], [key["scope"] for key in document["locked"]]) == (["default", "pii"], ["financial"])
    refused(moi("key", "check", "--json", on=replace(shop, keys={})), 12, "MOI_KEY_1")


def test_rotate_retires_the_old_key(moi: Command, shop: Deployment):
    """Afterwards the new key alone opens everything, and the old one is exit code 12."""
    new = moi("key", "generate", on=shop).out.strip()
    both = replace(shop, keys={**shop.keys, "MOI_KEY_2": new})
    document = document_of(moi("key", "rotate", "--json", on=both), "key rotate")
    assert (len(document["rewrapped"]), document["retired"]) == (3, ["MOI_KEY_1"])
    assert moi("key", "check", on=replace(shop, keys={"MOI_KEY_2": new})).code == 0
    refused(moi("backups", "--json", on=shop), 12, "master key 2")
    told = moi("key", "rotate", on=both).out
    assert "Every key was wrapped by it already" in told
    assert "MOI_KEY_1 opens nothing here any more" in told


def test_a_rotation_without_every_key_changes_nothing(moi: Command, shop: Deployment):
    """A key that was left behind would be lost with the old master key."""
    export = moi("key", "export", "--scope", "pii", on=shop).out.strip()
    before = shop.objects()
    some = replace(shop, keys={"MOI_KEY_1": export, "MOI_KEY_2": generate_master(os.urandom)})
    refused(moi("key", "rotate", "--json", on=some), 12, "financial")
    assert shop.objects() == before


def test_rekey_writes_anew_and_retires_exports(moi: Command, shop: Deployment):
    """Backups keep their ids; whoever has the old export opens nothing of the scope any more."""
    export = moi("key", "export", "--scope", "pii", on=shop).out.strip()
    holder = replace(shop, keys={"MOI_KEY_1": export})
    wanted = ["query", "latest", "SELECT max(customer) FROM sales", "--csv"]
    assert "customer-9" in moi(*wanted, on=holder).out
    document = document_of(moi("key", "rekey", "--scope", "pii", "--json", on=shop), "key rekey")
    assert (document["number"], document["chunks"] > 0) == (2, True)
    assert document["backups"] == [backup.id for backup in shop.backups()]
    refused(moi(*wanted, on=holder), 12, "pii")
    assert "customer-9" in moi(*wanted, on=shop).out
    refused(moi("key", "rekey", "--scope", "nonsense", "--json", on=shop), 2, "nonsense")


def test_export_opens_its_scopes_and_no_other(moi: Command, shop: Deployment):
    """Its holder queries what it opens; the rest is exit code 12 by name, and can be left out."""
    export = moi("key", "export", "--scope", "financial", on=shop).out.strip()
    holder = replace(shop, keys={"MOI_KEY_1": export})
    assert moi("query", "latest", "SELECT sum(amount) FROM sales", "--csv", on=holder).out.split()[-1] == "1275.00"
    refused(moi("query", "latest", "SELECT * FROM sales", "--json", on=holder), 12, "customer", "pii")
    left_out = moi("query", "latest", "SELECT * FROM sales LIMIT 1", "--json", "--without-scope", "pii", on=holder)
    assert set(left_out.document[0]) == {"id", "day", "amount"}
    assert moi("verify", "--read-data", on=holder).code == 0
    refused(moi("backup", "--json", on=holder), 12, "pii")
    refused(moi("restore", "latest", "--to", "source", "--schema", "s", "--json", on=holder), 12, "customer")
    scratch = ["restore", "latest", "--to", "source", "--schema", "scratch", "--without-scope", "pii"]
    assert moi(*scratch, on=holder).code == 0
    shop.sql("DROP SCHEMA scratch CASCADE")
    refused(moi("key", "export", "--scope", "nonsense", "--json", on=shop), 2, "nonsense", "financial")
    refused(moi("key", "export", "--scope", "pii", "--json", on=holder), 12, "pii")
    refused(moi("key", "export", "--json", on=shop), 2, "--scope")


@pytest.mark.parametrize("confirm", [[], ["--confirm", "yes"], ["--confirm", "financial"]])
def test_destroy_needs_the_name_twice(moi: Command, shop: Deployment, confirm: list[str]):
    """Without it, or with another name, nothing is destroyed (exit code 2)."""
    before = shop.objects()
    refused(moi("key", "destroy", "--scope", "pii", *confirm, "--json", on=shop), 2, "--confirm pii")
    assert shop.objects() == before


def test_destroy_ends_a_scope_and_nothing_else(moi: Command, shop: Deployment):
    """Its columns are exit code 12 for the holder of every key; the others are read as before."""
    document = document_of(
        moi("key", "destroy", "--scope", "pii", "--confirm", "pii", "--json", on=shop), "key destroy"
    )
    assert document["destroyed"] == ["pii.1"]
    refused(moi("query", "latest", "SELECT customer FROM sales", "--json", on=shop), 12, "destroyed")
    assert moi("query", "latest", "SELECT sum(amount) FROM sales", "--csv", on=shop).out.split()[-1] == "1275.00"
    refused(moi("key", "destroy", "--scope", "default", "--confirm", "default", "--json", on=shop), 2, "default")


@pytest.mark.parametrize("command", [["check"], ["rotate"], ["rekey", "--scope", "pii"], ["export", "--scope", "pii"]])
def test_a_plain_repository_has_no_keys_to_work_on(moi: Command, shop: Deployment, command: list[str], tmp_path: Path):
    """Exit code 2, and the list of its keys is empty."""
    plain = replace(shop, folder=tmp_path / "plain", keys={})
    plain.folder.mkdir()
    plain.configure(SCOPES)
    plain.initialise()
    refused(moi("key", *command, "--json", on=plain), 2, "plain" if command[0] == "export" else "")
    assert moi("key", "list", "--json", on=plain).document["keys"] == []


@pytest.mark.parametrize("verbose", [[], ["--verbose"]])
def test_a_mistyped_key_is_12_and_never_repeated(process: Command, shop: Deployment, verbose: list[str]):
    """Neither the message nor a traceback holds any part of it."""
    typo = shop.keys["MOI_KEY_1"][:-1] + ("A" if shop.keys["MOI_KEY_1"][-1] != "A" else "B")
    answer = process("backups", "--json", *verbose, on=replace(shop, keys={"MOI_KEY_1": typo}))
    refused(answer, 12, "MOI_KEY_1", "mistyped")
    assert typo[10:] not in answer.err
