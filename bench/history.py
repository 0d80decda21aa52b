"""A repository with ten thousand backups: what the length of its history costs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from bench import work
from bench.measured import Measured
from bench.place import Place
from bench.round import Round
from bench.timing import Side, alternating, cli, run
from moi_backup.model.backup import BackupManifest, ChainEntry
from moi_backup.repository import documents, layout
from moi_backup.repository.backups import resolve_backup
from moi_backup.repository.heads import NOTHING_BEFORE

BACKUPS = 10_000
ROWS = 2000
_EVERY = timedelta(hours=6)
_FOUND = (0, 4, 5)  # what `status` says of the backup's age is no failure


def long_history(of: Round) -> Iterator[Measured]:
    """The reading commands and an incremental backup of a small table, process start included."""
    place = of.place
    place.fill(ROWS)
    sides = {"after one backup": Side(partial(_backup, place), partial(_begin, place))}
    short = alternating(sides, repeat=of.repeat)["after one backup"]
    _begin(place)
    lengthen(place.repository, _only(place), backups=BACKUPS)
    shutil.rmtree(place.folder / "state" / "heads")  # the history that was seen is another now
    commands = (("backups",), ("status",), ("show", "latest"), ("backup", "--quiet"))
    sides = {command[0]: Side(partial(_command, place, *command)) for command in commands}
    taken = alternating(sides, repeat=of.repeat)
    place.fill(of.rows)
    many = f"{BACKUPS:,} backups"
    for name in ("backups", "status", "show"):
        yield Measured(f"{name}, {many}", taken[name], "s", aim=2.0)
    yield Measured(f"incremental backup, {ROWS:,} rows, {many}", taken["backup"], "s", "after one backup", short)


def lengthen(repository: Path, manifest: BackupManifest, *, backups: int) -> None:
    """Replace the history of a repository in a folder by this many backups that are all like the one given.

    The files are written without waiting for the disk; what they hold is what the engine would have written.
    """
    previous = NOTHING_BEFORE
    begin = datetime.fromisoformat(manifest.started_at) - _EVERY * backups
    for seq in range(1, backups + 1):
        at = begin + _EVERY * seq
        backup = layout.new_backup_id(at, entropy=seq.to_bytes(3, "big"))
        stamp = documents.timestamp(at)
        data = documents.encode_document(
            msgspec.structs.replace(manifest, id=backup, started_at=stamp, finished_at=stamp)
        )
        entry = ChainEntry(seq, previous, "publish", backup, documents.digest_of(data), stamp, lease_epoch=seq)
        (repository / layout.backup_name(backup)).write_bytes(data)
        (repository / layout.chain_name(seq)).write_bytes(documents.encode_document(entry))
        previous = documents.digest_of(documents.encode_document(entry))


def _begin(place: Place) -> None:
    place.empty_repository()
    work.back_up(place)


def _only(place: Place) -> BackupManifest:
    return resolve_backup(*place.workspace().history(), "latest")


def _backup(place: Place) -> None:
    _command(place, "backup", "--quiet")


def _command(place: Place, *arguments: str) -> None:
    run(cli(*arguments), environment=place.environment, accepted=_FOUND)
