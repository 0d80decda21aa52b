"""One cell of the matrix: tamper with one kind of object in one way, verify, read, and look what comes after."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from moi_backup.errors import MoiError
from moi_backup.operations.verify import Verification, verify
from moi_backup.repository import layout
from moi_backup.repository.verify import Fault
from tests.engine.deployment import Deployment
from tests.engine.tamper.kinds import FOUND, HARMLESS, TOLD, Accused, Kind, Readers, object_name
from tests.engine.tamper.readers import REFUSED, RIGHT, queried, restored
from tests.engine.tamper.sample import Sample, Touched
from tests.engine.tamper.tampering import Target, Written, write

NOT_APPLICABLE = "—"
_SAME_DOCUMENT = "the same document"
_FOLLOWED = 2  # how many variants of a harmless way the readers and the next operation meet
Way = Callable[[Target], Iterator[Written]]


def examine(sample: Sample, kind: Kind, name: str, way: Way, *, folder: Path) -> str:
    """The cell of a kind and a way called `name`, after all that the kind promises was asserted."""
    on = sample.copy(folder / "verified")
    target = kind.target(sample, on)
    variants = list(way(target))
    if not variants:
        return NOT_APPLICABLE
    expected = kind.expected(name)
    accused = kind.accused(sample, on, target, name)
    verdicts = {_verdict(on, target, changes, accused) for changes in variants} - {_SAME_DOCUMENT}
    assert verdicts <= set(expected.split(" or ")), verdicts
    readers = kind.readers_after(name)
    step = -(-len(variants) // _FOLLOWED) if expected == HARMLESS else len(variants)
    for number in range(0, len(variants), step):
        _follow(sample, kind, way, number, folder=folder / str(number), accused=accused, readers=readers)
    return expected


def _verdict(on: Deployment, target: Target, changes: Written, accused: Accused) -> str:
    """What verification says of one variant, which is undone afterwards; fails when it does not name what it must."""
    before = write(changes)
    found = _verified(on)
    write(before)
    if isinstance(found, MoiError):
        assert _names(on, target.file, found.what), found
        return str(found.exit_code)
    if found.faults:
        assert found.exit_code == int(FOUND)
        _check_names(found.faults, accused)
        return FOUND
    if any(_names(on, target.file, text) for text in (*found.notes, *(found.debris.unknown if found.debris else ()))):
        return TOLD
    return _SAME_DOCUMENT if all(_same(data, changes[file]) for file, data in before.items()) else HARMLESS


def _verified(on: Deployment) -> Verification | MoiError:
    try:
        return verify(on.workspace, read_data=True)
    except MoiError as error:
        return error


def _names(on: Deployment, file: Path, text: str) -> bool:
    """Whether a text speaks of the object; of a key also by the name that people give it."""
    name = object_name(on, file)
    called = name.removeprefix(layout.KEYS).replace("/", ".") if name.startswith(layout.KEYS) else name
    return name in text or called in text


def _check_names(faults: Sequence[Fault], accused: Accused) -> None:
    """Exactly these objects with what they touch; of a file outside of the repository every fault must speak."""
    if isinstance(accused, Path):
        assert all(str(accused) in fault.object + fault.detail for fault in faults), faults
        return
    named = {fault.object: Touched(tuple(sorted(fault.backups)), fault.table, fault.days) for fault in faults}
    assert named == accused


def _same(before: bytes | None, after: bytes | None) -> bool:
    """Whether a turned bit lies in what gzip does not read: time and system in its header, padding at the end."""
    try:
        return bool(before and after) and gzip.decompress(before or b"") == gzip.decompress(after or b"")
    except (OSError, EOFError, zlib.error):
        return False


def _follow(
    sample: Sample, kind: Kind, way: Way, number: int, *, folder: Path, accused: Accused, readers: Readers
) -> None:
    """Readers give no wrong rows of one variant, give the right ones where it touches nothing, and what comes then."""
    on = sample.copy(folder)
    target = kind.target(sample, on)
    write(list(way(target))[number])
    found = queried(sample, on)
    assert found == {place: _reading(readers, accused, *place) for place in found}
    found = restored(sample, on, backup=sample.newest.id)
    assert found == {place: _reading(readers, accused, *place) for place in found}
    kind.then(sample, on, target)


def _reading(readers: Readers, accused: Accused, backup: str, table: str) -> str:
    """What a reader of one table of one backup must come to."""
    if readers == "all refuse":
        return REFUSED
    if readers != "what needs it refuses, all else is right" or isinstance(accused, Path):
        return RIGHT
    needed = any(backup in touched.backups and touched.table in (None, table) for touched in accused.values())
    return REFUSED if needed else RIGHT
