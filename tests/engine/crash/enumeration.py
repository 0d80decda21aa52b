"""Kill an operation at its points, one after the other, each time from the same beginning."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from moi_backup.errors import Damaged, Locked, MoiError, NoRepository, PartlyDone
from moi_backup.repository.key_text import generate_master
from tests.engine.conftest import Server, create_database
from tests.engine.crash.fork_server import KILLED, Answer, ForkServer
from tests.engine.crash.operations import OPERATIONS
from tests.engine.crash.place import Place
from tests.engine.crash.remains import database_remains
from tests.engine.crash.shop import CONFIGURATION
from tests.engine.storage.faults import BALLAST

LIMIT_SECONDS = 60
NEVER = 1_000_000
LASTING = ("every call fails from one on", "the disk is full")
EXIT_CODES = (MoiError.exit_code, PartlyDone.exit_code, NoRepository.exit_code, Locked.exit_code, Damaged.exit_code)
_CLIENTS = """SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'crash%' AND pid <> pg_backend_pid()
              AND backend_type = 'client backend'"""
_NUMBERS = itertools.count(1)
Point = tuple[str, int]


@dataclass
class Coverage:
    """Where the operation was struck, where it did not come to, and what different remains there were."""

    struck: list[Point] = field(default_factory=list[Point])
    remains: set[str] = field(default_factory=set[str])
    unreached: list[Point] = field(default_factory=list[Point])


class Stage:
    """One operation with the state before it, which every killed run starts from again."""

    def __init__(
        self, server: Server, forks: ForkServer, name: str, folder: Path, *, bucket: str = "", aws: dict[str, str]
    ) -> None:
        self.name, self._server, self._forks, self._folder = name, server, forks, folder
        self._operation = OPERATIONS[name]
        self._bucket = bucket
        self._databases = {role: f"crash_{next(_NUMBERS)}_{role}" for role in ("before", "live", "target")}
        for database in ("before", "target"):
            create_database(server, self._databases[database])
        self.before = Place(
            server.url(self._databases["before"]),
            folder / "before",
            server.url(self._databases["target"]),
            bucket=bucket and f"{bucket}/before",
            aws=aws,
            keys=_master_keys(self._operation.keys),
        )
        self.before.folder.mkdir()
        self.before.configure(CONFIGURATION)
        self._operation.prepare(self.before)
        self._live = server.url(self._databases["live"]) if self._operation.remade == "url" else self.before.url
        self._changed = True
        if self._operation.remade == "prepared":
            self._copy_database("before", "live")
            self.before = replace(self.before, url=server.url(self._databases["live"]))
        self._databases_before = database_remains(self._begin())

    def points(self) -> dict[str, list[str]]:
        """The points of one whole run, by role."""
        answer = self._forks.run(self.name, self._begin())
        self._changed = True
        _require_success(answer, f"{self.name}, not killed")
        return answer.points

    def kill(self, points: Iterable[Point]) -> Coverage:
        """Kill it at each of the points and judge what is left."""
        covered = Coverage()
        for point in points:
            place = self._begin()
            answer = self._forks.run(self.name, place, kill=point)
            assert (answer.error, answer.refusal) == ("", []), f"{self.name} to be killed at {point}\n{answer}"
            assert answer.status in (0, KILLED), (point, answer.status)
            (covered.struck if answer.status == KILLED else covered.unreached).append(point)
            self._wait_for_sessions()
            self._judge(place, covered, f"{self.name} killed at {point}", after="kill")
            shutil.rmtree(place.folder)
        return covered

    def calls(self, fault: str) -> int:
        """How many calls count for a fault, when none of them is faulty."""
        answer = self._forks.trouble(self.name, self._begin(), fault, NEVER)
        self._changed = True
        _require_success(answer, f"{self.name} without a fault")
        return len(answer.calls)

    def trouble(self, fault: str, numbers: Iterable[int], covered: Coverage) -> None:
        """Let it meet a fault at each of the calls: it succeeds, or refuses in words that name the object."""
        for number in numbers:
            story = f"{self.name}, {fault} ({number})"
            place = self._begin()
            answer = self._forks.trouble(self.name, place, fault, number)
            assert (answer.status, answer.error) == (0, ""), f"{story}\n{answer.error}"
            (place.folder / BALLAST).unlink(missing_ok=True)
            faulty = [name for _, name, _ in answer.calls[number - 1 :]]
            (covered.struck if faulty else covered.unreached).append((fault, number))
            if answer.refusal:
                _require_words(answer, faulty if fault in LASTING else faulty[:1], story)
            self._judge(place, covered, f"{story}: {answer.refusal}", after="fault")
            shutil.rmtree(place.folder)

    def _judge(self, place: Place, covered: Coverage, story: str, *, after: str) -> None:
        """Look at it; carry on from there when nothing like it was left before."""
        found = self._forks.look(self.name, place, self.before, after=after)
        _require_success(found, story)
        self._changed = found.databases != self._databases_before
        if found.remains not in covered.remains:
            covered.remains.add(found.remains)
            self._changed = True
            _require_success(self._forks.go_on(self.name, place, self.before), story)

    def drop(self) -> None:
        """Drop the databases."""
        with psycopg.connect(self._server.url(), autocommit=True) as conn:
            for name in self._databases.values():
                conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def _begin(self) -> Place:
        """A place as it was before the operation: files, objects and the database that it changes are made anew."""
        number = next(_NUMBERS)
        place = replace(
            self.before, folder=self._folder / str(number), bucket=self._bucket and f"{self._bucket}/{number}"
        )
        shutil.copytree(self.before.folder, place.folder)
        if self._bucket:
            source, target = self.before.workspace.store(), place.workspace.store()
            for info in source.list(""):
                target.put(info.name, source.get(info.name))
        self._remake_database()
        return replace(place, url=self._live)

    def _remake_database(self) -> None:
        """Make the database anew that the operation changes, when it did change or something went on there."""
        if self._changed and self._operation.remade == "target":
            create_database(self._server, self._databases["target"])
        if self._changed and self._operation.remade == "url":
            self._copy_database("before", "live")
        if self._changed and self._operation.remade == "prepared":
            self._copy_database("live", "before")
        self._changed = False

    def _copy_database(self, source: str, target: str) -> None:
        old, new = self._databases[source], self._databases[target]
        with psycopg.connect(self._server.url(), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)".encode())
            conn.execute(f"CREATE DATABASE {new} TEMPLATE {old}".encode())

    def _wait_for_sessions(self) -> None:
        """Wait until the server has noticed that the client is gone and has rolled back."""
        deadline = time.monotonic() + LIMIT_SECONDS
        with psycopg.connect(self._server.url(), autocommit=True) as conn:
            while conn.execute(_CLIENTS).fetchone() != (0,):
                assert time.monotonic() < deadline
                time.sleep(0.005)


def moments(counted: dict[str, list[str]]) -> list[Point]:
    """Every moment of a run at which the world may be another.

    A point before a call directly after one behind another call of the same role is the same moment: the process did
    nothing between them.
    """
    return [
        (role, number)
        for role, labels in sorted(counted.items())
        for number, label in enumerate(labels)
        if number == 0 or not (label.startswith("before ") and labels[number - 1].startswith("after "))
    ]


def sample(counted: dict[str, list[str]], size: int) -> list[Point]:
    """At most so many moments, in the middles of even parts of a run, always the same ones of the same run."""
    every = moments(counted)
    size = min(size, len(every))
    return list(dict.fromkeys(every[(2 * part + 1) * len(every) // (2 * size)] for part in range(size)))


def _master_keys(count: int) -> dict[str, str]:
    """Always the same ones."""
    return {
        f"MOI_KEY_{number}": generate_master(lambda size, number=number: bytes([number]) * size)
        for number in range(1, count + 1)
    }


def _require_success(answer: Answer, story: str) -> None:
    assert (answer.status, answer.error, answer.refusal) == (0, "", []), f"{story}\n{answer.refusal}\n{answer.error}"


def _require_words(answer: Answer, names: list[str], story: str) -> None:
    code, words = answer.refusal
    assert code in EXIT_CODES, f"{story}: exit code {code}"
    assert any((name.removesuffix(".beat") or "the repository") in words for name in names), f"{story}: {words}"
