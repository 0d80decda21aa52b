"""`python -m bench [--rows N] [--only NAME]... [--repeat K] [--json FILE] [--write-docs]`: ratios to the peers."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measured import Measured
from bench.place import bench_place
from bench.registry import MEASURES, ON_REQUEST
from bench.report import CHANGES, LARGE, TABLE, as_json, text, write_document
from bench.round import Round


@click.command()
@click.option("--rows", default=2_000_000, show_default=True, type=click.IntRange(min=2000), help="Rows of the table.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(min=1), help="Rounds that count.")
@click.option("--only", multiple=True, type=click.Choice([*MEASURES, *ON_REQUEST]), help="Measure only this.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every measurement to this file.")
@click.option("--write-docs", is_flag=True, help="Write the figures into docs/benchmarks.md.")
def main(*, rows: int, repeat: int, only: tuple[str, ...], json_file: Path | None, write_docs: bool) -> None:
    """Measure backup and restore against COPY, pg_dump and pg_restore."""
    results: list[Measured] = []
    with bench_place() as place:
        click.echo(f"Filling the table with {rows:,} rows …", err=True)
        place.fill(rows)
        for name in only or MEASURES:
            click.echo(f"Measuring {name} …", err=True)
            results += (MEASURES | ON_REQUEST)[name](Round(place, rows, repeat))
    click.echo(text(results))
    if json_file is not None:
        json_file.write_text(as_json(results, rows=rows, repeat=repeat), "utf-8")
    if write_docs:
        write_document(results, rows=rows, repeat=repeat, heading=_heading(only))


def _heading(only: tuple[str, ...]) -> str:
    """The part of the document that these measures are written under."""
    if only and set(only) <= set(ON_REQUEST):
        return LARGE
    return CHANGES if only and set(only) <= {"diff", "in-place"} else TABLE


if __name__ == "__main__":
    main()
