"""Kill -9 before and after every call of a store and of the database: old state or new state, and all goes on."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.engine.crash.documented import documented_points
from tests.engine.crash.enumeration import moments, sample
from tests.engine.crash.operations import OPERATIONS
from tests.engine.storage.seaweed import BUCKET, object_server

SAMPLE = 3
ROOM = 1.3  # so much more than documented may come to be before the document must be brought up to date


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_killed_at_some_points_leaves_the_old_state_or_the_new(stage, name):
    """At an even sample of the moments, always the same; and there are as many points as are documented."""
    made = stage(name)
    counted = made.points()
    documented = documented_points()[name]
    assert documented <= sum(map(len, counted.values())) <= documented * ROOM + 5
    chosen = sample(counted, SAMPLE)
    assert made.kill(chosen).struck == chosen


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_killed_at_every_point_leaves_the_old_state_or_the_new(stage, name):
    """Before and after each call, and between the changes of files inside of one."""
    made = stage(name)
    counted = made.points()
    covered = made.kill(moments(counted))
    figures = {role: len(labels) for role, labels in counted.items()}
    print(f"{name}: {figures} points, {len(covered.struck)} moments, {len(covered.remains)} different remains")  # noqa: T201 - for docs/proofs.md
    assert len(covered.unreached) <= len(covered.struck) // 20, covered.unreached


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_over_a_bucket_killed_at_some_points_leaves_the_old_state_or_the_new(stage, name):
    """The same promises where objects lie behind a network, at a dozen moments."""
    with object_server() as server:
        made = stage(name, bucket=f"s3://{BUCKET}/crash/{uuid4().hex}", aws=server.environ())
        counted = made.points()
        covered = made.kill(sample(counted, 12))
        assert len(covered.unreached) <= 1
