"""The command line: `moi-backup`. It reads the environment, runs a command and turns failures into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import click

from moi_backup.cli.commands import LazyGroup
from moi_backup.cli.failures import secrets_of, tell, tell_defect, tell_failure
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.stopping import Stopped, stoppable
from moi_backup.errors import Interrupted, MoiError, UsageError

COMMANDS: Mapping[str, str] = {
    "init": "init",
    "status": "status",
    "backup": "backup",
    "backups": "backups",
    "show": "show",
    "restore": "restore",
    "restores": "restores",
    "undo": "undo",
    "verify": "verify",
    "drill": "drill",
    "drills": "drills",
    "copy": "copy",
    "repair": "repair",
    "query": "query",
    "blame": "blame",
    "bisect": "bisect",
    "diff": "diff",
    "expire": "expire",
    "undelete": "undelete",
    "prune": "prune",
    "sweep": "sweep",
    "doctor": "doctor",
    "key": "key",
    "config": "config",
}


@click.command(cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def moi_backup() -> None:
    """Back up Postgres tables by day, prove the backups, restore them.

    Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 warning and 5 critical (status), 10 no repository,
    11 locked, 12 wrong key, 20 verification found damage, 130 interrupted. docs/cli.md describes every command.
    """


def main() -> None:
    """Run the command of this process and end it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:], environ=dict(os.environ), cwd=Path.cwd(), effective_uid=os.geteuid())
    sys.exit(code)


def run(arguments: Sequence[str], *, environ: Mapping[str, str], cwd: Path, effective_uid: int) -> int:
    """Run one command; its exit code. Nothing but the exit code and the two streams leaves it."""
    invocation = Invocation(environ=environ, cwd=cwd, effective_uid=effective_uid)
    secrets = secrets_of(environ, arguments)
    try:
        with stoppable():
            code = _dispatch(arguments, invocation)
            sys.stdout.flush()
    except KeyboardInterrupt as error:
        code = _interrupted(error, secrets=secrets)
    except click.ClickException as error:
        code = _misused(error, secrets=secrets)
    except MoiError as error:
        tell_failure(error, verbose=invocation.verbose, secrets=secrets)
        code = error.exit_code
    except BrokenPipeError:
        code = _nobody_reads()
    except Exception as error:  # noqa: BLE001 - the last resort: a message instead of a traceback with values in it
        tell_defect(error, verbose=invocation.verbose, secrets=secrets)
        code = MoiError.exit_code
    return code


def _dispatch(arguments: Sequence[str], invocation: Invocation) -> int:
    """Run it without click's own `main`, which would turn EOFError and a lost reader into exit codes of its own."""
    try:
        with moi_backup.make_context("moi-backup", list(arguments), obj=invocation) as context:
            result = moi_backup.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def _interrupted(error: BaseException, *, secrets: Sequence[str]) -> int:
    cause = f" by {error.name}" if isinstance(error, Stopped) else ""
    notes: list[str] = getattr(error, "__notes__", [])
    lines = [f"Stopped{cause}.", "What was not finished counts for nothing; run the command again."]
    tell([*lines, *notes], secrets=secrets)
    return Interrupted.exit_code


def _misused(error: click.ClickException, *, secrets: Sequence[str]) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return UsageError.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    lines = [f"Error: {error.format_message()}"]
    if context is not None:
        lines += [context.get_usage(), f"Try '{context.command_path} --help' for help."]
    tell(lines, secrets=secrets)
    return UsageError.exit_code


def _nobody_reads() -> int:
    """The reader of standard output has gone. It is replaced, so that the interpreter's last flush says nothing."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return MoiError.exit_code
