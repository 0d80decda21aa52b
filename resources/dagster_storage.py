"""Dagster's own storage on Postgres, by any URL that Postgres hands out.

SQLAlchemy 2.1 takes `postgresql://` for psycopg 3, whose NOTIFY dagster-postgres cannot use, so the URL is made to name
psycopg2 where it is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData  # named by the signature that Dagster's storages have
from dagster_postgres import DagsterPostgresStorage

DRIVER = "postgresql+psycopg2"


class PostgresStorage(DagsterPostgresStorage):
    """`storage: custom:` of dagster.yaml; the same tables and the same configuration as `storage: postgres:`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage at the configured `postgres_url`."""
        return cls(
            postgres_url=with_driver(config_value["postgres_url"]),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )


def with_driver(url: str) -> str:
    """A Postgres URL that names psycopg2; one that names a driver already is left as it is."""
    scheme, separator, rest = url.partition("://")
    return f"{DRIVER}{separator}{rest}" if scheme in {"postgres", "postgresql"} else url
