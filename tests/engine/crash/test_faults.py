"""One call of the store goes wrong: the operation is right or refuses in words, nothing is lost, and all goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.crash.copying import COPIES
from tests.engine.crash.enumeration import Coverage, Stage
from tests.engine.crash.operations import OPERATIONS
from tests.engine.storage.faults import FAULTS

SMALL = "the disk is full"
FILES = [kind for kind in FAULTS if kind != SMALL]
EVERYWHERE = "a call fails"
EVERY = os.environ.get("EVERY") == "1"
STRUCK = 12  # about so many calls fail in `make soak`, and a third of it for every other kind
WRITERS = ("first backup", "incremental backup")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 80 MiB, more than a backup asks for and soon filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted: run as root with the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def struck(stage: Stage, kind: str, numbers: range | list[int]) -> Coverage:
    """Let the fault befall the calls of these numbers."""
    covered = Coverage()
    stage.trouble(kind, numbers, covered)
    return covered


@pytest.mark.parametrize("name", ["incremental backup", "restore into new tables", "verify"])
def test_a_fault_of_one_call_is_survived_or_told(stage, name):
    """A sample: each kind of fault strikes one call, each another one."""
    made, covered = stage(name), Coverage()
    last = made.calls("a bit is flipped")  # an alteration counts reads only
    for position, kind in enumerate(FILES):
        made.trouble(kind, [1 + last * position // len(FILES)], covered)
    assert len(covered.struck) == len(FILES)


def test_a_disk_that_is_full_stops_a_backup_in_words_and_harms_nothing(stage, small_disk):
    """A real one: writing fails in the middle and at the end, and once there is room the next backup is whole."""
    made = stage("incremental backup", folder=small_disk)
    last = made.calls(SMALL)
    assert len(struck(made, SMALL, [2, last // 2, last - 1]).struck) == 3


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in COPIES])
def test_a_fault_of_any_call_is_survived_or_told(stage, name, kind):
    """Some calls, of each kind other ones; EVERY=1: each fails once, other kinds strike every fourth or eighth."""
    made = stage(name)
    last = made.calls(kind)
    few = max(1, last // (STRUCK if kind == EVERYWHERE else STRUCK // 3))
    step = few if not EVERY else 1 if kind == EVERYWHERE else 8 if name in WRITERS else 4
    covered = struck(made, kind, range(1 + FILES.index(kind) * step // len(FILES), last + 1, step))
    print(f"{name}, {kind}: {len(covered.struck)} of {last} calls")  # noqa: T201 - for docs/proofs.md


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_at_any_write_stops_a_backup_in_words(stage, small_disk, name):
    """At some of its writes; EVERY=1: at each."""
    made = stage(name, folder=small_disk)
    last = made.calls(SMALL)
    struck(made, SMALL, range(1, last + 1, 1 if EVERY else max(1, last // STRUCK)))
