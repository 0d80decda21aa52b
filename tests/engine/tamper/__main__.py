"""Try every cell of the matrix and write the document: `python -m tests.engine.tamper`."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from moi_backup.postgres.programs import wheel_folder
from tests.engine.conftest import run_server
from tests.engine.tamper.document import DOCUMENT, render
from tests.engine.tamper.examine import examine
from tests.engine.tamper.kinds import KINDS
from tests.engine.tamper.sample import PROTECTIONS, make_sample
from tests.engine.tamper.tampering import WAYS


def main() -> None:
    """Examine and write; stops at the first cell that does not hold."""
    servers = run_server(wheel_folder() / "pginstall" / "bin")
    with tempfile.TemporaryDirectory() as folder, closing(servers):
        sample = make_sample(next(servers), Path(folder), protection=PROTECTIONS[0])
        cells = {
            (title, name): examine(sample, kind, name, way, folder=Path(folder, f"{number}-{name}"))
            for number, (title, kind) in enumerate(KINDS.items())
            for name, way in WAYS.items()
        }
    DOCUMENT.write_text(render(cells), "utf-8")


if __name__ == "__main__":
    main()
