"""Options and arguments that several commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from moi_backup.cli.invocation import Invocation
from moi_backup.errors import UsageError
from moi_backup.model.day import DayRange, parse_day_range
from moi_backup.model.table import TableName, parse_table_name

if TYPE_CHECKING:
    from moi_backup.settings import RepositorySetting

BACKUP = "BACKUP is an id, a unique prefix of one, latest, latest-full, or a moment: the newest ended by then."
IDS = "BACKUP is an id or a unique prefix of one."

table_option = click.option(
    "--table", "tables", metavar="T", multiple=True, help="Only this table (name or schema.name); may be repeated."
)
days_option = click.option(
    "--days", metavar="D|A..B", help="Only this day, or these days; both ends are included, in the configured zone."
)
reason_option = click.option("--reason", metavar="TEXT", default="", help="Why; kept with the backup or the restore.")
without_scope_option = click.option(
    "--without-scope",
    "without_scopes",
    metavar="SCOPE",
    multiple=True,
    help="Leave out the columns of this encryption scope, of which the key is not held; may be repeated.",
)
since_option = click.option(
    "--since", metavar="D", help="Only backups taken on this day or later; the one before is compared with."
)
until_option = click.option("--until", metavar="D", help="Only backups taken on this day or before.")
wait_option = click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Wait so long for another operation to end before giving up with exit code 11.",
)


def table_names(invocation: Invocation, texts: Sequence[str]) -> tuple[TableName, ...] | None:
    """The tables that --table names; None without any. A name without a schema is in the configured one."""
    return tuple(dict.fromkeys(table_named(invocation, text, option="--table") for text in texts)) or None


def table_named(invocation: Invocation, text: str, *, option: str = "TABLE") -> TableName:
    """The table that a text names; raises UsageError when it can be no name."""
    schema = invocation.settings.configuration.source.schema
    try:
        return parse_table_name(text, default_schema=schema)
    except ValueError as error:
        raise UsageError(
            f"{option}: {error}.", remedy='Write it as name or schema.name; a part with a dot is quoted: a."b.c".'
        ) from error


def repository_named(invocation: Invocation, text: str | None, *, option: str) -> RepositorySetting | None:
    """The place of a repository that an option names, a path being relative to the current folder; None without it."""
    from moi_backup.settings import place_named

    return None if text is None else place_named(text, cwd=invocation.cwd, setting=option)


def day_range(text: str | None) -> DayRange | None:
    """The days that --days names; None without it."""
    return None if text is None else parse_day_range(text)
