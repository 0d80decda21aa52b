"""How a protected table is called in Dagster: its asset keys, and the schema its restored days go to. Nothing else.

Dagster's names take letters, digits and underscores only, so a table with another name gets a short hash that keeps it
apart from its like.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import dagster as dg

from moi_backup.model.configuration import Configuration
from moi_backup.model.table import TableName


@dataclass(frozen=True, slots=True)
class TableAssets:
    """One protected table: `slug` is its name in asset keys, `target` the table its restored days are written to."""

    table: TableName
    slug: str
    target: TableName
    data_class: str
    required: tuple[str, ...]

    @property
    def live(self) -> dg.AssetKey:
        """The table in the protected database."""
        return dg.AssetKey(["live", self.slug])

    @property
    def snapshot(self) -> dg.AssetKey:
        """Its days in the repository."""
        return dg.AssetKey(f"{self.slug}_snapshot")

    @property
    def restored(self) -> dg.AssetKey:
        """Its days written back."""
        return dg.AssetKey(f"{self.slug}_restored")

    @property
    def preview(self) -> dg.AssetKey:
        """What writing its days back would do."""
        return dg.AssetKey(f"{self.slug}_restore_preview")

    def target_of(self, chosen: Literal["configured", "live"]) -> TableName:
        """The table that a restore writes to."""
        return self.table if chosen == "live" else self.target


def table_assets(configuration: Configuration) -> tuple[TableAssets, ...]:
    """The tables that `moi.toml` names (without a file the platform's three).

    A file without `[tables]` protects whatever the schema holds; only a connection could tell, so there are none then.
    """
    tables = configuration.tables or {}
    names = Counter(table.name for table in tables)
    return tuple(
        TableAssets(
            table=table,
            slug=_slug(table, schema=configuration.source.schema),
            target=TableName(_target_schema(table, configuration, shared=names[table.name] > 1), table.name),
            data_class=settings.data_class,
            required=settings.required or (),
        )
        for table, settings in tables.items()
    )


def _slug(table: TableName, *, schema: str) -> str:
    name = table.name if table.schema == schema else f"{table.schema}__{table.name}"
    slug = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return slug if slug == name else f"{slug}_{blake2b(str(table).encode(), digest_size=3).hexdigest()}"


def _target_schema(table: TableName, configuration: Configuration, *, shared: bool) -> str:
    """The configured schema; tables of one name from several schemas are kept apart in it."""
    schema = configuration.restore.schema
    return f"{schema}_{table.schema}" if shared else schema
