"""Examine the environment: what a backup needs, whether it is there, and what to do when it is not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from moi_backup.errors import MoiError, NoRepository
from moi_backup.operations.examine_bucket import examine_protection
from moi_backup.operations.examine_database import examine_database
from moi_backup.operations.examine_keys import examine_keys
from moi_backup.operations.examined import Examined
from moi_backup.operations.workspace import Workspace
from moi_backup.storage.local import LocalStore
from moi_backup.storage.store import Store

OLDEST_PYTHON = (3, 11)
FREE_SHARE = 0.10
CLOCK_SECONDS = 60.0
_PROBE = "leases/doctor/probe"
_UNCONDITIONAL = "the store ignores conditional writes (If-None-Match), so two writers could overwrite each other"


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All checks in their order, and the worst of them."""

    level: Literal["ok", "warn", "fail"]
    checks: tuple[Examined, ...]

    @property
    def exit_code(self) -> int:
        """1 when anything fails."""
        return 1 if self.level == "fail" else 0


def examine(open_workspace: Callable[[], Workspace], *, entropy: Callable[[int], bytes]) -> Examination:
    """Examine everything; nothing is raised for what is wrong. `entropy` names a file that tries the disk."""
    checks = [*_python()]
    try:
        workspace = open_workspace()
    except MoiError as error:
        checks.append(Examined.of_error("settings", error))
    else:
        checks += [*_settings(workspace), *_embedded(workspace), *examine_database(workspace)]
        checks += [*_repository(workspace, entropy=entropy), *examine_keys(workspace)]
    levels = [check.level for check in checks]
    return Examination(level="fail" if "fail" in levels else "warn" if "warn" in levels else "ok", checks=tuple(checks))


def _python() -> Iterator[Examined]:
    text = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield Examined(name="python", level="ok", text=text)
    else:
        yield Examined(name="python", level="fail", text=text, remedy="Use Python 3.11 or newer.")


def _settings(workspace: Workspace) -> Iterator[Examined]:
    configuration = workspace.configuration
    file = configuration.file or "no moi.toml, so the three platform tables"
    yield Examined(name="settings", level="ok", text=f"{file}; state in {workspace.settings.state.path}")


def _embedded(workspace: Workspace) -> Iterator[Examined]:
    if not workspace.settings.source.embedded:
        yield Examined(name="embedded server", level="ok", text="not used: another database is configured")
        return
    try:
        workspace.source_url()
    except MoiError as error:
        yield Examined.of_error("embedded server", error)
    else:
        yield Examined(name="embedded server", level="ok", text="runs")


def _repository(workspace: Workspace, *, entropy: Callable[[int], bytes]) -> Iterator[Examined]:
    try:
        repository, chain = workspace.history()
    except NoRepository as error:
        yield Examined.of_error("repository", error)
        return
    except MoiError as error:
        yield Examined.of_error("repository", error)
    else:
        text = f"{repository.id} at {repository.store.address}, {len(chain.entries)} chain entries"
        yield Examined(name="repository", level="ok", text=text)
        if chain.unkept:
            remedy = "Make the state folder writable, or a cut-off chain could not be noticed."
            yield Examined(name="state", level="warn", text=chain.unkept, remedy=remedy)
    yield from _place(workspace, entropy=entropy)


def _place(workspace: Workspace, *, entropy: Callable[[int], bytes]) -> Iterator[Examined]:
    store, now = workspace.store(), workspace.clock.now()
    if isinstance(store, LocalStore):
        yield from _folder_writable(store, now=now, entropy=entropy)
        yield _space(workspace)
    else:
        yield from _bucket_writable(workspace, store, now=now)


def _bucket_writable(workspace: Workspace, store: Store, *, now: datetime) -> Iterator[Examined]:
    """Write one small object, always the same, and try to delete it: these credentials need not be allowed to."""
    try:
        store.put(_PROBE, b"moi-backup doctor")
        conditional = not store.create(_PROBE, b"another")
        written = datetime.fromtimestamp(store.info(_PROBE).modified, UTC)
    except MoiError as error:
        yield Examined.of_error("repository writable", error)
        return
    if not conditional:
        yield Examined(
            name="repository writable", level="fail", text=_UNCONDITIONAL, remedy="Use a store that has them."
        )
        return
    yield Examined(name="repository writable", level="ok", text="objects can be written, conditionally too, and read")
    yield clock_check("repository clock", (written - now).total_seconds())
    yield examine_protection(workspace, probe=_PROBE)


def _folder_writable(store: LocalStore, *, now: datetime, entropy: Callable[[int], bytes]) -> Iterator[Examined]:
    """Write and link a temporary file where the repository does; its time is the store's clock."""
    name = f"doctor-{entropy(8).hex()}"
    remedy = "Run as the user who owns the repository, on a file system that is writable and knows hard links."
    try:
        folder = store.scratch()
        first, second = folder / name, folder / f"{name}.link"
        try:
            first.write_bytes(b"moi-backup doctor")
            os.link(first, second)
            written = datetime.fromtimestamp(first.stat().st_mtime, UTC)
        finally:
            first.unlink(missing_ok=True)
            second.unlink(missing_ok=True)
    except (OSError, MoiError) as error:
        yield Examined(name="repository writable", level="fail", text=str(error), remedy=remedy)
        return
    yield Examined(name="repository writable", level="ok", text="files can be written and linked")
    yield clock_check("repository clock", (written - now).total_seconds())


def clock_check(name: str, seconds: float) -> Examined:
    """How far another clock is from this machine's."""
    text = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(seconds) <= CLOCK_SECONDS:
        return Examined(name=name, level="ok", text="agrees with this machine's")
    return Examined(
        name=name, level="warn", text=text, remedy="Set the clocks (NTP): ages of backups are told by them."
    )


def _space(workspace: Workspace) -> Examined:
    disk = shutil.disk_usage(workspace.settings.repository.path)
    text = f"{disk.free / 1e9:.1f} GB of {disk.total / 1e9:.1f} GB free"
    if disk.free / disk.total >= FREE_SHARE:
        return Examined(name="free space", level="ok", text=text)
    return Examined(
        name="free space", level="warn", text=text, remedy="Free some space, or move the repository (MOI_REPOSITORY)."
    )
