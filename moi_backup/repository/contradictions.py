"""Which entries of the chain are not what was written, as later entries and the remembered head bear witness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from moi_backup.model.backup import ChainEntry
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.heads import NOTHING_BEFORE, Head


def replaced(
    entries: Mapping[int, ChainEntry], hashes: Mapping[int, str], *, seen: Head, seen_in: str
) -> dict[int, DamagedObject]:
    """The entries (by number) whose bytes are not what was written; number 0 is `repository.json`.

    `hashes` are those of the stored bytes, `seen` is the head remembered in the file `seen_in`. A witness that is
    itself contradicted is not heard, so that damage of one entry accuses no other.
    """
    found: dict[int, DamagedObject] = {}
    if seen.seq and hashes.get(seen.seq, seen.hash) != seen.hash:
        detail = f"is not the entry seen before, which {seen_in} remembers: it was replaced, or that file was"
        found[seen.seq] = DamagedObject(layout.chain_name(seen.seq), "content", detail)
    for seq, expected in _said(entries, found):
        if hashes.get(seq, expected) != expected:
            detail = f"is not what {layout.chain_name(seq + 1)} says it was: one was replaced"
            name = layout.chain_name(seq) if seq else layout.REPOSITORY
            found[seq] = DamagedObject(name, "content", detail)
    return found


def _said(entries: Mapping[int, ChainEntry], unheard: Mapping[int, object]) -> Iterator[tuple[int, str]]:
    """What every entry says of the one before it, from the last to the first.

    The first of an older repository says nothing of `repository.json`.
    """
    for seq in sorted(entries, reverse=True):
        if seq not in unheard and (seq, entries[seq].previous) != (1, NOTHING_BEFORE):
            yield seq - 1, entries[seq].previous
