"""The proof of a restore.

The restored rows are read back and their digests compared with the backup's, before the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from moi_backup.errors import MoiError
from moi_backup.lake.arrow_types import Unrepresentable
from moi_backup.lake.day_stream import DayStream, Miscounted
from moi_backup.lake.digest import day_digest, table_digest
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import ChunkDay
from moi_backup.operations.row_stream import layout_of, row_batches
from moi_backup.operations.stored_table import spans_of
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource, select_rows


class Mismatch(MoiError):
    """The rows read back are not those of the backup."""


class Proof(msgspec.Struct, frozen=True):
    """The digest over the days read back, and whether the generated columns came out as in the backup."""

    digest: str
    generated_agree: bool


def prove_rows(
    session: ArrowSession,
    source: RowSource,
    expected: Sequence[ChunkDay],
    *,
    runs: Sequence[tuple[str, str]] | None,
    ring: KeyRing,
    in_load_order: bool = False,
) -> Proof:
    """Read back the runs of days (None: every row) and compare; raises Mismatch naming the first day that differs.

    `in_load_order` tries first without the server's sort: rows just loaded in order lie in that order, and equal
    digests prove it.
    """
    if in_load_order:
        found = _parts(session, source, expected, select_rows(source, runs, ordered=False), ring)
        if not isinstance(found, str) and _difference(found, expected) is None:
            return _proof(found, expected)
    found = _parts(session, source, expected, select_rows(source, runs), ring)
    difference = found if isinstance(found, str) else _difference(found, expected)
    if difference is not None or isinstance(found, str):
        raise Mismatch(
            f"{source.table}: the rows read back are not those of the backup: {difference}.",
            meaning="The change was rolled back; the table is as it was before.",
            remedy="A trigger, rule or type of the target changes rows as they are written; "
            "restore into a scratch schema and compare.",
        )
    return _proof(found, expected)


def digest_of_parts(parts: Sequence[ChunkDay]) -> str:
    """The table digest over the days of these parts."""
    by_day: dict[str, list[ChunkDay]] = {}
    for part in parts:
        by_day.setdefault(part.day, []).append(part)
    return table_digest(
        (label, sum(p.rows for p in found), day_digest([p.digest for p in found])) for label, found in by_day.items()
    )


def _parts(
    session: ArrowSession, source: RowSource, expected: Sequence[ChunkDay], sql: str, ring: KeyRing
) -> list[ChunkDay] | str:
    """The parts of the rows of a SELECT under the backup's day counts, or what makes that impossible."""
    stream = DayStream(row_batches(session, source, sql), layout_of(source, ring))
    try:
        found = [part.day for span in spans_of(expected) for part in stream.parts(span.name, span.rows)]
        stream.expect_end()
    except Unrepresentable as error:
        return f"column {error.column!r} holds a value that the backup does not"
    except Miscounted as error:
        return error.detail
    return found


def _difference(found: Sequence[ChunkDay], expected: Sequence[ChunkDay]) -> str | None:
    for mine, theirs in zip(found, expected, strict=False):
        if (mine.day, mine.rows, mine.digest) != (theirs.day, theirs.rows, theirs.digest):
            return f"day {theirs.day} has digest {mine.digest[:16]}… instead of {theirs.digest[:16]}…"
    return None if len(found) == len(expected) else f"{len(found)} parts of days instead of {len(expected)}"


def _proof(found: Sequence[ChunkDay], expected: Sequence[ChunkDay]) -> Proof:
    agree = all(mine.generated == theirs.generated for mine, theirs in zip(found, expected, strict=True))
    return Proof(digest_of_parts(found), agree)
