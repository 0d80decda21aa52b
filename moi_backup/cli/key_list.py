"""`moi-backup key list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation

if TYPE_CHECKING:
    from moi_backup.operations.list_keys import GivenKey


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> None:
    """List the keys of the repository, the master key that opens each, and which are open now. No key is shown."""
    from moi_backup.operations.list_keys import list_keys

    found = list_keys(invocation.workspace)
    output = invocation.output
    output.document(found)
    if not found.encrypted:
        output.line(f"Repository {found.repository} is not encrypted.")
    output.table(
        ("scope", "number", "made", "opens with", "rotation", "state", "why"),
        [
            (
                key.scope,
                str(key.number),
                wording.local_time(key.created_at, timezone=invocation.timezone),
                f"master key {key.master} (id {key.master_id})",
                str(key.rotation),
                key.state,
                key.why,
            )
            for key in found.keys
        ],
        right=("number", "rotation"),
    )
    for given in found.given:
        output.line(_given(given))
    if not found.given:
        output.line("No key is configured here (MOI_KEY_<n>).")
    if found.unwrapped_by_newest:
        count = wording.counted(found.unwrapped_by_newest, "key")
        output.line(f"{count} not yet under the newest master key: run moi-backup key rotate.")


def _given(key: GivenKey) -> str:
    told = {
        "master": f"master key, id {key.id}",
        "scopes": f"exported keys: {', '.join(key.holds)}",
        "unusable": f"unusable. {key.problem}",
    }
    return f"{key.variable} from {key.source}: {told[key.kind]}"
