"""Whatever applications, backups, restores and dying processes do in whatever order: a backup gives back its rows."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from tests.engine.conftest import Server, create_database
from tests.engine.state_machine.copy_rules import CopyRules
from tests.engine.state_machine.expiry_rules import ExpiryRules
from tests.engine.state_machine.key_rules import KeyRules
from tests.engine.state_machine.kill_rules import KillRules
from tests.engine.state_machine.machine import DataRules, Machine
from tests.engine.state_machine.restore_rules import RestoreRules
from tests.engine.state_machine.world import Place

QUICK = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(
    QUICK,
    max_examples=12,
    stateful_step_count=50,
    phases=[Phase.generate, Phase.shrink],
)
EVERYWHERE = {
    "full", "incremental", "limited to a table", "limited to days", "verified",
    "died in a backup", "published before it died", "died in a restore",
    "restored into a scratch schema", "restored into an empty database", "restored in place", "restored days in place",
    "expired", "undeleted", "pruned", "copied", "restored from the copy", "died in a copy",
}  # fmt: skip
OF_KEYS = {"rekeyed", "rotated", "died in a rekey"}
OF_KILLS = {"killed in a backup", "killed in a restore"}


class Everything(DataRules, ExpiryRules, RestoreRules, CopyRules):
    """All rules together; those of a new operation are one more class here."""


class EverythingEncrypted(Everything, KeyRules):
    """The same in an encrypted repository, whose keys change."""


class EverythingKilled(Everything, KillRules):
    """All rules, and real processes that are killed."""


@pytest.fixture
def place(postgres_server: Server, tmp_path: Path, empty_database: Callable[[], str]) -> Place:
    """A database for the application, one that is made anew for each restore, and a folder."""
    target = f"machine_{os.getpid()}"

    def empty() -> str:
        create_database(postgres_server, target)
        return postgres_server.url(target)

    return Place(empty_database(), empty, tmp_path / "world")


def run(machine: type[Machine], place: Place, profile: settings, *, number: int) -> Counter[str]:
    """Run a machine in a place from a seed; how often what happened."""

    class Here(machine):
        pass

    Here.place, Here.seen = place, Counter[str]()
    seed(number)(get_state_machine_test(Here, settings=profile))()
    return Here.seen


def test_every_listed_backup_restores_to_exactly_its_rows(place: Place):
    """After any history, plain and encrypted, also from the copy; the same histories every time, with all of these."""
    seen = Counter[str]()
    for number in range(3):
        seen += run(Everything, place, QUICK, number=2 + number)
        seen += run(EverythingEncrypted, place, QUICK, number=10 + number)
        if seen.keys() >= EVERYWHERE | OF_KEYS:
            return
    pytest.fail(f"never happened: {(EVERYWHERE | OF_KEYS) - seen.keys()}")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("machine", "happens"), [(EverythingKilled, OF_KILLS), (EverythingEncrypted, OF_KEYS)])
def test_every_listed_backup_restores_to_exactly_its_rows_after_long_histories(
    place: Place, machine: type[Machine], happens: set[str]
):
    """With processes that are really killed, or keys that change; another seed every time, which is printed."""
    number = int(os.environ.get("MACHINE_SEED", "0")) or secrets.randbelow(2**32)
    print(f"MACHINE_SEED={number} repeats this")  # noqa: T201 - shown when it fails, and by -s
    seen = run(machine, place, LONG, number=number)
    print(dict(seen))  # noqa: T201 - as above
    assert seen.keys() >= EVERYWHERE | happens
