"""Conflict policies: what a restore in place does where live rows and the backup's differ.

Rows of one key are one group. Of a group that differs, the *gone* rows are live alone, the *come* rows are the
backup's alone; a conflict is a group that has both.

| policy | only in the backup | only live | conflict |
|---|---|---|---|
| keep-live | come back | stay | live stays |
| take-backup | come back | stay | the backup wins |
| take-newer | come back | stay | the newer one by a timestamp column wins; live where neither is |
| replace | come back | go | the backup wins |
| merge | as the base tells | as the base tells | live stays where both changed since |
| fail | come back | stay | nothing is written |

`merge` knows a third state, the damaged one. A group that is live as it was there is put back to the backup's; one that
was there as in the backup stays as it is now; one that is neither has changed on both sides: that is its conflict.
"""

from __future__ import annotations

from typing import Literal, get_args

ConflictPolicy = Literal["keep-live", "take-backup", "take-newer", "replace", "merge", "fail"]
POLICIES: tuple[ConflictPolicy, ...] = get_args(ConflictPolicy)
