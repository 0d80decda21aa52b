"""A process that has imported everything and forks a child for each order, before it has any thread or connection.

An order and its answer are one line of JSON each. A child runs an operation with crash points, or over a faulty store,
or it looks at what another one left, or carries on there.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moi_backup.errors import MoiError
from tests.engine.crash.place import Place
from tests.engine.storage.faults import FAULTS

KILLED = -9
LOADED = (
    "adbc_driver_postgresql.dbapi",
    "obstore",
    "pyarrow.compute",
    "pyarrow.parquet",
    "tests.engine.crash.instruments",
    "tests.engine.crash.operations",
    "tests.engine.crash.remains",
)
"""What children need: loaded once, so that none of them spends its time on it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a child ended (0, or minus the signal) and what it told.

    `points` are the crash points passed, by role; `calls` the calls of a faulty store; `refusal` the words and the exit
    code of a foreseen error, `error` the traceback of any other; `remains` and `databases` what was left.
    """

    status: int
    points: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    calls: list[list[Any]] = field(default_factory=list[list[Any]])
    refusal: list[Any] = field(default_factory=list[Any])
    remains: str = ""
    databases: str = ""
    error: str = ""


class ForkServer:
    """The parent's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.crash.fork_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=Path(__file__).parents[3],
        )  # fmt: skip

    def run(self, operation: str, place: Place, *, kill: tuple[str, int] | None = None) -> Answer:
        """Run an operation in a child that kills itself at a point."""
        return self._order({"operation": operation, "place": _packed(place), "kill": kill})

    def trouble(self, operation: str, place: Place, fault: str, number: int) -> Answer:
        """Run an operation in a child whose store has one of FAULTS at a call."""
        return self._order({"operation": operation, "place": _packed(place), "fault": [fault, number]})

    def look(self, operation: str, place: Place, before: Place, *, after: str) -> Answer:
        """Let a fresh child look at what is left in `place`, which was as `before`, after a "kill" or a "fault"."""
        order = {"operation": operation, "place": _packed(place), "look": _packed(before), "after": after}
        return self._order(order)

    def go_on(self, operation: str, place: Place, before: Place) -> Answer:
        """Let a fresh child carry on there."""
        return self._order({"operation": operation, "place": _packed(place), "go_on": _packed(before)})

    def _order(self, order: dict[str, Any]) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait(60)


def _packed(place: Place) -> dict[str, Any]:
    packed = asdict(place)
    del packed["fault"]
    return {**packed, "folder": str(place.folder)}


def _unpacked(packed: dict[str, Any]) -> Place:
    return Place(**{**packed, "folder": Path(packed["folder"])})


def _serve() -> None:
    for module in LOADED:
        importlib.import_module(module)
    while line := sys.stdin.readline():
        sys.stdout.write(f"{json.dumps(asdict(_forked(json.loads(line))))}\n")
        sys.stdout.flush()


def _forked(order: dict[str, Any]) -> Answer:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _obey(order, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Answer(status, **json.loads(told)) if told else Answer(status)


def _obey(order: dict[str, Any], writing: int) -> None:
    """The child's whole life; it tells its end through the pipe."""
    told: dict[str, Any] = {}
    try:
        _carry_out(order, told)
    except MoiError as error:
        told["refusal"] = [error.exit_code, str(error)]
    except BaseException:  # noqa: BLE001 - the parent raises it
        told["error"] = traceback.format_exc()
    with os.fdopen(writing, "w") as answer:
        json.dump(told, answer)


def _carry_out(order: dict[str, Any], told: dict[str, Any]) -> None:
    from tests.engine.crash.instruments import instrument
    from tests.engine.crash.operations import OPERATIONS
    from tests.engine.crash.points import Points
    from tests.engine.crash.remains import database_remains, remains_of

    operation, place = OPERATIONS[order["operation"]], _unpacked(order["place"])
    if "look" in order:
        look = operation.look if order["after"] == "kill" else operation.look_after_fault or operation.look
        look(place, _unpacked(order["look"]))
        told |= {"remains": remains_of(place), "databases": database_remains(place)}
    elif "go_on" in order:
        operation.go_on(place, _unpacked(order["go_on"]))
    elif "fault" in order:
        kind, number = order["fault"]
        fault = FAULTS[kind](number)
        fault.folder = place.folder
        told["calls"] = fault.seen
        operation.run(replace(place, fault=fault))
    else:
        points = Points(tuple(order["kill"]) if order["kill"] else None)
        told["points"] = points.seen
        instrument(points, folder=str(place.folder))
        operation.run(place)


if __name__ == "__main__":
    _serve()
