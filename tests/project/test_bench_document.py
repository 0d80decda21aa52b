from pathlib import Path

import pytest

from bench import report
from bench.measured import Measured
from bench.timing import Sample


def test_figures_replace_their_own_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing one table of the document leaves the other and everything written by hand as it was."""
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# B\n\nhand\n\n{report.TABLE}\n\nold\n\n{report.LARGE}\n\nolder\n\n## By hand\n\nwhy\n")
    monkeypatch.setattr(report, "DOCUMENT", document)
    results = [Measured("something", Sample((1.5,)), "s")]
    report.write_document(results, rows=5, repeat=1, heading=report.LARGE)
    text = document.read_text()
    assert "older" not in text
    assert text.startswith(f"# B\n\nhand\n\n{report.TABLE}\n\nold\n\n{report.LARGE}\n\n5 rows, ")
    assert text.endswith("|\n\n## By hand\n\nwhy\n")
    report.write_document(results, rows=7, repeat=2, heading=report.TABLE)
    again = document.read_text()
    assert "\nold\n" not in again
    assert again.partition(report.LARGE)[2] == text.partition(report.LARGE)[2]


def test_the_document_has_a_place_for_every_table() -> None:
    """Figures are written under headings that are there."""
    text = report.DOCUMENT.read_text("utf-8")
    assert text.count(f"\n{report.TABLE}\n") == 1
    assert text.count(f"\n{report.LARGE}\n") == 1
    assert text.count(f"\n{report.CHANGES}\n") == 1
