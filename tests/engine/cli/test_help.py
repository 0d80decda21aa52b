"""Every command has help and is described in docs/cli.md with all its options."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from moi_backup.cli.main import moi_backup

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
GLOBAL = {"--json", "--quiet", "--verbose", "--version"}


def commands() -> dict[str, click.Command]:
    """All commands by the words that call them."""
    found: dict[str, click.Command] = {}
    context = click.Context(moi_backup)
    for name in moi_backup.list_commands(context):
        command = moi_backup.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            inner = command.list_commands(context)
            found |= {f"{name} {part}": command.get_command(context, part) for part in inner}
        else:
            found[name] = command
    return found


def test_the_commands_are_those_of_the_contract():
    """Outside scripts rely on these names."""
    contract = ("init", "status", "doctor", "backup", "backups", "show", "verify", "restore", "query", "copy", "repair")
    contract += (
        "restores",
        "undo",
        "diff",
        "expire",
        "undelete",
        "prune",
        "sweep",
        "blame",
        "bisect",
        "drill",
        "drills",
    )
    keys = ("generate", "list", "check", "rotate", "rekey", "export", "destroy")
    assert set(commands()) == {*contract, "config check", *(f"key {name}" for name in keys)}


@pytest.mark.parametrize("name", commands())
def test_a_command_has_help_and_a_section_with_all_its_options(name: str):
    """What a command can do stands in its help and on the page."""
    command = commands()[name]
    section = next(part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(f"{name}\n"))
    assert command.help
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert options >= GLOBAL
    assert {option for option in options - GLOBAL if option not in section} == set()
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help


def test_the_global_options_and_every_exit_code_are_on_the_page():
    """Scripts decide by exit codes; a person finds them."""
    for option in GLOBAL:
        assert f"`{option}`" in PAGE
    for code in ("0", "1", "2", "3", "4, 5", "10", "11", "12", "20", "130"):
        assert f"| {code} |" in PAGE
