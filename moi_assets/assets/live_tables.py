"""The protected tables themselves: external assets, for the application writes them. Lineage begins here."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from moi_assets.tables import TableAssets

OWNERS = ["team:data"]


def live_table_specs(tables: Sequence[TableAssets]) -> list[dg.AssetSpec]:
    """One external asset a table."""
    return [
        dg.AssetSpec(
            key=table.live,
            description=f"Table `{table.table}` of the protected database, written by the application.",
            group_name="live",
            owners=OWNERS,
            kinds={"postgres", "table"},
            metadata={
                "table": str(table.table),
                "data class": table.data_class,
                "dagster/table_name": str(table.table),
            },
        )
        for table in tables
    ]
