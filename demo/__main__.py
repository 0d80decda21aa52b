"""`python -m demo run | up | down | clean`: what the Makefile's targets of these names do."""

from __future__ import annotations

import sys

import click

from demo.place import this_place
from moi_backup.errors import MoiError

ROWS = 40_000


@click.group()
def commands() -> None:
    """The demo and the local platform."""


@commands.command()
@click.option("--rows", default=ROWS, show_default=True, type=click.IntRange(min=1000), help="Rows in all exports.")
def run(rows: int) -> None:
    """Back up, lose data, restore it, prove it."""
    from demo.run import run as tell

    tell(this_place(), rows=rows)


@commands.command()
@click.option("--rows", default=ROWS, show_default=True, type=click.IntRange(min=1000), help="Rows the first time.")
def up(rows: int) -> None:
    """Start the platform and print the address of its UI."""
    from demo import platform

    platform.up(this_place(), rows=rows)


@commands.command()
def down() -> None:
    """Stop the platform."""
    from demo import platform

    platform.down(this_place())


@commands.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(*, yes: bool) -> None:
    """Stop the platform and remove its state."""
    from demo import platform

    platform.clean(this_place(), yes=yes)


def main() -> int:
    """Run one command; the exit code is that of its error."""
    try:
        commands.main(standalone_mode=False)
    except MoiError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
