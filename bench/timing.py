"""Measuring: the same work several times, sides alternating, and a child process's time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[1]


class Sample(NamedTuple):
    """Seconds (or megabytes) of repeated measurements."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """The smallest and the largest."""
        return f"{min(self.values):.2f}-{max(self.values):.2f}"


class Side(NamedTuple):
    """Work to be timed, and what makes it possible and is not timed (an empty repository, an empty database)."""

    work: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternating(sides: Mapping[str, Side], *, repeat: int) -> dict[str, Sample]:
    """Every side `repeat` times, in turns and after one round that is not counted, so that all find the same caches."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repeat + 1):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            sides[name].prepare()
            taken[name].append(seconds(sides[name].work))
    return {name: Sample(tuple(values[1:])) for name, values in taken.items()}


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    discard: bool = True,
    accepted: Sequence[int] = (0,),
) -> str:
    """Run a program to its end, its output to /dev/null or returned.

    Raises with its own words when it ends with another exit code than the accepted ones.
    """
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if discard else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in accepted:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return done.stdout or ""


def cli(*arguments: str) -> list[str]:
    """A command of the CLI."""
    return [str(Path(sys.executable).with_name("moi-backup")), *arguments]


def peak_memory(*arguments: str, environment: Mapping[str, str]) -> float:
    """Peak resident memory in MB of the CLI in a process of its own, as that process sees it (Linux).

    The usage its parent gets of it would count the parent's own memory at the fork.
    """
    return float(run([sys.executable, "-c", _OBSERVED, *arguments], environment=environment, discard=False)) / 1024


_OBSERVED = """
import sys
from pathlib import Path
from moi_backup.cli.main import main
try:
    code = main()
except SystemExit as left:
    code = left.code
if code:
    raise SystemExit(code)
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
