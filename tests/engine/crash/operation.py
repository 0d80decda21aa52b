"""What an operation that is killed is made of, and what must hold after every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from moi_backup.operations.verify import verify
from tests.engine.crash.place import Place
from tests.engine.crash.shop import rows


@dataclass(frozen=True, slots=True)
class Operation:
    """`prepare` makes the state before; `run` is killed. What follows happens in fresh processes.

    `look` changes nothing and says what must hold after every kill, given the place then and the untouched one before;
    after a fault of the store `look_after_fault`, where more is allowed. `go_on` carries on as a person would and says
    what must hold in the end. `remade` names the database that the operation changes, if any (`prepared`: it must be
    that of the preparation itself, and the place before has the copy); `keys` is how many master
    keys are configured (none: the repository is not encrypted).
    """

    prepare: Callable[[Place], None]
    run: Callable[[Place], object]
    look: Callable[[Place, Place], None]
    go_on: Callable[[Place, Place], None]
    remade: Literal["", "url", "target", "prepared"] = ""
    look_after_fault: Callable[[Place, Place], None] | None = None
    keys: int = 0


def require_no_fault(place: Place) -> None:
    """At most debris."""
    found = verify(place.workspace)
    assert (found.faults, found.notes) == ((), ()), found
    assert found.debris is not None
    assert found.debris.unknown == (), found.debris


def require_sound(place: Place, expected: dict[str, str], *, noted: str = "") -> None:
    """The next backup and a restore of it work unaided and bring the rows expected; every stored byte is right.

    `noted` stands in every note of the verification; without it there is none.
    """
    taken = place.back_up(wait=0.0)
    require_restorable(place, expected, backup=taken.manifest.id)
    found = verify(place.workspace, read_data=True)
    assert found.faults == (), found
    assert all(noted and noted in note for note in found.notes), found


def require_restorable(place: Place, expected: dict[str, str], *, backup: str = "latest") -> None:
    """The backup restores exactly these rows."""
    place.sql("DROP SCHEMA IF EXISTS proof CASCADE", url=place.target)
    result = place.restore(place.target, backup=backup, schema="proof")
    assert result.complete, result
    assert rows(place, url=place.target, schema="proof") == expected
