"""Whether a restore is asked for with all the words it needs and none that mean nothing; nothing connects for that."""

from __future__ import annotations

from moi_backup.errors import UsageError
from moi_backup.model.conflict_policy import POLICIES
from moi_backup.model.restore import RestoreRequest


def check_request(request: RestoreRequest, *, preview: bool = False) -> None:
    """Raise UsageError for what contradicts itself or leaves out what must be said; a preview needs no reason."""
    _require_words(request, preview=preview)
    _refuse_without_place(request)
    if request.without_scopes and (request.in_place or request.schema is None):
        raise UsageError(
            "--without-scope restores into new tables of a scratch schema alone.",
            meaning="A table of its own definition needs all its columns, and a live one would lose what is left out.",
            remedy="Add --schema NAME and leave out --in-place.",
        )
    if request.in_place and (request.resume or request.damaged != "fail"):
        raise UsageError(
            "--resume and --damaged are for restores into new tables.",
            meaning="A restore in place repeats nothing, and never writes rows that are not the backup's.",
            remedy="Leave them out, or restore into a scratch schema (--schema) without --in-place.",
        )
    if request.schema_from_backup:
        _check_schema(request)
    if request.renames and len(request.tables or ()) != 1:
        raise UsageError(
            "--rename is said of the columns of one table.",
            remedy="Name it (--table); restore other tables by themselves.",
        )
    if len(dict(request.renames)) < len(request.renames):
        raise UsageError("--rename names a column of the backup twice.", remedy="Say once what it is called now.")
    for option, given, policy in (
        ("--base", request.base is not None, "merge"),
        ("--newer-by", request.newer_by is not None, "take-newer"),
    ):
        if given and request.on_conflict != policy:
            raise UsageError(
                f"{option} is for --on-conflict {policy}.", remedy=f"Choose that policy, or leave out {option}."
            )


def _check_schema(request: RestoreRequest) -> None:
    if request.schema is None or request.in_place or request.resume or request.without_scopes:
        raise UsageError(
            "--schema-from-backup restores the definitions of the backup, whole, into a new schema (--schema NAME).",
            meaning="They stand beside the live tables: --in-place, --resume and --without-scope have no place there.",
            remedy="Add --schema NAME and leave these out.",
        )


def _require_words(request: RestoreRequest, *, preview: bool) -> None:
    needed = (
        (f"--on-conflict {'|'.join(POLICIES)}", request.on_conflict),
        ("--reason TEXT", preview or request.reason.strip()),
        ("--base BACKUP (the damaged state)", request.base or request.on_conflict != "merge"),
    )
    missing = [option for option, given in needed if request.in_place and not given]
    if missing:
        raise UsageError(
            f"A restore in place needs {' and '.join(missing)}.",
            meaning="It overwrites live rows, so what it decides by and the reason must be said.",
            remedy="Nothing was written. Add what is missing, or leave out --in-place to restore into new tables.",
        )


def _refuse_without_place(request: RestoreRequest) -> None:
    given = (
        ("--on-conflict", request.on_conflict),
        ("--where", request.where),
        ("--disable-triggers", request.disable_triggers),
        ("--plan", request.plan),
        ("--rename", request.renames),
    )
    idle = [option for option, value in given if value and not request.in_place]
    if idle:
        raise UsageError(
            f"{' and '.join(idle)}: for restores in place alone.", remedy="Add --in-place, or leave it out."
        )
