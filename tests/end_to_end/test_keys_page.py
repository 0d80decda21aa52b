"""docs/keys.md: its commands are typed in its order, and what it says of them holds."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from tests.end_to_end.reader import ROOT, Page, Reader

PAGE = Page("docs/keys.md")
MOI = ".venv/bin/moi-backup "
LIVE = "postgresql://backup@db.example.com:5432/postgres"
EMPTY = "postgresql://postgres@new-server:5432/postgres"
ROWS = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM meta_import_data t"


def type_section(reader: Reader, heading: str, *, code: int = 0) -> str:
    """Type all commands under a heading; what they printed."""
    commands = PAGE.section(heading)
    assert commands, heading
    return "\n".join(reader.types(command, code=code) for command in commands)


def asked(reader: Reader, database: str, query: str) -> list[tuple[object, ...]]:
    """The rows of a query."""
    with psycopg.connect(reader.own[database], autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def test_every_command_of_the_page_works_as_written(reader: Reader) -> None:
    """From the first key to a lost one: what opens opens, and what shall not open any more does not."""
    for name in ("etc", "safe"):
        (reader.folder / name).mkdir(mode=0o700)
    assert "Read rows of" in type_section(reader, "Set up")
    _a_new_machine_has_everything(reader)
    finance = _finance_reads_costs_and_no_names(reader)
    assert "MOI_KEY_1 opens nothing here any more" in type_section(reader, "Rotate every year")
    reader.types(f"MOI_KEY_2=file:/etc/moi/key-1 {MOI}backups", code=12)
    assert "written anew" in type_section(reader, "An export was stolen")
    finance.types(f"{MOI}backups", code=12)
    assert "default.3, master" not in type_section(reader, "A master key was stolen")
    reader.types(f"MOI_KEY_3=file:/etc/moi/key-2 {MOI}backups", code=12)
    reader.types(f"{MOI}verify latest --read-data")
    _a_destroyed_scope_is_gone(reader)
    _a_lost_key_is_named_and_a_new_repository_protects(reader)


def _a_new_machine_has_everything(reader: Reader) -> None:
    type_section(reader.moved(), "Restore on a new machine with the key alone")
    assert asked(reader, EMPTY, ROWS) == asked(reader, LIVE, ROWS)


def _finance_reads_costs_and_no_names(reader: Reader) -> Reader:
    first, *others = PAGE.section("Give a scope to somebody")
    reader.types(first)
    finance = reader.moved()
    for command in others:
        finance.types(command)
    wanted = "SELECT sum(amount_spent), count(*) FROM {}meta_import_data"
    assert asked(reader, EMPTY, wanted.format("scratch.")) == asked(reader, LIVE, wanted.format(""))
    finance.types(f"{MOI}query latest 'SELECT campaign_name FROM meta_import_data'", code=12)
    finance.types(f"MOI_SOURCE_URL={LIVE} {MOI}backup", code=12)
    return finance


def _a_destroyed_scope_is_gone(reader: Reader) -> None:
    query = f"{MOI}query {{}} 'SELECT max(campaign_name) FROM meta_import_data'"
    (old,) = re.findall(r"^(\d{8}T\S+)", reader.types(f"{MOI}backups"), re.MULTILINE)
    assert "destroyed" in type_section(reader, "Destroy a scope")
    assert "destroyed" in reader.types(query.format(old), code=12)
    reader.types(query.format("latest"))
    reader.types(f"{MOI}query {old} 'SELECT sum(amount_spent) FROM meta_import_data'")


def _a_lost_key_is_named_and_a_new_repository_protects(reader: Reader) -> None:
    del reader.environment["MOI_KEY_3"]
    listing, *anew = PAGE.section("A master key is lost")
    assert "opens with master key 3 (id " in reader.types(listing)
    reader.types(f"{MOI}backup", code=12)
    for command in anew:
        reader.types(command)
    assert (reader.folder / "repository-2" / "repository.json").exists()


def test_every_link_and_section_of_the_page_exists() -> None:
    """Documents and sections that are named are there, and every key command is explained."""
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.text):
        assert (ROOT / "docs" / target).exists(), target
    headings = set(re.findall(r"^## (.*)$", PAGE.text, re.MULTILINE))
    assert {name for name in re.findall(r"\*([A-Z][a-z ]+)\*", PAGE.text) if name[0].isupper()} <= headings
    used = {text.split()[2] for _, text in PAGE.commands if text.startswith(f"{MOI}key ")}
    assert used == {"generate", "check", "export", "rotate", "rekey", "list", "destroy"}


def test_the_page_is_where_the_program_says_it_is() -> None:
    """Help and remedies name docs/keys.md and its sections."""
    engine = Path(ROOT / "moi_backup")
    named = [
        text for path in engine.rglob("*.py") for text in re.findall(r"docs/keys\.md, ([^)\"]+)", path.read_text())
    ]
    assert named
    assert set(named) <= set(re.findall(r"^## (.*)$", PAGE.text, re.MULTILINE))
