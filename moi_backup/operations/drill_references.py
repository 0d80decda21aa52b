"""The checks of a drill that are about what connects and numbers rows: foreign keys and sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from moi_backup.model.drill import DrillCheck
from moi_backup.model.table import parse_table_name
from moi_backup.operations.drill_database import (
    count_orphans,
    foreign_keys,
    furthest_value,
    sequence_state,
)
from moi_backup.operations.drill_rows import Drilled
from moi_backup.postgres.schema_archive import Entry
from moi_backup.postgres.session import Connection

KEYS_VALID = "foreign keys are valid"
SEQUENCES_AHEAD = "the sequence goes on behind the rows"


def key_checks(conn: Connection, tables: Sequence[Drilled], expected: Sequence[Entry]) -> Iterator[DrillCheck]:
    """Every foreign key that could be made is there, validated, and no row lacks its parent.

    `expected` are the definitions of the restored tables. A key that the source itself never validated is a warning
    when rows lack their parent.
    """
    restored = [drilled.entry.table for drilled in tables if drilled.outcome.status == "restored"]
    found = {(key.child.schema, key.name): key for key in foreign_keys(conn, restored)}
    wanted = {(entry.schema, entry.name): entry for entry in expected if entry.kind == "FK CONSTRAINT"}
    problems = [f"{name} is missing" for (_, name) in wanted.keys() - found.keys()]
    doubts: list[str] = []
    for place, key in found.items():
        orphans = count_orphans(conn, key)
        told = f"{key.name} of {key.child}: rows without a parent in {key.parent}: {orphans:,}"
        if orphans and (key.validated or place not in wanted):
            problems.append(told)
        elif orphans:
            doubts.append(f"{told}; the source never validated it")
        elif not key.validated and place in wanted and "NOT VALID" not in wanted[place].sql:
            problems.append(f"{key.name} of {key.child} is not validated")
    yield DrillCheck(
        statement=KEYS_VALID,
        verdict="failed" if problems else "warning" if doubts else "passed",
        text="; ".join(sorted([*problems, *doubts])) or f"{len(found)} foreign keys, every row has its parent.",
        facts={"foreign keys": len(found), "expected": len(wanted)},
    )


def sequence_checks(conn: Connection, tables: Sequence[Drilled]) -> Iterator[DrillCheck]:
    """Every sequence of a restored table is at or past the backup's position, and past the values of its column.

    One that the source itself had behind its rows is a warning: the next insert there collides as well.
    """
    for drilled in tables:
        if drilled.outcome.status == "restored":
            for name, (value, called) in drilled.entry.sequences.items():
                yield _sequence(conn, drilled, name, value=value, called=called)


def _sequence(conn: Connection, drilled: Drilled, name: str, *, value: int, called: bool) -> DrillCheck:
    sequence = parse_table_name(name)
    state = sequence_state(conn, sequence)
    facts: dict[str, int | float | str] = {"sequence": name, "position in the backup": value}
    if state is None:
        text = f"Sequence {name} is missing."
        return DrillCheck(statement=SEQUENCES_AHEAD, table=drilled.name, verdict="failed", text=text, facts=facts)
    furthest = furthest_value(conn, drilled.entry.table, sequence, upwards=state.increment > 0)
    facts |= {"next value": state.next_value}
    text = f"{name} hands out {state.next_value:,} next"
    verdict = "passed"
    if state.is_behind(value, called=called):
        verdict, text = "failed", f"{text}, and in the backup it stood at {value:,}"
    elif furthest is not None and not state.cycles and state.is_behind(furthest, called=True):
        verdict, text = "warning", f"{text}, and the column already has {furthest:,}; so it was in the source"
    return DrillCheck(statement=SEQUENCES_AHEAD, table=drilled.name, verdict=verdict, text=f"{text}.", facts=facts)
