"""Tables as a backup defines them, beside live ones whose definition is another one by now."""

from __future__ import annotations

from typing import Any

import pytest

from moi_backup.errors import SourceError, UsageError
from moi_backup.model.restore import RestoreResult
from tests.engine.deployment import Deployment
from tests.engine.oracle import contents_of, database_of

SCRIPT = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''stamped''; RETURN NEW; END';
CREATE TABLE people (id serial PRIMARY KEY, name text UNIQUE, m mood DEFAULT 'glad');
CREATE TABLE t (id int PRIMARY KEY, day date, who int REFERENCES people, note varchar(20), amount numeric(10, 2),
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED, CONSTRAINT few CHECK (amount < 1000));
CREATE INDEX by_note ON t (lower(note));
INSERT INTO people (name) SELECT 'p' || i FROM generate_series(1, 9) i;
INSERT INTO t SELECT i, date '2025-01-01' + i % 10, i % 9 + 1, 'note ' || i, i + 0.5 FROM generate_series(1, 100) i;
CREATE TRIGGER stamping BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();
"""
DRIFT = """
ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'; ALTER TABLE t DROP COLUMN note, ADD COLUMN more int;
ALTER TABLE people DROP COLUMN name; DELETE FROM t WHERE id > 50
"""
DEFINED = """
SELECT c.relname, pg_get_indexdef(indexrelid), NULL FROM pg_index JOIN pg_class c ON c.oid = indrelid
    WHERE c.relnamespace = '{0}'::regnamespace
UNION ALL SELECT c.relname, pg_get_constraintdef(k.oid), NULL FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid
    WHERE c.relnamespace = '{0}'::regnamespace
UNION ALL SELECT c.relname, pg_get_triggerdef(t.oid), pg_get_functiondef(tgfoid) FROM pg_trigger t
    JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = '{0}'::regnamespace AND NOT tgisinternal
UNION ALL SELECT c.relname, pg_get_expr(adbin, adrelid), attname FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid
    JOIN pg_attribute a ON a.attrelid = adrelid AND attnum = adnum WHERE c.relnamespace = '{0}'::regnamespace
ORDER BY 1, 2, 3
"""


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


def beside(shop: Deployment, **request: Any) -> RestoreResult:
    """Restore into the schema `old`."""
    return shop.restore(**{"schema": "old", "schema_from_backup": True, **request})


def whole(shop: Deployment, schema: str) -> list[str]:
    """Columns, rows and definitions of a schema, as if it were called `public`."""
    contents = sorted(contents_of(shop.url, schema=schema).items())
    defined = shop.sql("SET search_path = ''; " + DEFINED.format(schema))
    return sorted(repr(found).replace(f"{schema}.", "public.") for found in (*contents, *defined))


def scratch_databases(shop: Deployment) -> int:
    [(count,)] = shop.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'moi_drill%'")
    return count


def test_the_old_definitions_stand_beside_the_live_ones(shop):
    """Keys, indexes, checks, references, defaults, types and triggers are the backup's, all in the new schema."""
    then = whole(shop, "public")
    shop.sql(DRIFT)
    now = whole(shop, "public")
    result = beside(shop)
    assert result.complete, result
    assert whole(shop, "old") == then
    assert whole(shop, "public") == now
    assert shop.sql("INSERT INTO old.people (name) SELECT 'new' WHERE false RETURNING m::text") == []
    assert scratch_databases(shop) == 0


def test_nothing_of_the_new_schema_depends_on_the_live_one(shop):
    """The live tables can be dropped, and the old ones stay whole."""
    shop.sql(DRIFT)
    assert beside(shop).complete
    before = database_of(shop.url, schema="old")
    shop.sql("DROP TABLE t, people; DROP FUNCTION stamp(); DROP TYPE mood")
    assert database_of(shop.url, schema="old") == before


def test_a_reference_to_a_table_that_is_not_restored_is_left_out_by_name(shop):
    """It would tie the old table to the live one."""
    result = beside(shop, tables=(next(entry.table for entry in shop.backups()[0].tables if entry.table.name == "t"),))
    assert result.tables[0].status == "restored"
    assert any("t_who_fkey" in problem for problem in result.problems)
    assert result.exit_code == 3


def test_a_schema_that_exists_is_refused(shop):
    """Definitions of two moments do not mix."""
    shop.sql("CREATE SCHEMA old")
    result = beside(shop)
    assert [outcome.status for outcome in result.tables] == ["refused", "refused"]
    assert "schema old exists" in result.tables[0].error


@pytest.mark.parametrize("option", [{"schema": None}, {"resume": True}, {"in_place": True, "on_conflict": "replace"}])
def test_options_that_have_no_place_beside_it_are_a_misuse(shop, option):
    """It needs a schema of its own, and nothing that is there already."""
    with pytest.raises(UsageError, match="schema-from-backup"):
        beside(shop, reason="a test", **option)


def test_a_role_that_makes_no_database_is_told_what_to_do(shop, postgres_server):
    """Nothing is left behind, and the way without definitions is named."""
    name = shop.url.rpartition("/")[2]
    shop.sql(f"CREATE ROLE poor LOGIN PASSWORD 'poor-word'; GRANT ALL ON DATABASE {name} TO poor")
    with pytest.raises(SourceError) as error:
        shop.restore(
            postgres_server.url(name, user="poor", password="poor-word"), schema="old", schema_from_backup=True
        )
    assert "CREATEDB" in (error.value.remedy or "")
    assert shop.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'old'") == [(0,)]
    shop.sql("DROP OWNED BY poor; DROP ROLE poor")
