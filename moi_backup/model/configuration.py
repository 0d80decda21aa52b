"""What `moi.toml` configures: frozen values with their defaults; docs/configuration.md describes every key.

`moi_backup.model.configuration_document` reads the file. A value that is None was not given: the catalog decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import msgspec
from blake3 import blake3

from moi_backup.model.setting_rules import (
    refuse_empty,
    refuse_odd_columns,
    refuse_odd_scope,
    refuse_unfit_url,
    refuse_unknown_timezone,
)
from moi_backup.model.table import TableName

DataClass = Literal["critical", "historical", "reports"]
MAXIMUM_HOURS = 24.0


class TableSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[tables."schema.name"]`. Given but empty means that there is none: no day column, no merge key.

    `newer_by` is the timestamp column that tells a restore with take-newer which of two rows is the newer one.
    `scopes` maps an encryption scope to its columns; a column of no scope is in scope `default`.
    """

    day: str | None = None
    key: tuple[str, ...] | None = None
    required: tuple[str, ...] | None = None
    data_class: DataClass = msgspec.field(name="class", default="historical")
    newer_by: str | None = None
    scopes: dict[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        refuse_odd_columns("key", self.key or ())
        refuse_odd_columns("required", self.required or ())
        refuse_empty("newer_by", self.newer_by)
        for scope in self.scopes:
            refuse_odd_scope(scope)
        refuse_odd_columns("scopes", [column for columns in self.scopes.values() for column in columns])

    def scope_of(self, column: str) -> str:
        """The encryption scope of a column."""
        return next((scope for scope, columns in self.scopes.items() if column in columns), "default")


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[source]`: the protected database. `lock_timeout` is in seconds, `max_duration` in hours."""

    url: str | None = None
    schema: str = "public"
    timezone: str = "Asia/Kolkata"
    partition_start: date = date(2024, 1, 1)
    lock_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    # Prune's grace must outlast every backup (docs/format.md, "Marks, trash, prune"), so no file may exceed its limit.
    max_duration: Annotated[float, msgspec.Meta(gt=0, le=MAXIMUM_HOURS)] = MAXIMUM_HOURS

    def __post_init__(self) -> None:
        refuse_unfit_url(self.url)
        refuse_empty("schema", self.schema)
        refuse_unknown_timezone(self.timezone)


class RepositorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[repository]`: where the backups lie, and their copy; a folder (relative to the file's own) or an address."""

    address: str | None = None
    copy: str | None = None

    def __post_init__(self) -> None:
        refuse_empty("address", self.address)
        refuse_empty("copy", self.copy)


class RestoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[restore]`: where Dagster's restored assets are written; without `url` into the source's own database."""

    url: str | None = None
    schema: str = "moi_restored"

    def __post_init__(self) -> None:
        refuse_unfit_url(self.url)
        refuse_empty("schema", self.schema)


class DrillSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[drill]`: the server on which drills make their scratch databases; without `url` an embedded one."""

    url: str | None = None

    def __post_init__(self) -> None:
        refuse_unfit_url(self.url)


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything configured. `tables` None means: all ordinary tables of `source.schema`.

    `file` is the file's name as a person would write it (None: there is none); `given` holds the path of every key
    that stands in it (`source.timezone`, `tables."public.meta_import_data".day`).
    """

    tables: dict[TableName, TableSettings] | None
    source: SourceSettings = msgspec.field(default_factory=SourceSettings)
    repository: RepositorySettings = msgspec.field(default_factory=RepositorySettings)
    restore: RestoreSettings = msgspec.field(default_factory=RestoreSettings)
    drill: DrillSettings = msgspec.field(default_factory=DrillSettings)
    file: str | None = None
    given: frozenset[str] = frozenset()

    def table(self, name: TableName) -> TableSettings:
        """The settings of one table: its entry, else the platform's default for it, else nothing but defaults."""
        entry = (self.tables or {}).get(name)
        return platform_default(name, schema=self.source.schema) if entry is None else entry

    def origin(self, path: str) -> str:
        """Where a setting comes from: the file's name, or `default`."""
        return self.file if self.file is not None and path in self.given else "default"


PLATFORM_TABLES: Mapping[str, TableSettings] = {
    "meta_import_data": TableSettings(
        day="day",
        key=("day", "campaign_name", "ad_set_name", "ad_name"),
        required=("day", "campaign_name", "ad_set_name", "ad_name"),
        data_class="critical",
        scopes={
            "financial": ("amount_spent", "cpm"),
            "sensitive_campaigns": ("campaign_name", "ad_set_name", "ad_name"),
        },
    ),
    "google_import_data": TableSettings(
        day="day",
        key=("day", "campaign"),
        required=("day", "campaign"),
        data_class="critical",
        scopes={"financial": ("cost", "cpm"), "sensitive_campaigns": ("campaign",)},
    ),
    "shopify_import_data": TableSettings(
        day="day",
        key=("day", "utm_campaign", "utm_term", "utm_content"),
        required=("day", "utm_campaign", "online_store_visitors"),
        data_class="critical",
        scopes={"sensitive_campaigns": ("utm_campaign",)},
    ),
}


def default_configuration() -> Configuration:
    """The configuration where there is no file: the three platform tables."""
    return Configuration(tables={TableName("public", name): settings for name, settings in PLATFORM_TABLES.items()})


def platform_default(name: TableName, *, schema: str) -> TableSettings:
    """The default of a platform table in the source's schema; for any other table nothing is set."""
    return PLATFORM_TABLES.get(name.name, TableSettings()) if name.schema == schema else TableSettings()


def configuration_digest(configuration: Configuration) -> str:
    """BLAKE3 (hex) of the canonical JSON of what decides how rows are cut, ordered and checked.

    Connections, places, limits and what only a restore asks for are left out: they change nothing in a backup and may
    be private.
    """
    tables = configuration.tables
    document = {
        "defaults": {name: _deciding(settings) for name, settings in PLATFORM_TABLES.items()},
        "partition_start": configuration.source.partition_start,
        "schema": configuration.source.schema,
        "tables": None if tables is None else {str(name): _deciding(settings) for name, settings in tables.items()},
        "timezone": configuration.source.timezone,
    }
    return blake3(msgspec.json.encode(document, order="sorted")).hexdigest()


def _deciding(settings: TableSettings) -> dict[str, object]:
    """What of a table's settings decides how it is backed up."""
    return {name: value for name, value in msgspec.to_builtins(settings).items() if name != "newer_by"}
