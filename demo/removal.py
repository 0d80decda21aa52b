"""What `make clean` removes: the demo's state and nothing that a user may miss.

Backups of a database that is not the demo's are never removed, nor is a repository that the user configured.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

from demo.place import LOCK, MADE_HERE, MARKER, Place
from moi_backup.errors import UsageError
from moi_backup.postgres.embedded_cluster import cluster_of

_DOCUMENT = "repository.json"


def require_marker(place: Place) -> None:
    """Raises UsageError where the state folder does not carry our marker."""
    if not (place.state / MARKER).exists():
        raise UsageError(
            f"{place.state} holds no state of a demo.",
            meaning="Nothing was removed.",
            remedy="Run it in the same folder and with the same MOI_STATE as make demo or make up.",
        )


def reason_to_keep(place: Place) -> str:
    """Why the repository stays, in words; "" when all its backups are of the demo's own database.

    Whatever cannot be read as such a backup is a reason to keep it.
    """
    if place.has_own_repository:
        return "you configured it"
    manifests = [*_repository(place).glob("backups/*"), *_repository(place).glob("trash/*")]
    own = _own_server(place)
    for manifest in manifests:
        if _server_of(manifest) != own:
            return f"{manifest.name} is no backup of the demo's database"
    return ""


def remove(place: Place, *, repository: bool) -> None:
    """Remove what the demo made; `repository` says whether its backups go too. Whatever else is there stays."""
    if repository:
        _remove_repository(place)
    for name in ("scratch", *MADE_HERE, "postgres", LOCK):
        _remove(place.state / name)
    (place.state / MARKER).unlink()  # last, so that an interrupted clean-up can be repeated
    if not any(place.state.iterdir()):
        place.state.rmdir()


def _remove_repository(place: Place) -> None:
    """The repository, its document last, and what this folder remembers of that repository's chain."""
    folder, heads = _repository(place), place.state / "heads"
    if (folder / _DOCUMENT).exists():
        name = json.loads((folder / _DOCUMENT).read_bytes())["id"]
        for remembered in heads.glob(f"{name}.*"):
            _remove(remembered)
    _remove(folder)
    if heads.is_dir() and not any(heads.iterdir()):
        heads.rmdir()


def _remove(path: Path) -> None:
    """A file, a link (never what it points to), or a folder with its contents; nothing when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _repository(place: Place) -> Path:
    return place.state / "repository"


def _own_server(place: Place) -> str:
    """The system identifier of the embedded server, running or not; "" when there is none."""
    try:
        # The first field of pg_control, in the machine's byte order (ControlFileData in Postgres' pg_control.h).
        with (cluster_of(place.state).data / "global" / "pg_control").open("rb") as file:
            return str(struct.unpack("=Q", file.read(8))[0])
    except (FileNotFoundError, struct.error):
        return ""


def _server_of(manifest: Path) -> str | None:
    """The system identifier of the server a backup was taken from; None when the manifest does not say it."""
    try:
        return str(json.loads(manifest.read_bytes())["source"]["system_identifier"])
    except (ValueError, KeyError, TypeError):
        return None
