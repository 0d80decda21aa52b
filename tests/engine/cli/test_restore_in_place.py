"""`restore --in-place` as people type it: a preview with its token, the restore by it, and what stands against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.cli.conftest import Command
from tests.engine.deployment import Deployment

PLACE = ("restore", "latest", "--to", "source", "--in-place", "--table", "spend")


@pytest.fixture
def spend(empty_database: Callable[[], str], tmp_path: Path) -> Iterator[Deployment]:
    """A table of two days with a backup, and damage on one of them."""
    made = Deployment(empty_database(), tmp_path)
    made.sql(
        "CREATE TABLE spend (day date, campaign text, amount numeric(10, 2), UNIQUE (day, campaign));"
        "INSERT INTO spend SELECT date '2025-09-14' + i % 2, 'c' || i, 10 FROM generate_series(1, 10) i"
    )
    made.configure("[tables.spend]\n")
    made.initialise()
    made.back_up(full=True)
    made.sql(
        "UPDATE spend SET amount = 99.5 WHERE campaign = 'c2'; DELETE FROM spend WHERE campaign IN ('c4', 'c6');"
        "INSERT INTO spend VALUES ('2025-09-14', 'new', 1)"
    )
    return made


def token_of(text: str) -> str:
    """The plan token in what a preview says."""
    return text.rpartition("--plan ")[2].split()[0]


def test_a_preview_tells_days_and_sums_and_its_token_restores(moi: Command, spend: Deployment) -> None:
    """Nothing is written before; afterwards the result names the backup that keeps what was replaced."""
    preview = moi(*PLACE, "--on-conflict", "replace", "--dry-run", on=spend)
    assert preview.code == 0, preview.err
    assert "2025-09-14" in preview.out
    assert "2025-09-15" not in preview.out
    assert "amount 120.5 -> 50" in preview.out
    assert "Columns that change: amount in 1 row" in preview.out
    assert spend.sql("SELECT count(*) FROM spend") == [(9,)]
    token = token_of(preview.out)
    done = moi(*PLACE, "--on-conflict", "replace", "--reason", "a test", "--plan", token, on=spend)
    assert done.code == 0, done.err
    assert "equal to the backup" in done.out
    assert "what was replaced is kept in backup" in done.out
    assert spend.sql("SELECT count(*), sum(amount) FROM spend") == [(10, 100)]


def test_a_token_that_is_not_of_now_writes_nothing(moi: Command, spend: Deployment) -> None:
    """Exit code 1, and the answer says what changed."""
    token = token_of(moi(*PLACE, "--on-conflict", "replace", "--dry-run", on=spend).out)
    spend.sql("DELETE FROM spend WHERE campaign = 'c1'")
    done = moi(*PLACE, "--on-conflict", "replace", "--reason", "a test", "--plan", token, on=spend)
    assert done.code == 1
    assert "the live rows or the table are not as they were then" in done.out
    assert spend.sql("SELECT count(*) FROM spend") == [(8,)]


def test_the_document_of_a_preview_has_every_number(moi: Command, spend: Deployment) -> None:
    """By day, with the sums as decimal numbers."""
    answer = moi(*PLACE, "--on-conflict", "keep-live", "--dry-run", "--json", on=spend)
    assert answer.code == 0, answer.err
    document = answer.document
    [table] = document["tables"]
    changes = table["changes"]
    assert table["action"] == "in-place"
    assert (changes["inserted"], changes["updated"], changes["deleted"], changes["kept"]) == (2, 0, 0, 2)
    assert (changes["unchanged"], changes["conflicts"]) == (7, 1)
    assert [(day["day"], day["inserted"], day["kept"], day["unchanged"]) for day in changes["days"]] == [
        ("2025-09-14", 2, 2, 2)
    ]
    assert changes["days"][0]["sums"] == [{"column": "amount", "before": "120.50", "after": "140.50"}]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--on-conflict", "merge"), "--base BACKUP"),
        (("--on-conflict", "replace", "--base", "latest"), "--base is for --on-conflict merge"),
        (("--on-conflict", "replace", "--newer-by", "day"), "--newer-by is for --on-conflict take-newer"),
        (("--on-conflict", "take-newer"), "newer_by"),
        (("--on-conflict", "replace", "--where", "nothing = 1"), "no column nothing"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    moi: Command, spend: Deployment, words: tuple[str, ...], told: str
) -> None:
    """Exit code 2, with the option that is missing or means nothing."""
    answer = moi(*PLACE, *words, "--reason", "a test", on=spend)
    assert (answer.code, told in answer.err) == (2, True), answer.err
    assert spend.sql("SELECT count(*) FROM spend") == [(9,)]
