"""The complete backups of a repository from the oldest to the newest, as a search through them takes them.

What cannot be looked at is passed over and named, never taken for a backup without the rows: a change is then told as
of a longer time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from moi_backup.errors import Damaged, MoiError, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.find_rows import FoundRows, NoSuchTable, NotSelectable, RowFinder
from moi_backup.operations.open_for_reading import Reading
from moi_backup.operations.progress import Progress
from moi_backup.repository import documents
from moi_backup.repository.backups import try_backups
from moi_backup.repository.chain import states

Why = Literal["damaged", "unreachable", "expired", "locked", "no_table", "no_column"]
_WARNED = ("damaged", "unreachable", "locked")
_TASK = "history"


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that could not be looked at. `why` is damaged, unreachable, expired, locked, no_table or no_column."""

    backup: str
    taken_at: str
    why: Why
    detail: str


class Step(NamedTuple):
    """A complete backup and what was found in it; `is_asked` unless it lies before the window, to compare with."""

    backup: BackupManifest
    found: FoundRows
    is_asked: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Days on which backups were taken, both included, in a time zone; None is without limit."""

    since: str | None
    until: str | None
    timezone: str

    def __post_init__(self) -> None:
        for option, text in (("--since", self.since), ("--until", self.until)):
            _require_day(option, text)
        if self.since and self.until and self.since > self.until:
            raise UsageError("--since lies after --until.", remedy="Exchange the two.")

    def before(self, backup: str) -> bool:
        """Whether the backup is older than the window."""
        return self.since is not None and self._day(backup) < self.since

    def after(self, backup: str) -> bool:
        """Whether the backup is newer than the window."""
        return self.until is not None and self._day(backup) > self.until

    def _day(self, backup: str) -> str:
        return moment_of(backup).astimezone(ZoneInfo(self.timezone)).date().isoformat()


def moment_of(backup: str) -> datetime:
    """When a backup was taken, to the second, by its id."""
    return datetime.strptime(backup.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass
class HistoryWalk:
    """One walk through the history. `passed_over` and `looked_at` grow with it.

    A window that begins later than the history is walked from the newest backup before it that can be read: the first
    change in the window needs something to differ from.
    """

    reading: Reading
    finder: RowFinder
    window: Window
    progress: Progress
    looked_at: int = 0
    passed_over: list[PassedOver] = field(default_factory=list[PassedOver])
    _errors: list[MoiError] = field(default_factory=list[MoiError])

    def steps(self) -> Iterator[Step]:
        """The steps in order; raises what kept the newest from being read when none could be."""
        state = states(self.reading.chain)
        ids = [backup for backup, action in state.items() if action != "prune" and not self.window.after(backup)]
        inside = [backup for backup in ids if not self.window.before(backup)]
        self.progress.start(_TASK, total=len(inside), unit="backups")
        yield from self._newest(reversed(ids[: len(ids) - len(inside)]))
        for backup in self._listed(inside):
            step = self._step(*backup)
            self.progress.advance(_TASK, 1)
            if step is not None:
                yield step
        self._require_some()

    def finish(self) -> None:
        """Tell how much was read."""
        self.progress.finish(_TASK, f"{self.looked_at} looked at, {self.finder.chunks_read} chunks read")

    def not_looked_at(self) -> tuple[PassedOver, ...]:
        """What was passed over, in the order of the history."""
        place = {backup: number for number, backup in enumerate(states(self.reading.chain))}
        return tuple(sorted(self.passed_over, key=lambda entry: place[entry.backup]))

    def _newest(self, older: Iterator[str]) -> Iterator[Step]:
        for backup in older:
            for found in self._listed([backup]):
                step = self._step(*found)
                if step is not None:
                    yield step
                    return

    def _listed(self, backups: list[str]) -> Iterator[tuple[str, BackupManifest | MoiError]]:
        """The backups with their manifests; of the expired ones that they are."""
        state = states(self.reading.chain)
        listed = [backup for backup in backups if state[backup] != "expire"]
        manifests = try_backups(self.reading.repository, self.reading.chain, listed)
        for backup in backups:
            if state[backup] == "expire":
                self._pass_over(backup, "expired", f"is in the trash; moi-backup undelete {backup} brings it back")
            else:
                yield next(manifests)

    def _step(self, backup: str, manifest: BackupManifest | MoiError) -> Step | None:
        """What is found in a backup; None when it is limited to tables or days, or passed over."""
        if isinstance(manifest, MoiError):
            return self._failed(backup, manifest)
        if not manifest.coverage.complete:
            return None
        try:
            found = self.finder.find(manifest)
        except (Damaged, StorageError, WrongKey, NoSuchTable, NotSelectable) as error:
            return self._failed(backup, error)
        self.looked_at += 1
        return Step(manifest, found, not self.window.before(backup))

    def _failed(self, backup: str, error: MoiError) -> None:
        why = _why(error)
        self._errors.append(error)
        self._pass_over(backup, why, error.what)

    def _pass_over(self, backup: str, why: Why, detail: str) -> None:
        taken_at = documents.timestamp(moment_of(backup))
        self.passed_over.append(PassedOver(backup=backup, taken_at=taken_at, why=why, detail=detail))
        if why in _WARNED:
            self.progress.warn(f"Backup {backup} is passed over: {detail}")

    def _require_some(self) -> None:
        if self.looked_at:
            return
        if self._errors:
            raise self._errors[-1]
        raise UsageError(
            "There is no complete backup to look at.",
            meaning="Backups that are limited to tables or days are none, nor are expired ones.",
            remedy="See moi-backup backups for what there is, and leave out --since and --until.",
        )


def _why(error: MoiError) -> Why:
    if isinstance(error, Damaged):
        return "damaged"
    if isinstance(error, WrongKey):
        return "locked"
    if isinstance(error, NoSuchTable):
        return "no_table"
    return "no_column" if isinstance(error, NotSelectable) else "unreachable"


def _require_day(option: str, text: str | None) -> None:
    try:
        valid = text is None or date.fromisoformat(text).isoformat() == text
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{option} {text!r} is not a day.", remedy="Write it as 2025-09-14.")
