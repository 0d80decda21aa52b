"""How a failure is told: what happened, what it means, what to do; never with a password."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from moi_backup.cli.output import visible
from moi_backup.errors import MoiError
from moi_backup.model.child_environment import KEY_VARIABLES

HIDDEN = "***"
# Greedy to the last @: a password whose own @ or / was not percent-encoded is hidden whole.
_CREDENTIALS = re.compile(r"(://[^:/?#@\s]*):(\S*)@")
_KEY = re.compile(r"moi-(?:key|scopes)-1-[A-Za-z0-9_-]{16,}")
_PARAMETER = re.compile(
    r"(\b\w*(?:password|passwd|passphrase|client_secret)\w*\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s'\"]+)", re.IGNORECASE
)


def tell_failure(error: MoiError, *, verbose: bool, secrets: Sequence[str]) -> None:
    """A failure that was foreseen; its causes too when `verbose`."""
    lines = [f"Error: {error.what}", error.meaning, error.remedy, *getattr(error, "__notes__", [])]
    tell([line for line in lines if line], secrets=secrets)
    if verbose:
        tell(traceback.format_exception(error), secrets=secrets)


def tell_defect(error: BaseException, *, verbose: bool, secrets: Sequence[str]) -> None:
    """A failure that nobody foresaw."""
    tell(
        [
            f"Error: moi-backup met a {type(error).__name__} it did not expect. This is a defect of moi-backup.",
            "What it was doing did not complete; a backup that is not listed does not exist.",
            "Run it again with --verbose and report what it prints.",
        ],
        secrets=secrets,
    )
    if verbose:
        tell(traceback.format_exception(error), secrets=secrets)


def tell(texts: Iterable[str], *, secrets: Sequence[str]) -> None:
    """Lines on standard error, without secrets and without what could steer a terminal."""
    for text in texts:
        for line in scrubbed(text, secrets=secrets).splitlines():
            sys.stderr.write(f"{visible(line.expandtabs())}\n")
    sys.stderr.flush()


def secrets_of(environ: Mapping[str, str], arguments: Sequence[str]) -> tuple[str, ...]:
    """Every password and key this process was given, as written and decoded; the longest first."""
    found = {environ.get("PGPASSWORD", "")}
    keys = [value for name, value in environ.items() if name.startswith(KEY_VARIABLES)]
    found |= {value for value in keys if not value.startswith(("file:", "command:"))}
    for text in (*environ.values(), *arguments):
        for password in [match[2] for match in _CREDENTIALS.finditer(text)]:
            found |= {password, unquote(password)}
        found |= {match[2] for match in _PARAMETER.finditer(text) if "://" in text}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def scrubbed(text: str, *, secrets: Sequence[str]) -> str:
    """The text without known passwords, and without anything that looks like one in a URL."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _KEY.sub(HIDDEN, text)
    return _PARAMETER.sub(rf"\1{HIDDEN}", _CREDENTIALS.sub(rf"\1:{HIDDEN}@", text))
