"""JSON documents are what docs/json.md says, field by field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.cli.conftest import Command
from tests.engine.cli.documents import DOCUMENTS
from tests.engine.cli.json_fields import field_paths, paths_in
from tests.engine.deployment import Deployment

PAGE = (Path(__file__).parents[3] / "docs" / "json.md").read_text("utf-8")
CALLS: dict[str, list[str]] = {
    "status": ["status"],
    "doctor": ["doctor"],
    "config check": ["config", "check"],
    "backup": ["backup", "--table", "meta_import_data", "--days", "2025-09-14"],
    "backups": ["backups"],
    "show": ["show", "latest"],
    "verify": ["verify", "--read-data"],
    "drill": ["drill"],
    "drills": ["drills"],
    "copy --dry-run": ["copy", "--dry-run", "--to", "copy"],
    "copy": ["copy", "--to", "copy"],
    "repair --dry-run": ["repair", "--dry-run"],
    "repair": ["repair"],
    "restore --dry-run": ["restore", "latest", "--to", "env:TARGET", "--dry-run"],
    "restore": ["restore", "latest", "--to", "env:TARGET"],
    "blame": ["blame", "meta_import_data", "--key", "id=7"],
    "bisect": ["bisect", "meta_import_data", "--where", "id = 7"],
    "restores": ["restores"],
    "restores RESTORE_ID": ["restores", "20"],  # the only restore: a unique prefix
    "diff": ["diff", "latest", "live", "--rows"],
    "backups --trash": ["backups", "--trash"],
    "expire": ["expire", "20"],  # the only backup: a unique prefix
    "undelete": ["undelete", "20"],
    "prune --dry-run": ["prune", "--dry-run", "--grace", "0"],
    "prune": ["prune", "--grace", "0"],
    "sweep": ["sweep"],
}
RESTORED_FIRST = ("restores", "restores RESTORE_ID")
EXPIRED_FIRST = ("backups --trash", "undelete", "prune --dry-run", "prune")


def documented(command: str) -> list[str]:
    """The fields in the section of a command."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    found = next(part for part in section if part.startswith(f"{command}\n"))
    return re.findall(r"^\| `([^`]+)` \|", found, flags=re.MULTILINE)


def undocumented(command: str, document: Any) -> list[str]:
    """The fields of a printed document that the page does not know."""
    known = {path.replace("[]", "").replace("{}", "") for path in documented(command)}
    maps = [path.removesuffix("{}").replace("[]", "") for path in documented(command) if path.endswith("{}")]
    paths = sorted(path.replace("[]", "").lstrip(".") for path in paths_in(document))
    return [path for path in paths if path not in known and not any(path.startswith(f"{prefix}.") for prefix in maps)]


@pytest.mark.parametrize("command", DOCUMENTS)
def test_every_field_is_documented_and_no_other(command: str):
    """The types and the page list the same fields in the same order."""
    assert documented(command) == field_paths(DOCUMENTS[command])


@pytest.mark.parametrize("command", CALLS)
def test_what_is_printed_is_what_is_documented(
    command: str, moi: Command, copied: Deployment, empty_database: Callable[[], str]
):
    """A real document has no field that the page does not know, whatever its exit code."""
    if command in EXPIRED_FIRST:
        assert moi("expire", "20", on=copied).code == 0
    if command in RESTORED_FIRST:
        assert moi(*CALLS["restore"], on=copied, TARGET=empty_database()).code == 0
    if command == "drills":
        assert moi("drill", on=copied, MOI_DRILL_URL=empty_database()).code == 0
    answer = moi(*CALLS[command], "--json", on=copied, TARGET=empty_database(), MOI_DRILL_URL=empty_database())
    assert answer.code in (0, 1), answer.err
    assert undocumented(command, answer.document) == []
