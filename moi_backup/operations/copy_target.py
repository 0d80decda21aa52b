"""Whether a place may become or stay the copy of a repository; everything else is refused by name."""

from __future__ import annotations

from pathlib import Path

from moi_backup.errors import NoRepository, UsageError
from moi_backup.operations.copy_source import CopySource, read_identity
from moi_backup.repository import layout
from moi_backup.repository.chain import stored_entries
from moi_backup.repository.damage import DamagedObject
from moi_backup.storage.address import Bucket, parse_address
from moi_backup.storage.store import ObjectMissing, Store

_LEASES = "leases/"
_UNTOUCHED = "Nothing was written."


def missing_entries(source: CopySource, target: Store) -> list[int]:
    """The numbers of the chain entries the target lacks.

    Raises UsageError for a target that lies in the source or around it, holds another repository or something else, or
    whose history is not the beginning of the source's.
    """
    _refuse_overlap(source.store, target)
    stored = list(stored_entries(target))
    for seq, data in stored:
        if data is not None and (seq > len(source.entries) or data != source.entries[seq - 1]):
            raise _parted(source, target, seq)
    _refuse_other(source, target, related=any(data is not None for _, data in stored))
    there = {seq for seq, data in stored if data is not None}
    return [seq for seq in range(1, len(source.entries) + 1) if seq not in there]


def refuse_same_place(source: Store, target: Store, lease: str) -> None:
    """Raise UsageError when the lease just taken at the target is seen at the source: two addresses of one place."""
    try:
        same = source.get(lease) == target.get(lease)
    except ObjectMissing:
        return
    if same:
        raise _same(source, target)


def _refuse_overlap(source: Store, target: Store) -> None:
    one, other = _parts(source.address), _parts(target.address)
    shorter = min(len(one), len(other))
    if one[:shorter] != other[:shorter]:
        return
    if one == other:
        raise _same(source, target)
    raise UsageError(
        f"The copy at {target.address} and the repository at {source.address} would lie in each other.",
        meaning=_UNTOUCHED,
        remedy="Choose a place of its own for the copy, on another disk or with another provider.",
    )


def _parts(address: str) -> tuple[str, ...]:
    place = parse_address(address, setting="The repository's address")
    if isinstance(place, Bucket):
        return ("s3://", place.name, *(part for part in place.prefix.split("/") if part))
    return Path(place).resolve().parts


def _refuse_other(source: CopySource, target: Store, *, related: bool) -> None:
    """`related`: entries of the source's chain lie there already, so a lost repository.json is only that."""
    found = _id_of(target, related=related)
    if found is not None and found != source.id:
        raise UsageError(
            f"{target.address} holds another repository: {found}, not {source.id}.",
            meaning=_UNTOUCHED,
            remedy="Choose another place for the copy.",
        )
    if found is None and not related and _holds_anything(target):
        raise UsageError(
            f"{target.address} is not empty, and what is there is no repository.",
            meaning=_UNTOUCHED,
            remedy="Choose an empty folder or prefix for the copy.",
        )


def _id_of(target: Store, *, related: bool) -> str | None:
    """The id in `repository.json`; None where there is none, or a rotten one beside entries that tell whose it is."""
    try:
        return read_identity(target)[1].id
    except NoRepository as error:
        if isinstance(error.__cause__, ObjectMissing):
            return None
        raise
    except DamagedObject:
        if related:
            return None
        raise


def _holds_anything(target: Store) -> bool:
    return any(not info.name.startswith(_LEASES) for info in target.list(""))


def _parted(source: CopySource, target: Store, seq: int) -> UsageError:
    what = (
        f"has an entry {layout.chain_name(seq)} that the source has not"
        if seq > len(source.entries)
        else f"parts from that of the source at {layout.chain_name(seq)}"
    )
    return UsageError(
        f"The history at {target.address} {what}.",
        meaning=f"It is no copy of {source.store.address}, or one of the two was damaged or changed. {_UNTOUCHED}",
        remedy="See moi-backup verify and verify --copy; moi-backup repair heals a damaged history. "
        "Else choose another place for the copy.",
    )


def _same(source: Store, target: Store) -> UsageError:
    return UsageError(
        f"{target.address} is the repository itself ({source.address}), so it cannot be its copy.",
        meaning=_UNTOUCHED,
        remedy="Choose another place for the copy.",
    )
