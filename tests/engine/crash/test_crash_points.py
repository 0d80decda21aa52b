"""Kill -9 before and after every call of a store and of the database: old state or new state, and all goes on."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

from tests.engine.crash.copying import COPIES
from tests.engine.crash.deletions import DELETIONS
from tests.engine.crash.documented import documented_points
from tests.engine.crash.encrypted import ENCRYPTED
from tests.engine.crash.enumeration import NEVER, moments, sample
from tests.engine.crash.operations import OPERATIONS
from tests.engine.storage.seaweed import BUCKET, object_server

EVERY = os.environ.get("EVERY") == "1"
SAMPLE = {name: 1 if name in {**COPIES, **DELETIONS, **ENCRYPTED} else 2 for name in OPERATIONS}
SOAKED_OVER_A_BUCKET = 12 if EVERY else 3
ROOM = 1.3  # so much more than documented may come to be before the document must be brought up to date


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_killed_at_some_points_leaves_the_old_state_or_the_new(stage, name):
    """At an even sample of the moments, always the same; and there are as many points as are documented."""
    made = stage(name)
    counted = made.points()
    documented = documented_points()[name]
    assert documented <= sum(map(len, counted.values())) <= documented * ROOM + 5
    chosen = sample(counted, SAMPLE[name])
    assert made.kill(chosen).struck == chosen


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_killed_at_every_point_leaves_the_old_state_or_the_new(stage, name):
    """Before and after each call, and between the changes of files inside of one."""
    made = stage(name)
    counted = made.points()
    covered = made.kill(sample(counted, NEVER))
    figures = f"{sum(map(len, counted.values()))} points, {len(moments(counted))} moments"
    print(f"{name}: {figures}, {len(covered.struck)} tried, {len(covered.remains)} different remains")  # noqa: T201 - for docs/proofs.md
    assert len(covered.unreached) <= len(covered.struck) // 20, covered.unreached


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_over_a_bucket_killed_at_some_points_leaves_the_old_state_or_the_new(stage, name):
    """The same promises where objects lie behind a network, at a few moments; EVERY=1: at a dozen."""
    with object_server() as server:
        made = stage(name, bucket=f"s3://{BUCKET}/crash/{uuid4().hex}", aws=server.environ())
        counted = made.points()
        covered = made.kill(sample(counted, SOAKED_OVER_A_BUCKET))
        assert len(covered.unreached) <= 1
