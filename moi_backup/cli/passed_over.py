"""How a search through the history tells which backups it could not look at, and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from moi_backup.cli import wording
from moi_backup.errors import Damaged, PartlyDone

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.walk_history import PassedOver

_MEANINGS = {
    "damaged": "damaged; see moi-backup verify",
    "unreachable": "could not be read",
    "expired": "in the trash; moi-backup undelete brings one back",
    "locked": "a key is not held",
    "no_table": "without the table",
    "no_column": "not to be asked so",
}
_SHOWN = 10


def tell_passed_over(output: Output, passed_over: Sequence[PassedOver]) -> None:
    """A line for each reason, with the backups it holds for."""
    for why, entries in groupby(sorted(passed_over, key=lambda entry: entry.why), key=lambda entry: entry.why):
        found = list(entries)
        more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        names = ", ".join(entry.backup for entry in found[:_SHOWN])
        output.line(f"Not looked at ({_MEANINGS[why]}): {wording.counted(len(found), 'backup')}: {names}{more}")
        if why in ("damaged", "unreachable", "locked", "no_column"):
            output.line(f"  {found[-1].detail}")


def exit_code(passed_over: Sequence[PassedOver]) -> int:
    """Not 0 when the answer may lack something that should be there: 20 for damage, 3 for what could not be read."""
    whys = {entry.why for entry in passed_over}
    if "damaged" in whys:
        return Damaged.exit_code
    return PartlyDone.exit_code if whys & {"locked", "unreachable"} else 0
