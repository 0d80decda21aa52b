"""What every command has in common: global options before or after its name, and loading only when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from moi_backup.cli.invocation import Invocation


class Command(click.Command):
    """A command with the global options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]


class LazyGroup(click.Group):
    """Commands by name, each in a module `moi_backup.cli.<module>` as its `command`, imported when it is asked for."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules
        self.params = [*self.params, *global_options()]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """In the order of the help, which is that of a day's work."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """The command, imported now."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = import_module(f"moi_backup.cli.{self._modules[cmd_name]}").command
        return command


def global_options() -> list[click.Parameter]:
    """`--json`, `--quiet`, `--verbose`, `--version`."""
    return [
        _switch("--json", "json", "Print one JSON document (docs/json.md) and nothing else."),
        _switch("--quiet", "quiet", "Print nothing but errors, and the document with --json."),
        _switch("--verbose", "verbose", "Tell every step; show the traceback of an unexpected error."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ]


def _switch(flag: str, name: str, help_text: str) -> click.Option:
    def switch(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
        if value:
            setattr(ctx.find_object(Invocation), name, True)

    # Eager: an error in another option must find out how it is to be told.
    return click.Option([flag], is_flag=True, is_eager=True, expose_value=False, callback=switch, help=help_text)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        from importlib.metadata import version

        click.echo(f"moi-backup {version('moi-backup')}")
        ctx.exit()
