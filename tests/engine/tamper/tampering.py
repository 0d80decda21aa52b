"""What can be done to a stored object: each way gives the variants of the bytes that may lie there afterwards.

`None` for the bytes means that nothing lies there any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SAMPLED, SMALL, MANY = 12, 24, 1000
SMALL_BYTES = 700
Written = dict[Path, bytes | None]


@dataclass(frozen=True)
class Target:
    """A file to tamper with: another of its kind, foreign bytes of its kind, and older bytes of its own, if there are.

    `older` maps every file of an older state to its bytes (None: it did not exist then).
    """

    file: Path
    other: Path | None = None
    foreign: tuple[bytes, ...] = ()
    older: Written | None = None


def flips(target: Target) -> Iterator[Written]:
    """One bit at each of SAMPLED positions (SMALL of a small object), the first and the last byte among them."""
    data = target.file.read_bytes()
    count = min(len(data), SMALL if len(data) < SMALL_BYTES else SAMPLED)
    for number in range(count):
        yield {target.file: flipped(data, number * (len(data) - 1) // max(count - 1, 1), number % 8)}


def every_flip(target: Target) -> Iterator[Written]:
    """Every bit of an object that is smaller than SMALL_BYTES; about MANY bits all over a larger one."""
    data = target.file.read_bytes()
    bits = len(data) * 8
    step = 1 if len(data) < SMALL_BYTES else bits // MANY | 1  # an odd step meets all eight bits
    for bit in range(0, bits, step):
        yield {target.file: flipped(data, bit // 8, bit % 8)}


def flipped(data: bytes, position: int, bit: int) -> bytes:
    """The same bytes with one bit turned."""
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def truncations(target: Target) -> Iterator[Written]:
    """Without the last byte, half of it, one byte."""
    data = target.file.read_bytes()
    for length in (len(data) - 1, len(data) // 2, 1) if len(data) > 1 else ():
        yield {target.file: data[:length]}


def emptied(target: Target) -> Iterator[Written]:
    """No bytes."""
    if target.file.stat().st_size:
        yield {target.file: b""}


def swaps(target: Target) -> Iterator[Written]:
    """The bytes of another object of its kind, which gets its bytes; or those of another repository."""
    if target.other is not None:
        yield {target.file: target.other.read_bytes(), target.other: target.file.read_bytes()}
    for foreign in target.foreign:
        yield {target.file: foreign}


def rollbacks(target: Target) -> Iterator[Written]:
    """What it was before."""
    if target.older is not None:
        yield target.older


def deletions(target: Target) -> Iterator[Written]:
    """Nothing."""
    yield {target.file: None}


WAYS: dict[str, Callable[[Target], Iterator[Written]]] = {
    "flip": flips,
    "truncate": truncations,
    "empty": emptied,
    "swap": swaps,
    "roll back": rollbacks,
    "delete": deletions,
}


def write(changes: Written) -> Written:
    """Carry it out; what lay there before, to be written back."""
    before: Written = {file: file.read_bytes() if file.exists() else None for file in changes}
    for file, data in changes.items():
        if data is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    return before
