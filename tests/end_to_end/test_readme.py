import re

import psycopg

from tests.end_to_end.reader import ROOT, Page, Reader

PAGE = Page("README.md")
README = PAGE.text


def test_every_command_of_the_readme_works_as_written(reader: Reader) -> None:
    """A reader who backs up, loses a week, restores it, and then loses everything, gets it all back."""
    for command in PAGE.section("Start"):
        reader.types(command)
    with psycopg.connect(reader.own["postgresql://backup@db.example.com:5432/postgres"], autocommit=True) as live:
        week = (
            "SELECT count(*), sum(amount_spent) FROM meta_import_data WHERE day BETWEEN '2026-11-09' AND '2026-11-15'"
        )
        before = live.execute(week).fetchone()
        live.execute("DELETE FROM meta_import_data WHERE day BETWEEN '2026-11-09' AND '2026-11-15'")
        for command in PAGE.section("MOI Backup"):
            assert "equal to the backup" in reader.types(command)
        assert live.execute(week).fetchone() == before
        assert before is not None
        assert before[0] > 0
    query = re.search(r"`(moi-backup query latest '.*?')`", README)
    assert query is not None
    assert "2026-11-09" in reader.types(query[1].replace("moi-backup", ".venv/bin/moi-backup"))
    _everything_encrypted(reader)
    del reader.environment["MOI_SOURCE_URL"]  # the database is gone
    for command in PAGE.section("Dagster is down?"):
        reader.types(command)
    with psycopg.connect(reader.own["postgresql://postgres@new-server:5432/postgres"]) as restored:
        assert restored.execute(week).fetchone() == before


def _everything_encrypted(reader: Reader) -> None:
    plain = dict(reader.environment)
    for command in PAGE.section("Encrypted"):
        reader.types(command)
    reader.types(".venv/bin/moi-backup key check")
    del reader.environment["MOI_KEY_1"]
    reader.types(".venv/bin/moi-backup backups", code=12)
    reader.environment = plain


def test_the_make_targets_of_the_readme_exist() -> None:
    """Whatever `make` is told to do there is a target with help."""
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", README)) <= targets


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    """No document is promised that is not there."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tree_of_the_readme_is_the_tree() -> None:
    """Every folder and module named in the README's tree exists."""
    tree = README[README.index("## The tree") :].split("```")[1]
    parent = ""
    for line in tree.strip().splitlines():
        name = line.split()[0]
        parent = name if not line.startswith(" ") else parent
        assert (ROOT / (name if parent == name else parent + name)).exists(), line
