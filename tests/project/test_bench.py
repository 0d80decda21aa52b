import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_benchmarks_run_and_compare_with_their_peers(tmp_path: Path) -> None:
    """On a small table every cheap measure gives figures of both sides; how fast they are is no test."""
    results = tmp_path / "results.json"
    command = ["-m", "bench", "--rows", "2000", "--repeat", "1", "--json", str(results)]
    command += ["--only", "size", "--only", "incremental", "--only", "restore", "--only", "memory", "--only", "verify"]
    subprocess.run([sys.executable, *command], cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    measured = {result["what"]: result for result in json.loads(results.read_text())["results"]}
    assert all(value > 0 for result in measured.values() for value in result["ours"])
    assert measured["restore with indexes and proof"]["peer"] == "pg_restore -j1"
    assert 30 < measured["peak memory of a full backup"]["ours"][0] < 400
