"""What is found when a backup is judged: a statement that holds or not, with the numbers behind it."""

from __future__ import annotations

import msgspec


class Verdict(msgspec.Struct, frozen=True):
    """Whether a statement about one table of one backup holds.

    `serious`: when it does not hold, the backup cannot be relied on; else it is true to data that is itself off.
    `facts` are counts (rows, objects) and short texts by a name a person reads.
    """

    passed: bool
    text: str
    facts: dict[str, int | str]
    serious: bool = True
