"""`MOI_*` environment and `moi.toml`, read once at the edge of the process; docs/configuration.md lists them all.

Nothing here connects to anything: whether the embedded server runs is found out by the operations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path

from moi_backup.errors import ConfigurationError, UsageError
from moi_backup.model.configuration import Configuration, default_configuration
from moi_backup.model.configuration_document import parse_configuration
from moi_backup.model.connection_url import check_connection_url, named_variable, shown
from moi_backup.repository.key_sources import KeySource
from moi_backup.storage.address import Bucket, parse_address, plain_path
from moi_backup.storage.s3_access import COPY_VARIABLES, S3Access, read_access, read_copy_access

VARIABLES = (
    *("MOI_SOURCE_URL", "MOI_REPOSITORY", "MOI_REPOSITORY_COPY", "MOI_CONFIG", "MOI_STATE", "MOI_DRILL_URL"),
    *COPY_VARIABLES,
)
LATER_VARIABLES = {
    "MOI_UPLOADS": "Backing up uploaded files is not in this release.",
    "MOI_REPORTS": "Backing up generated reports is not in this release.",
}
_KEY = re.compile(r"MOI_KEY_([1-9]\d{0,3})")
DEFAULT_FILE = "moi.toml"
EMBEDDED_DATABASE = "moi"
ROOT_STATE = Path("/var/lib/moi-backup")
_REMEDY = "docs/configuration.md lists the environment variables."


@dataclass(frozen=True, slots=True)
class DatabaseSetting:
    """A database: a connection URL, or (neither URL nor variable) database `moi` of the embedded server.

    `variable` is the environment variable an `env:NAME` named. The repr holds no password.
    """

    origin: str
    variable: str | None = None
    secret_url: str | None = field(default=None, repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the embedded server is meant."""
        return self.secret_url is None and self.variable is None

    @property
    def url(self) -> str | None:
        """The connection URL with its password: for connecting only. None: the embedded server.

        Raises ConfigurationError when the variable that should hold it is not set: only operations that need this
        database fail for that, so `moi-backup backups` works on a machine without it.
        """
        if self.secret_url is None and self.variable is not None:
            raise ConfigurationError(
                f"The environment variable {self.variable} is not set.",
                meaning=f"The database's URL should come from it ({self.origin}).",
                remedy=f"Set {self.variable}, or change the setting that names it.",
            )
        return self.secret_url

    @property
    def shown(self) -> str:
        """The setting as a person may see it, without secrets."""
        if self.embedded:
            return f"embedded server, database {EMBEDDED_DATABASE}"
        address = "not set" if self.secret_url is None else shown(self.secret_url)
        return address if self.variable is None else f"env:{self.variable} ({address})"


@dataclass(frozen=True, slots=True)
class FolderSetting:
    """A folder (absolute; it need not exist yet) and where the choice comes from."""

    path: Path
    origin: str


@dataclass(frozen=True, slots=True)
class RepositorySetting:
    """Where the repository is, as an absolute path or `s3://bucket/prefix`, and where the choice comes from."""

    address: str
    origin: str

    @property
    def path(self) -> Path:
        """The folder; raises UsageError when the repository is in a bucket."""
        place = parse_address(self.address, setting=self.origin)
        if isinstance(place, Bucket):
            raise UsageError(f"The repository {place} is in a bucket, and this needs a folder of this machine.")
        return place


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process is told from outside; `configuration` is what `moi.toml` says, or its defaults."""

    configuration: Configuration
    source: DatabaseSetting
    restore_target: DatabaseSetting
    repository: RepositorySetting
    state: FolderSetting
    buckets: S3Access
    keys: tuple[KeySource, ...] = ()
    copy: RepositorySetting | None = None
    copy_buckets: S3Access = field(default_factory=S3Access)
    drill: DatabaseSetting = field(default_factory=lambda: DatabaseSetting(origin="default"))


def read_settings(environ: Mapping[str, str], *, cwd: Path, effective_uid: int) -> Settings:
    """All settings of a process that was started in the folder `cwd`.

    Raises ConfigurationError for an unknown, reserved or empty `MOI_*` variable and for what is wrong with `moi.toml`.
    """
    configuration = read_configuration(environ, cwd=cwd)
    state = _state(environ, cwd=cwd, effective_uid=effective_uid)
    source = _source(environ, configuration)
    return Settings(
        configuration=configuration,
        source=source,
        restore_target=_restore_target(environ, configuration, source=source),
        repository=_repository(environ, configuration, cwd=cwd, state=state.path),
        state=state,
        buckets=read_access(environ),
        keys=_keys(environ, cwd=cwd),
        copy=_copy(environ, configuration, cwd=cwd),
        copy_buckets=read_copy_access(environ),
        drill=_drill(environ, configuration),
    )


def place_named(address: str, *, cwd: Path, setting: str) -> RepositorySetting:
    """A place of backups that a person named, a path being relative to `cwd`; `setting` is how they named it."""
    return RepositorySetting(_absolute(parse_address(address, setting=setting), cwd), setting)


def read_configuration(environ: Mapping[str, str], *, cwd: Path) -> Configuration:
    """What `moi.toml` says (`MOI_CONFIG`, else the file in `cwd`); without a file the three platform tables.

    Raises ConfigurationError, also for unknown, reserved or empty `MOI_*` variables.
    """
    _check_variables(environ)
    name = environ.get("MOI_CONFIG", DEFAULT_FILE)
    try:
        text = (cwd / plain_path(name, setting="MOI_CONFIG")).read_text("utf-8-sig")
    except FileNotFoundError as error:
        if "MOI_CONFIG" in environ:
            raise ConfigurationError(f"MOI_CONFIG names {name}, and there is no such file.", remedy=_REMEDY) from error
        return default_configuration()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {name} cannot be read: {error}.") from error
    return parse_configuration(text, file=name)


def _check_variables(environ: Mapping[str, str]) -> None:
    for name in sorted(name for name in environ if name.startswith("MOI_")):
        if name in LATER_VARIABLES:
            raise ConfigurationError(
                f"{name} is set. {LATER_VARIABLES[name]}",
                meaning="Going on would leave unprotected what it names.",
                remedy=f"Unset {name}, and keep those files safe in another way.",
            )
        if name not in VARIABLES and not _KEY.fullmatch(name):
            near = ["MOI_KEY_1"] if name.startswith("MOI_KEY") else get_close_matches(name, VARIABLES, n=1, cutoff=0.5)
            raise ConfigurationError(
                f"The environment variable {name} is unknown.",
                meaning="Every name that begins with MOI_ is a setting; this one is misspelt or from another release.",
                remedy=f"Did you mean {near[0]}? {_REMEDY}" if near else _REMEDY,
            )
        if not environ[name].strip():
            raise ConfigurationError(
                f"The environment variable {name} is set but empty.", remedy=f"Give it a value, or unset {name}."
            )


def _keys(environ: Mapping[str, str], *, cwd: Path) -> tuple[KeySource, ...]:
    """The configured keys by number; none is read yet."""
    found = [(int(match[1]), value) for name, value in environ.items() if (match := _KEY.fullmatch(name))]
    return tuple(KeySource(number, value.strip(), cwd) for number, value in sorted(found))


def _state(environ: Mapping[str, str], *, cwd: Path, effective_uid: int) -> FolderSetting:
    if "MOI_STATE" in environ:
        return FolderSetting(cwd / plain_path(environ["MOI_STATE"], setting="MOI_STATE"), "environment MOI_STATE")
    # Root runs the embedded server as an unprivileged user, who could not enter root's home.
    path = _root_state(cwd) if effective_uid == 0 else cwd / ".moi"
    return FolderSetting(path, "default")


def _root_state(cwd: Path) -> Path:
    folder = cwd.resolve()
    name = re.sub(r"[^A-Za-z0-9._-]", "_", folder.name)[:32] or "root"
    return ROOT_STATE / f"{name}-{blake2b(os.fsencode(folder), digest_size=4).hexdigest()}"


def _repository(
    environ: Mapping[str, str], configuration: Configuration, *, cwd: Path, state: Path
) -> RepositorySetting:
    if "MOI_REPOSITORY" in environ:
        place = parse_address(environ["MOI_REPOSITORY"], setting="MOI_REPOSITORY")
        return RepositorySetting(_absolute(place, cwd), "environment MOI_REPOSITORY")
    address = configuration.repository.address
    if address is None:
        return RepositorySetting(str(state / "repository"), "default")
    origin = configuration.origin("repository.address")
    folder = (cwd / (configuration.file or "")).parent
    place = parse_address(address, setting=f"{origin}: repository.address")
    return RepositorySetting(_absolute(place, folder), origin)


def _copy(environ: Mapping[str, str], configuration: Configuration, *, cwd: Path) -> RepositorySetting | None:
    if "MOI_REPOSITORY_COPY" in environ:
        place = parse_address(environ["MOI_REPOSITORY_COPY"], setting="MOI_REPOSITORY_COPY")
        return RepositorySetting(_absolute(place, cwd), "environment MOI_REPOSITORY_COPY")
    if configuration.repository.copy is None:
        return None
    origin = configuration.origin("repository.copy")
    folder = (cwd / (configuration.file or "")).parent
    place = parse_address(configuration.repository.copy, setting=f"{origin}: repository.copy")
    return RepositorySetting(_absolute(place, folder), origin)


def _absolute(place: Path | Bucket, folder: Path) -> str:
    return str(place) if isinstance(place, Bucket) else str(folder / place)


def _source(environ: Mapping[str, str], configuration: Configuration) -> DatabaseSetting:
    if "MOI_SOURCE_URL" in environ:
        return _database(environ["MOI_SOURCE_URL"], origin="environment MOI_SOURCE_URL", environ=environ)
    if configuration.source.url is None:
        return DatabaseSetting(origin="default")
    return _database(configuration.source.url, origin=configuration.origin("source.url"), environ=environ)


def _restore_target(
    environ: Mapping[str, str], configuration: Configuration, *, source: DatabaseSetting
) -> DatabaseSetting:
    if configuration.restore.url is None:
        return source
    return _database(configuration.restore.url, origin=configuration.origin("restore.url"), environ=environ)


def _drill(environ: Mapping[str, str], configuration: Configuration) -> DatabaseSetting:
    if "MOI_DRILL_URL" in environ:
        return _database(environ["MOI_DRILL_URL"], origin="environment MOI_DRILL_URL", environ=environ)
    if configuration.drill.url is None:
        return DatabaseSetting(origin="default")
    return _database(configuration.drill.url, origin=configuration.origin("drill.url"), environ=environ)


def _database(value: str, *, origin: str, environ: Mapping[str, str]) -> DatabaseSetting:
    """A URL, or `env:NAME` followed once; a variable without a value is kept for the error of its use."""
    try:
        variable = named_variable(value)
    except ValueError as error:
        raise ConfigurationError(f"The database URL is not usable ({origin}): {error}.") from None
    url = value if variable is None else environ.get(variable) or None
    if url is not None:
        try:
            check_connection_url(url)
        except ValueError as error:
            place = origin if variable is None else f"environment {variable}, named by {origin}"
            # The cause is not chained: nothing may carry the URL into a traceback.
            raise ConfigurationError(f"The database URL is not usable ({place}): {error}.") from None
    return DatabaseSetting(origin=origin, variable=variable, secret_url=url)
