"""Deleting beside writers: whatever the order of their store calls, no listed backup ever misses anything.

Every schedule of two operations with at most two preemptions is run by `make soak` (some 48,000), and seeded samples
of two operations with three preemptions and of three operations. `make test` runs a seeded sample of them all.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from moi_backup.errors import Damaged, Locked
from moi_backup.repository import chain
from moi_backup.repository.marked_names import MarkedNames
from tests.engine.operations.interleaving.hosts import (
    BACKUPS,
    EXPIRED,
    NEW,
    OTHER,
    Second,
    Work,
    World,
    careless_failing_backup,
    careless_undelete,
    expire,
    failing_backup,
    prune_all,
    undelete,
)
from tests.engine.operations.interleaving.scheduler import (
    ENDLESS,
    Schedule,
    Segment,
    any_schedule,
    three_switches,
    up_to_two_switches,
)

SEED = 20261124
SAMPLE, SOAK_SAMPLE = 25, 2000
SEARCHED = 3000  # schedules in which a broken variant must be caught
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
PAIRS: dict[str, tuple[Second, Work, Work]] = {
    "a backup and a prune": ("expired", BACKUPS[NEW], prune_all),
    "two prunes": ("expired", prune_all, prune_all),
    "two backups of the same rows": ("none", BACKUPS[NEW], BACKUPS[OTHER]),
    "a backup and one that fails": ("none", BACKUPS[NEW], failing_backup),
    "a prune and a backup that fails": ("expired", prune_all, failing_backup),
    "an expiry and an undelete": ("listed", expire(EXPIRED), undelete(EXPIRED)),
    "an undelete and a prune": ("expired", undelete(EXPIRED), prune_all),
    "an expiry and a prune": ("listed", expire(EXPIRED), prune_all),
    "an expiry and a backup": ("listed", expire(EXPIRED), BACKUPS[NEW]),
}
TRIPLES: dict[str, tuple[Second, Work, Work, Work]] = {
    "two prunes and a backup": ("expired", prune_all, prune_all, BACKUPS[NEW]),
    "two backups and a prune": ("expired", BACKUPS[NEW], BACKUPS[OTHER], prune_all),
    "a prune, a backup and one that fails": ("expired", prune_all, BACKUPS[NEW], failing_backup),
    "an expiry, an undelete and a prune": ("listed", expire(EXPIRED), undelete(EXPIRED), prune_all),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where hosts keep their small files; in memory where the system offers that."""
    if not MEMORY.is_dir():
        yield tmp_path_factory.mktemp("worlds")
        return
    made = Path(tempfile.mkdtemp(dir=MEMORY, prefix="moi-test-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def worlds(folder: Path) -> dict[Second, World]:
    """The worlds that scenarios begin in."""
    starts: tuple[Second, ...] = ("listed", "expired", "none")
    return {second: World(folder / second, second=second) for second in starts}


def steps_of(world: World, works: Sequence[Work]) -> list[int]:
    """How many store calls each operation makes when nobody disturbs it, and some more for a takeover."""
    return [process.steps + 4 for process in world.run(works, ()).processes]


def sampled(schedules: Iterator[Schedule], count: int) -> list[Schedule]:
    """A seeded sample."""
    known = list(schedules)
    return random.Random(SEED).sample(known, min(count, len(known)))


@pytest.mark.parametrize("scenario", PAIRS)
def test_a_sample_of_two_operations_keeps_every_listed_backup_whole(worlds, scenario: str):
    """Seeded schedules with up to two and with three preemptions."""
    second, *works = PAIRS[scenario]
    start = worlds[second]
    steps = steps_of(start, works)
    for schedule in (*sampled(up_to_two_switches(steps), SAMPLE), *sampled(three_switches(steps), SAMPLE)):
        start.run(works, schedule)


@pytest.mark.parametrize("scenario", TRIPLES)
def test_a_sample_of_three_operations_keeps_every_listed_backup_whole(worlds, scenario: str):
    """Seeded schedules with up to eight preemptions."""
    second, *works = TRIPLES[scenario]
    start = worlds[second]
    steps, dice = steps_of(start, works), random.Random(SEED)
    for _ in range(SAMPLE):
        start.run(works, any_schedule(steps, dice))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", PAIRS)
def test_every_schedule_with_two_preemptions_keeps_every_listed_backup_whole(worlds, scenario: str):
    """All of them, and a larger sample with three preemptions."""
    second, *works = PAIRS[scenario]
    start = worlds[second]
    steps = steps_of(start, works)
    count = 0
    for schedule in (*up_to_two_switches(steps), *sampled(three_switches(steps), SOAK_SAMPLE)):
        start.run(works, schedule)
        count += 1
    print(f"{scenario}: {count} schedules")  # noqa: T201 - the bound is part of the proof


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", TRIPLES)
def test_a_larger_sample_of_three_operations_keeps_every_listed_backup_whole(worlds, scenario: str):
    """Seeded schedules with up to eight preemptions."""
    second, *works = TRIPLES[scenario]
    start = worlds[second]
    steps, dice = steps_of(start, works), random.Random(SEED + 1)
    for _ in range(SOAK_SAMPLE):
        start.run(works, any_schedule(steps, dice))
    print(f"{scenario}: {SOAK_SAMPLE} schedules")  # noqa: T201 - the bound is part of the proof


def without_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish does not look for marks that it has not read."""
    monkeypatch.setattr(chain, "_refuse_unseen_marks", lambda *_, **__: None)


def without_revival(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer uses a marked name again."""
    monkeypatch.setattr(MarkedNames, "mark_of", lambda *_: 0)


def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken away; an operation of the pair is careless."""


@pytest.mark.parametrize(
    ("breaking", "second", "works"),
    [
        (without_fence, "expired", (BACKUPS[NEW], prune_all)),
        (without_revival, "expired", (BACKUPS[NEW], prune_all)),
        (as_it_is, "none", (BACKUPS[NEW], careless_failing_backup)),
        (as_it_is, "listed", (expire(EXPIRED), careless_undelete)),
    ],
    ids=["no fence", "no revival", "deleting without a mark", "emptying the trash"],
)
def test_a_protocol_with_a_part_taken_away_is_caught(worlds, monkeypatch, breaking, second: Second, works):
    """Some schedule with two preemptions shows a listed backup that misses something."""
    start = worlds[second]
    steps = steps_of(start, works)
    breaking(monkeypatch)
    for schedule in sampled(up_to_two_switches(steps), SEARCHED):
        try:
            start.run(works, schedule)
        except Damaged:
            return
    pytest.fail("no schedule shows the defect")


def test_a_backup_that_a_prune_overtook_publishes_nothing_and_says_why(worlds):
    """Held up anywhere after it read the marks, it ends with the lost lease or the objects that are gone."""
    _, *works = PAIRS["a backup and a prune"]
    for steps in range(1, steps_of(worlds["expired"], works)[0] - 4):
        backup, prune = worlds["expired"].run(works, (Segment(0, steps), Segment(1, ENDLESS))).processes
        assert prune.error is None
        assert backup.error is None or isinstance(backup.error, Locked | Damaged)
