"""The kinds of objects: one entry each, with what must follow when one is tampered with. A new kind is added here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.verify import verify
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import append, expired
from moi_backup.repository.deletion import mark_unreachable
from moi_backup.repository.heads import Head
from moi_backup.repository.marks import encode_mark
from tests.engine.deployment import Deployment
from tests.engine.tamper import aftermath
from tests.engine.tamper.sample import RECORDS, SALES, Protection, Sample, Touched, remembered_head
from tests.engine.tamper.tampering import Target, Written, flipped

FOUND, FOUND_OR_NEWER, CLOSED, TOLD, HARMLESS = "20", "10 or 20", "12", "told", "harmless"
Accused = dict[str, Touched] | Path
Readers = Literal[
    "all refuse", "what needs it refuses, all else is right", "the schema refuses, all rows are right", "all are right"
]
_ALL: Readers = "all refuse"
_NEEDED: Readers = "what needs it refuses, all else is right"
_SCHEMA: Readers = "the schema refuses, all rows are right"
_RIGHT: Readers = "all are right"


def object_name(on: Deployment, file: Path) -> str:
    """The name of an object, or the path of a file outside of the repository."""
    repository = on.folder / "repository"
    return file.relative_to(repository).as_posix() if file.is_relative_to(repository) else str(file)


def _changed(sample: Sample, on: Deployment, target: Target, way: str) -> Accused:
    """The objects whose bytes were changed."""
    files = [target.file, *([target.other] if way == "swap" and target.other else [])]
    return {object_name(on, file): sample.touched_by(object_name(on, file)) for file in files}


def _itself(sample: Sample, on: Deployment, target: Target, way: str) -> Accused:
    return target.file


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    `target` finds it in a copy of the sample. `verdict` is what verification must say of whatever was done to it, but
    for the ways in `exceptions`; a fault then names what is `accused`, and `named` says so in words. `readers` is what
    restores and queries do afterwards, but for the ways in `other_readers`; `then` is what is to be seen after that.
    `reason` is why nothing can be found where it is harmless. `encrypted` kinds are only in encrypted repositories.
    """

    title: str
    target: Callable[[Sample, Deployment], Target]
    named: str
    readers: Readers
    verdict: str = FOUND
    accused: Callable[[Sample, Deployment, Target, str], Accused] = _changed
    then: Callable[[Sample, Deployment, Target], None] = aftermath.nothing_else
    exceptions: Mapping[str, str] = field(default_factory=dict[str, str])
    other_readers: Mapping[str, Readers] = field(default_factory=dict[str, "Readers"])
    reason: str = ""
    encrypted: bool = False

    def readers_after(self, way: str) -> Readers:
        """What readers do after one way of tampering."""
        return self.other_readers.get(way, self.readers)

    @property
    def readers_in_words(self) -> str:
        """What readers do, for every way."""
        others = "; ".join(f"{way}: {readers}" for way, readers in self.other_readers.items())
        return f"{self.readers}; {others}" if others else self.readers

    def expected(self, way: str) -> str:
        """What verification must say after one way of tampering."""
        return self.exceptions.get(way, self.verdict)


def _object(sample: Sample, on: Deployment, name: str) -> Path:
    return on.folder / "repository" / name


def _identity(sample: Sample, on: Deployment) -> Target:
    """Another one is that of the foreign repository, or one without encryption."""
    plain = documents.RepositoryDocument(created_at="2026-01-01T00:00:00.000000+00:00", id=os.urandom(16).hex())
    others = (_foreign(sample, layout.REPOSITORY), documents.encode_document(plain))
    return Target(_object(sample, on, layout.REPOSITORY), foreign=others)


def _foreign(sample: Sample, name: str) -> bytes:
    return (sample.foreign / "repository" / name).read_bytes()


def _key(scope: str, *, other: str) -> Callable[[Sample, Deployment], Target]:
    def target(sample: Sample, on: Deployment) -> Target:
        """The older bytes are those before the master key was rotated; the old one is not configured any more."""
        name = layout.key_name(scope, 1)
        file, older = _object(sample, on, name), (sample.former / "repository" / name).read_bytes()
        foreign = _foreign(sample, layout.key_name("default", 1))
        return Target(file, _object(sample, on, layout.key_name(other, 1)), foreign=(foreign,), older={file: older})

    return target


def _chunk(sample: Sample, on: Deployment) -> Target:
    lists = sample.lists(sample.newest)
    names = [layout.chunk_name(SALES, lists[month][1].chunks[0]) for month in ("2025-09", "2025-10")]
    return Target(*(_object(sample, on, name) for name in names))


def _table(sample: Sample, on: Deployment) -> Target:
    backups = (sample.newest, sample.deployment.backups()[0])
    return Target(*(_object(sample, on, layout.table_name(sample.table(backup)[0])) for backup in backups))


def _month(sample: Sample, on: Deployment) -> Target:
    lists = sample.lists(sample.newest)
    return Target(*(_object(sample, on, layout.table_name(lists[month][0])) for month in ("2025-09", "undated")))


def _archive(sample: Sample, on: Deployment) -> Target:
    backups = (sample.newest, sample.deployment.backups()[0])
    return Target(*(_object(sample, on, layout.file_name(backup.schema.digest)) for backup in backups))


def _backup(sample: Sample, on: Deployment) -> Target:
    backups = sample.deployment.backups()
    return Target(*(_object(sample, on, layout.backup_name(backup.id)) for backup in (backups[1], backups[0])))


def _entry(seq: int) -> Callable[[Sample, Deployment], Target]:
    def target(sample: Sample, on: Deployment) -> Target:
        file = _object(sample, on, layout.chain_name(seq))
        older = older_repository(sample, on) if seq == len(sample.rows) else None
        return Target(file, _object(sample, on, layout.chain_name(seq % len(sample.rows) + 1)), older=older)

    return target


def older_repository(sample: Sample, on: Deployment) -> Written:
    """The whole repository as it was one backup before."""
    now, before = on.folder / "repository", sample.older / "repository"
    names = {file.relative_to(root) for root in (now, before) for file in root.rglob("*") if file.is_file()}
    return {now / name: (before / name).read_bytes() if (before / name).exists() else None for name in names}


def _head(sample: Sample, on: Deployment) -> Target:
    file, older = remembered_head(on.folder), remembered_head(sample.older).read_bytes()
    foreign = documents.encode_document(Head(len(sample.rows), "ab" * 32))
    return Target(file, foreign=(foreign,), older={file: older})


def _lease(suffix: str) -> Callable[[Sample, Deployment], Target]:
    def target(sample: Sample, on: Deployment) -> Target:
        now, then = (place / "repository" / "leases" / "writer" for place in (on.folder, sample.older))
        file, before = max(now.glob(f"*[0-9]{suffix}")), max(then.glob(f"*[0-9]{suffix}"))
        return Target(file, older={file: before.read_bytes()})

    return target


def _mark(sample: Sample, on: Deployment) -> Target:
    """The mark of a chunk that is damaged, made by a verification."""
    chunk = _chunk(sample, on).file
    chunk.write_bytes(flipped(chunk.read_bytes(), 9, 3))
    verify(on.workspace, read_data=True)
    (mark,) = (on.folder / "repository" / "marks" / "damaged").iterdir()
    return Target(mark)


def _marked(sample: Sample, on: Deployment, target: Target, way: str) -> Accused:
    name = object_name(on, _chunk(sample, on).file)
    return {name: sample.touched_by(name)}


def _record(sample: Sample, on: Deployment) -> Target:
    return Target(*(_object(sample, on, layout.record_name("restores", record)) for record in RECORDS))


def _trash(sample: Sample, on: Deployment) -> Target:
    """The manifest of the second backup, which was expired; another one is that of the first."""
    first, second, _ = (backup.id for backup in sample.deployment.backups())
    expire_backups(on.workspace, [second])
    other = _object(sample, on, layout.backup_name(first)).read_bytes()
    return Target(_object(sample, on, layout.trash_name(second)), foreign=(other,))


def _trash_of_listed(sample: Sample, on: Deployment) -> Target:
    target = _trash(sample, on)
    undelete_backups(on.workspace, [target.file.name])
    return target


def _second(sample: Sample, on: Deployment, target: Target, way: str) -> Accused:
    """The second backup as a whole, which is not listed any more."""
    return {object_name(on, target.file): Touched((sample.deployment.backups()[1].id,))}


def _deletions(*, carried_out: bool, end: bool = False) -> Callable[[Sample, Deployment], Target]:
    def target(sample: Sample, on: Deployment) -> Target:
        """The mark by which the second backup was pruned; another one lists what the newest backup needs."""
        _trash(sample, on)
        _prune(on, carry_out=carried_out)
        (mark,) = (on.folder / "repository" / "marks").glob("*-*[0-9]")
        if end:
            return Target(mark.with_name(f"{mark.name}.done"))
        seq, epoch = map(int, mark.name.split("-"))
        needed = [layout.backup_name(sample.newest.id), *on.objects(layout.CHUNKS)]
        return Target(mark, foreign=(encode_mark(needed, seq=seq, epoch=epoch),))

    return target


def _prune(on: Deployment, *, carry_out: bool) -> None:
    """Prune what is expired; unless told so, up to the mark alone, as one that is killed before the first deletion."""
    if carry_out:
        prune(on.workspace, grace_hours=0)
        return
    repository, chain = on.workspace.history()
    with on.workspace.writing(repository, operation="prune", wait=0) as lease:
        for backup in expired(chain):
            append(repository, action="prune", backup=backup, at=on.workspace.clock.now(), lease=lease)
        assert mark_unreachable(repository, lease=lease, now=on.workspace.clock.now)


KINDS = {
    kind.title: kind
    for kind in (
        Kind("`repository.json`", _identity, "the object", _ALL, exceptions={"flip": FOUND_OR_NEWER}),
        Kind("`chunks/…`", _chunk, "the object, its backups, the table, its days", _NEEDED),
        Kind("`tables/…`: table manifest", _table, "the object, its backups, the table", _NEEDED),
        Kind("`tables/…`: chunk list", _month, "the object, its backups, the table, the month", _NEEDED),
        Kind(
            "`files/…`: schema archive",
            _archive,
            "the object, its backups",
            _SCHEMA,
            then=aftermath.a_restore_with_the_schema_refuses,
        ),
        Kind("`backups/…`", _backup, "the object, the backup", _NEEDED),
        Kind("`chain/…`: first entry", _entry(1), "the object", _ALL),
        Kind("`chain/…`: an entry between", _entry(2), "the object", _ALL),
        Kind("`chain/…`: last entry", _entry(3), "the object", _ALL),
        Kind(
            "the head in the state folder",
            _head,
            "the file",
            _ALL,
            accused=_itself,
            then=aftermath.the_head_is_what_was_read,
            exceptions={"flip": FOUND_OR_NEWER, "roll back": HARMLESS, "delete": HARMLESS},
            other_readers={"roll back": _RIGHT, "delete": _RIGHT},
            reason="it is a memory of the chain, which is whole; an older or absent one is written anew by the next "
            "reader, and until then notices less",
        ),
        Kind(
            "`leases/…`",
            _lease(""),
            "",
            _RIGHT,
            verdict=HARMLESS,
            then=aftermath.the_next_backup_works_or_refuses,
            reason="it says who writes and holds no data; the next backup works, or refuses and names it",
        ),
        Kind(
            "`leases/….beat`",
            _lease(".beat"),
            "",
            _RIGHT,
            verdict=HARMLESS,
            then=aftermath.the_next_backup_works_or_refuses,
            reason="it says whether the holder lives and holds no data; the next backup works, waits for a holder "
            "that may live, or refuses and names it",
        ),
        Kind(
            "`marks/damaged/…`",
            _mark,
            "the chunk it stood for, as before",
            _NEEDED,
            accused=_marked,
            then=aftermath.the_mark_is_made_anew,
        ),
        Kind(
            "`keys/default/1`",
            _key("default", other="pii"),
            "the object",
            _ALL,
            exceptions={"roll back": CLOSED},
            encrypted=True,
        ),
        Kind(
            "`keys/<scope>/1`",
            _key("financial", other="pii"),
            "the object; after roll back and delete its backups and the table",
            _ALL,
            other_readers={"roll back": _NEEDED, "delete": _NEEDED},
            then=aftermath.the_next_backup_makes_no_other_key,
            encrypted=True,
        ),
        Kind(
            "`records/…`",
            _record,
            "the object",
            _RIGHT,
            exceptions={"delete": HARMLESS},
            then=aftermath.the_other_records_are_read,
            reason="no backup needs it and nothing names it",
        ),
        Kind(
            "`trash/…`: of an expired backup",
            _trash,
            "the object",
            _NEEDED,
            verdict=TOLD,
            accused=_second,
            then=aftermath.the_backup_cannot_come_back_and_can_be_pruned,
        ),
        Kind(
            "`trash/…`: of a backup that is listed again",
            _trash_of_listed,
            "",
            _RIGHT,
            verdict=HARMLESS,
            then=aftermath.expiring_it_again_heals,
            reason="it is a second copy; the first is read, and the next expiry writes it anew",
        ),
        Kind(
            "`marks/<seq>-<epoch>`: to be deleted",
            _deletions(carried_out=False),
            "the object",
            _NEEDED,
            verdict=TOLD,
            exceptions={"delete": HARMLESS},
            accused=_second,
            then=aftermath.the_next_prune_deletes_it_all,
            reason="it lists what no backup needs; without it the next prune finds that again",
        ),
        Kind(
            "`marks/<seq>-<epoch>`: done",
            _deletions(carried_out=True),
            "the object",
            _NEEDED,
            verdict=TOLD,
            exceptions={"delete": HARMLESS},
            accused=_second,
            then=aftermath.the_next_prune_deletes_it_all,
            reason="it is removed in the end by every prune; what guards names is that nobody deletes by it any more",
        ),
        Kind(
            "`marks/<seq>-<epoch>.done`",
            _deletions(carried_out=True, end=True),
            "",
            _NEEDED,
            verdict=HARMLESS,
            accused=_second,
            then=aftermath.the_next_prune_deletes_it_all,
            reason="without it the next prune deletes once more what nobody may use",
        ),
    )
}


def kinds_of(protection: Protection) -> dict[str, Kind]:
    """The kinds of objects that a repository has under a protection."""
    return {title: kind for title, kind in KINDS.items() if protection == "encrypted" or not kind.encrypted}
