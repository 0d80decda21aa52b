"""The names a prune has marked for deletion, as a writer sees them: it neither writes nor reuses any of them.

A pruner may be held up for days between deciding and deleting. Whatever is written under another name, it cannot hit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from moi_backup.repository import layout


@dataclass(frozen=True, slots=True)
class MarkedNames:
    """What was marked when the chain was read up to the entry `seen`.

    `names` are all marked names, `newest` maps each (without its revival suffix) to the newest mark that lists it.
    `unreadable` is the newest mark whose list is lost (0: none): then any name may be in it.
    """

    seen: int = 0
    names: frozenset[str] = frozenset()
    newest: dict[str, int] = field(default_factory=dict[str, int])
    unreadable: int = 0

    def mark_of(self, name: str) -> int:
        """The newest mark that may list this name or a revival of it; 0 when none does."""
        return max(self.newest.get(layout.unrevived(name), 0), self.unreadable)


def gather(marks: Iterable[tuple[int, tuple[str, ...] | None]], *, seen: int) -> MarkedNames:
    """From the marks, each with its number and its names (None: its list cannot be read)."""
    names: set[str] = set()
    newest: dict[str, int] = {}
    unreadable = 0
    for seq, listed in sorted(marks, key=lambda mark: mark[0]):
        if listed is None:
            unreadable = seq
            continue
        names.update(listed)
        newest.update((layout.unrevived(name), seq) for name in listed)
    return MarkedNames(seen, frozenset(names), newest, unreadable)
