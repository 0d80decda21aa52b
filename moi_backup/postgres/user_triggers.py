"""User triggers and rules that the statements of a restore would set off, and keeping the triggers still meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from moi_backup.model.table import TableName
from moi_backup.postgres.identifiers import qualified, quote_identifier
from moi_backup.postgres.restore_checks import Refusal, Rows, family, regclass

INSERT, DELETE, UPDATE = 4, 8, 16
"""Bits of pg_trigger.tgtype."""
_FIRES: Final = "IN ('A', CASE current_setting('session_replication_role') WHEN 'replica' THEN 'R' ELSE 'O' END)"
_RULE_EVENTS: Final = {UPDATE: "2", INSERT: "3", DELETE: "4"}
_ENABLE: Final = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


class Trigger(NamedTuple):
    """An enabled user trigger; `copied` tells that a partition has it from its parent."""

    table: TableName
    name: str
    enabled: str
    copied: bool

    def __str__(self) -> str:
        return f"{self.name} on {self.table}"


def firing_triggers(rows: Rows, table: TableName, events: int) -> tuple[Trigger, ...]:
    """The user triggers of the table and its partitions that would fire for any of these events (a sum of bits)."""
    return tuple(
        Trigger(TableName(schema, relation), name, enabled, copied)
        for name, schema, relation, enabled, copied in rows(_triggers_sql(table, events))
    )


def check_triggers(rows: Rows, table: TableName, events: int) -> tuple[Refusal, ...]:
    """The triggers that would fire; a partition's copy of its parent's is told once, for the parent."""
    return tuple(
        Refusal(f"trigger {trigger}", "it would fire for the restored rows (see --disable-triggers)")
        for trigger in firing_triggers(rows, table, events)
        if not trigger.copied
    )


def check_rules(rows: Rows, table: TableName, events: int) -> tuple[Refusal, ...]:
    """Enabled rules on any of these events."""
    return tuple(
        Refusal(f"rule {name} on {table}", "it would rewrite the statements of the restore")
        for (name,) in rows(_rules_sql(table, events))
    )


def disable(run: Callable[[str], None], triggers: tuple[Trigger, ...]) -> None:
    """Keep them from firing in this transaction; others do not see it before the commit."""
    for trigger in triggers:
        run(f"ALTER TABLE ONLY {qualified(trigger.table)} DISABLE TRIGGER {quote_identifier(trigger.name)}")


def enable(run: Callable[[str], None], triggers: tuple[Trigger, ...]) -> None:
    """Enable each as it was."""
    for trigger in triggers:
        how = _ENABLE[trigger.enabled]
        run(f"ALTER TABLE ONLY {qualified(trigger.table)} {how} TRIGGER {quote_identifier(trigger.name)}")


def _triggers_sql(table: TableName, events: int) -> str:
    return (
        "SELECT t.tgname::text, n.nspname::text, c.relname::text, t.tgenabled::text, t.tgparentid <> 0"
        " FROM pg_catalog.pg_trigger t"
        " JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE t.tgrelid IN {family(table)} AND NOT t.tgisinternal AND t.tgtype & {events:d} <> 0"
        f" AND t.tgenabled {_FIRES} ORDER BY 3, 1"
    )


def _rules_sql(table: TableName, events: int) -> str:
    kinds = ", ".join(f"'{kind}'" for event, kind in _RULE_EVENTS.items() if event & events) or "NULL"
    return (
        f"SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = {regclass(table)}"
        f" AND ev_type IN ({kinds}) AND ev_enabled {_FIRES} ORDER BY 1"
    )
