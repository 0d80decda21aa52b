"""Try every cell of the matrix and write the document: `python -m tests.engine.tamper`."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from moi_backup.postgres.programs import wheel_folder
from tests.engine.conftest import run_server
from tests.engine.tamper.document import DOCUMENT, Cell, render
from tests.engine.tamper.examine import examine
from tests.engine.tamper.kinds import kinds_of
from tests.engine.tamper.sample import PROTECTIONS, make_sample
from tests.engine.tamper.tampering import WAYS


def main() -> None:
    """Examine and write; stops at the first cell that does not hold."""
    servers = run_server(wheel_folder() / "pginstall" / "bin")
    with tempfile.TemporaryDirectory() as folder, closing(servers):
        server = next(servers)
        cells: dict[Cell, str] = {}
        for protection in PROTECTIONS:
            sample = make_sample(server, Path(folder, protection), protection=protection)
            for number, (title, kind) in enumerate(kinds_of(protection).items()):
                for name, way in WAYS.items():
                    place = Path(folder, protection, f"{number}-{name}")
                    cells[protection, title, name] = examine(sample, kind, name, way, folder=place)
    DOCUMENT.write_text(render(cells), "utf-8")


if __name__ == "__main__":
    main()
