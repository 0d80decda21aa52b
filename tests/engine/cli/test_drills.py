"""`drill` and `drills`: what people read, and the exit codes that scripts decide by."""

from __future__ import annotations

import pytest

from tests.engine.cli.conftest import Command
from tests.engine.deployment import Deployment


def test_a_drill_is_told_answer_first_with_its_times_and_listed_afterwards(
    moi: Command, copied: Deployment, empty_database
):
    """Verdict, digests, recovery time against the objective; `drills` lists it, `status` names it."""
    answer = moi("drill", on=copied, MOI_DRILL_URL=empty_database())
    assert (answer.code, answer.out.partition(":")[0]) == (0, "Passed"), answer.out + answer.err
    assert "equal to the backup" in answer.out
    assert "Recovery took" in answer.out
    assert "within the objective of 2 h" in answer.out
    drill_id = answer.out.split()[2]
    assert drill_id in moi("drills", on=copied).out
    assert moi("drills", drill_id, on=copied).out == answer.out
    assert f"({drill_id} of the newest)" in moi("status", on=copied).out


def test_a_failed_drill_is_exit_code_1_and_names_what_failed(moi: Command, copied: Deployment, empty_database):
    """The document is printed all the same."""
    name = next(iter(copied.objects("chunks/public.meta_import_data/")))
    copied.workspace.store().delete(name)
    target = empty_database()
    answer = moi("drill", "--json", on=copied, MOI_DRILL_URL=target)
    assert answer.code == 1
    assert answer.document["verdict"] == "failed"
    assert "Failed" in moi("drill", on=copied, MOI_DRILL_URL=target).out
    assert name in moi("drills", "latest", on=copied).out


def test_drills_that_cannot_be_read_do_not_hide_the_others(moi: Command, copied: Deployment, empty_database):
    """Exit code 20, with the id of the one that is damaged."""
    target = empty_database()
    first = moi("drill", "--json", on=copied, MOI_DRILL_URL=target).document["id"]
    second = moi("drill", "--json", on=copied, MOI_DRILL_URL=target).document["id"]
    copied.workspace.store().put(f"records/drills/{first}", b"{}")
    answer = moi("drills", "--json", on=copied)
    assert answer.code == 20
    assert [drill["id"] for drill in answer.document["drills"]] == [second]
    assert [drill["id"] for drill in answer.document["unreadable"]] == [first]


@pytest.mark.parametrize("url", ["", "postgresql://nobody:hunter2@127.0.0.1:1/postgres"])
def test_a_drill_server_that_does_not_answer_is_exit_code_1_without_a_password(
    moi: Command, copied: Deployment, url: str
):
    """Nothing was restored, so there is no report; an empty setting is a misuse."""
    answer = moi("drill", on=copied, MOI_DRILL_URL=url)
    assert answer.code == (1 if url else 2)
    assert "hunter2" not in answer.err
    assert "There is no drill yet" in moi("drills", on=copied).out


def test_without_drills_the_list_says_how_to_make_one(moi: Command, copied: Deployment):
    """An empty list is no error, an id that is none is."""
    assert "moi-backup drill makes one" in moi("drills", on=copied).out
    assert moi("drills", "20", on=copied).code == 2
