"""Each check of a drill finds what it is for, in a real database that was restored and then broken."""

from __future__ import annotations

import msgspec
import pytest

from moi_backup.model.drill import DrilledTable
from moi_backup.model.objectives import OBJECTIVES
from moi_backup.model.restore import TableOutcome
from moi_backup.operations.drill_database import reading
from moi_backup.operations.drill_definitions import (
    definition_check,
    prepare_extensions,
    prerequisites,
    read_definitions,
)
from moi_backup.operations.drill_recovery import Undrilled, objective_checks, recovery_time
from moi_backup.operations.drill_references import key_checks, sequence_checks
from moi_backup.operations.drill_rows import Drilled, prove_table
from moi_backup.operations.progress import Silent
from moi_backup.operations.stored_table import open_table
from tests.engine.deployment import Deployment
from tests.engine.operations.drills import SHOP, drilled, drilling, said


class Recovered:
    """The shop restored into a database that may be broken, with what the checks are given."""

    def __init__(self, shop: Deployment, url: str) -> None:
        self.shop, self.url = shop, url
        [self.backup] = shop.backups()
        self.repository = shop.workspace.open()
        outcomes = {outcome.table: outcome for outcome in shop.restore(url).tables}
        self.tables = [
            Drilled(entry, open_table(self.repository, self.backup, entry.table), outcomes[entry.table])
            for entry in self.backup.tables
        ]
        self.names = [table.entry.table for table in self.tables]
        self.definitions = read_definitions(url, self.repository, self.backup)

    def broken_by(self, sql: str) -> Recovered:
        """The same after a statement."""
        self.shop.sql(sql, url=self.url)
        return self

    def keys(self) -> tuple[str, str]:
        """Verdict and words of the check of foreign keys."""
        with reading(self.url) as conn:
            [check] = key_checks(conn, self.tables, self.definitions.of(self.names))
        return check.verdict, check.text

    def sequences(self) -> dict[str, tuple[str, str]]:
        """Verdict and words by sequence."""
        with reading(self.url) as conn:
            return {str(c.facts["sequence"]): (c.verdict, c.text) for c in sequence_checks(conn, self.tables)}

    def table(self, name: str) -> DrilledTable:
        """The proof of one table."""
        [found] = [table for table in self.tables if table.entry.table.name == name]
        return prove_table(self.url, found, Silent())

    def defined(self, scratch) -> tuple[str, str]:
        """Verdict and words of the check of definitions."""
        check = definition_check(self.url, self.backup, self.definitions, self.names, scratch=scratch)
        return check.verdict, check.text


@pytest.fixture
def recovered(deployment: Deployment, empty_database) -> Recovered:
    """The shop, restored whole."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return Recovered(deployment, empty_database())


def test_a_row_without_its_parent_is_found_though_the_key_says_that_it_is_valid(recovered):
    """Rows that came past the constraint are counted by the check itself."""
    assert recovered.keys() == ("passed", "1 foreign keys, every row has its parent.")
    recovered.broken_by("SET session_replication_role = replica; DELETE FROM customers WHERE id = 3")
    verdict, text = recovered.keys()
    assert verdict == "failed"
    assert "orders_customer_fkey" in text
    assert "rows without a parent in public.customers: 25" in text


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey", "orders_customer_fkey is missing"),
        (
            """ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey, ADD CONSTRAINT orders_customer_fkey
               FOREIGN KEY (customer) REFERENCES customers NOT VALID""",
            "is not validated",
        ),
    ],
)
def test_a_foreign_key_that_is_missing_or_not_validated_fails(recovered, sql, told):
    """What the archive defines must be there and hold."""
    verdict, text = recovered.broken_by(sql).keys()
    assert verdict == "failed"
    assert told in text


def test_a_sequence_behind_the_backup_or_missing_fails(recovered):
    """The next row would get a number that was given before."""
    assert {verdict for verdict, _ in recovered.sequences().values()} == {"passed"}
    recovered.broken_by("SELECT setval('orders_id_seq', 499)")
    verdict, text = recovered.sequences()["public.orders_id_seq"]
    assert verdict == "failed"
    assert "hands out 500 next, and in the backup it stood at 500" in text
    recovered.broken_by("DROP SEQUENCE orders_id_seq CASCADE")
    assert recovered.sequences()["public.orders_id_seq"] == ("failed", "Sequence public.orders_id_seq is missing.")


def test_a_sequence_that_was_behind_its_rows_in_the_source_is_a_warning(deployment, postgres_server):
    """The restore is true to it, and the next insert collides all the same."""
    deployment.sql(f"{SHOP}; INSERT INTO orders (id, day) VALUES (900, '2025-01-01')")
    deployment.back_up(full=True)
    report = drilled(drilling(deployment, postgres_server))
    [warning] = said(report, "failed", "warning")
    assert "orders_id_seq hands out 501 next, and the column already has 900" in warning


def test_a_key_that_the_source_never_validated_is_a_warning_with_the_rows_that_break_it(deployment, postgres_server):
    """Rows without a parent came with the backup."""
    deployment.sql(f"""{SHOP}; ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;
    UPDATE orders SET customer = 99 WHERE id = 1;
    ALTER TABLE orders ADD CONSTRAINT loose FOREIGN KEY (customer) REFERENCES customers NOT VALID""")
    deployment.back_up(full=True)
    report = drilled(drilling(deployment, postgres_server))
    [warning] = said(report, "failed", "warning")
    assert "rows without a parent in public.customers: 1; the source never validated it" in warning


@pytest.mark.parametrize(
    ("sql", "told", "found"),
    [
        ("UPDATE orders SET state = 'paid' WHERE id = 7", "not those of the backup", 500),
        ("DELETE FROM orders WHERE id = 7", "not those of the backup", 499),
        ("DROP TABLE orders", "orders", 0),
    ],
)
def test_committed_rows_that_are_not_the_backups_are_found_by_a_session_of_its_own(recovered, sql, told, found):
    """The proof does not rest on what the restore said of itself."""
    proved = recovered.table("orders")
    assert (proved.equal, proved.rows_found, proved.error) == (True, 500, "")
    proved = recovered.broken_by(sql).table("orders")
    assert (proved.equal, proved.rows_found) == (False, found)
    assert told in proved.error


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DROP INDEX orders_day_idx", "index public.orders_day_idx is missing"),
        ("ALTER TABLE orders ALTER customer SET NOT NULL", "table public.orders is another one"),
        ("CREATE TABLE more (id int)", "table public.more is not the backup's"),
    ],
)
def test_a_definition_that_is_not_the_backups_is_named(recovered, tmp_path, sql, told):
    """One that is missing, one that is another, one too many."""
    verdict, text = recovered.defined(tmp_path)
    assert (verdict, text.partition(";")[2]) == ("passed", " that is all of the archive, word for word.")
    verdict, text = recovered.broken_by(sql).defined(tmp_path)
    assert verdict == "failed"
    assert told in text


def test_definitions_beside_those_of_the_restored_tables_are_no_difference(deployment, empty_database, tmp_path):
    """A schema holds views and tables that nobody protects."""
    deployment.configure("[tables.customers]\n[tables.orders]")
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    verdict, text = Recovered(deployment, empty_database()).defined(tmp_path)
    assert verdict == "passed"
    assert "the archive holds others beside them" in text


def test_definitions_of_another_major_version_are_not_compared(recovered, tmp_path):
    """Another pg_dump writes the same definition in other words."""
    schema = msgspec.structs.replace(recovered.backup.schema, pg_dump="15.8")
    recovered.backup = msgspec.structs.replace(recovered.backup, schema=schema)
    verdict, text = recovered.defined(tmp_path)
    assert verdict == "unknown"
    assert "(15, 18)" in text


def test_what_the_server_lacks_is_named_and_an_older_server_is_told(recovered):
    """Extensions and versions; what is there is not told."""
    source = msgspec.structs.replace(
        recovered.backup.source, extensions=("plpgsql 1.0", "hstore 1.8", "no_such 2.0"), server_version="19.1"
    )
    backup = msgspec.structs.replace(recovered.backup, source=source)
    lacking = prepare_extensions(recovered.url, backup, recovered.definitions)
    assert list(lacking) == ["no_such"]
    check = prerequisites(backup, recovered.definitions, lacking=lacking, server_version="18.6")
    assert check.verdict == "warning"
    assert "extension no_such is lacking" in check.text
    assert "older than the backup's 19" in check.text
    assert recovered.shop.sql("SELECT extname FROM pg_extension ORDER BY 1", url=recovered.url) == [
        ("hstore",),
        ("plpgsql",),
    ]


def table(name: str, data_class: str, *, rows: int, size: int, seconds: float) -> DrilledTable:
    """A table that was restored in so many seconds."""
    return DrilledTable(
        name=name,
        data_class=data_class,
        status="restored",
        rows=rows,
        rows_found=rows,
        bytes=size,
        digest="",
        equal=True,
        error="",
        seconds=seconds,
        phases={"load": seconds},
    )


def test_the_forecast_takes_the_slower_of_rows_and_bytes_and_is_compared_with_each_objective():
    """Ten seconds for a thousand rows and a thousand bytes, two seconds for everything else."""
    drilled_tables = [table("a", "critical", rows=1000, size=1000, seconds=10.0)]
    others = [Undrilled("critical", 500, 100), Undrilled("reports", 10, 3_000_000)]
    recovery = recovery_time(drilled_tables, others, seconds=12.0)
    assert recovery.everything == pytest.approx(12 + 10 * 3000.1)
    by_class = {found.data_class: found for found in recovery.classes}
    assert by_class["critical"].seconds == pytest.approx(10 + 5 + 2)
    assert by_class["critical"].within
    assert by_class["reports"].seconds == pytest.approx(30_000 + 2)
    assert not by_class["reports"].within
    assert [check.verdict for check in objective_checks(recovery)] == ["passed", "warning"]


def test_the_objectives_are_those_that_were_agreed():
    """Critical data in two hours, historical in a day, reports in four hours."""
    hours = {name: (o.recovery_time / 3600, o.recovery_point / 3600) for name, o in OBJECTIVES.items()}
    assert hours == {"critical": (2, 1), "historical": (24, 24), "reports": (4, 24)}


def test_a_table_that_was_not_restored_is_not_proved(recovered):
    """Its rows in the database are nobody's."""
    failed = TableOutcome(table=recovered.names[0], target=recovered.names[0], status="failed", error="why")
    recovered.tables = [Drilled(table.entry, table.stored, failed) for table in recovered.tables]
    proved = recovered.table("orders")
    assert (proved.equal, proved.rows_found, proved.error) == (False, 0, "why")
