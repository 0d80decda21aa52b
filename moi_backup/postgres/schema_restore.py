"""Deciding which definitions of an archive a restore creates, and in which order; nothing is executed here.

`plan_schema` selects by dependency: the wanted tables with their partitions, whatever these need, and whatever belongs
to them. What cannot be created without a table that is not wanted, or for a role the target lacks, is left out with
its reason. The texts are run on one connection inside one transaction, each as one multi-statement query (psycopg's
`execute` without parameters, ADBC's `Cursor.executescript`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from moi_backup.errors import SourceError
from moi_backup.model.table import TableName
from moi_backup.postgres.schema_archive import Entry, statements

SCHEMA_SETTINGS: Final = (
    "SET LOCAL search_path = ''",
    "SET LOCAL check_function_bodies = off",
    "SET LOCAL client_min_messages = warning",
    "SET LOCAL xmloption = content",
    "SET LOCAL row_security = off",
    "SET LOCAL default_tablespace = ''",
    "SET LOCAL statement_timeout = 0",
)
"""To be run in the transaction before any text of a plan."""

_RELATIONS: Final = {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"}
_CREATE: Final = {"DEFAULT", "TABLE ATTACH", "SEQUENCE", "SEQUENCE OWNED BY"}
_FINISH: Final = {"CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "INDEX ATTACH", "STATISTICS"}
_LATE: Final = {"TRIGGER", "RULE", "POLICY", "ROW SECURITY"}
_FINAL: Final = {"FK CONSTRAINT"}
_REMARKS: Final = {"COMMENT", "ACL"}
_ATTACHED: Final = _CREATE | _FINISH | _LATE | _FINAL
_NEVER: Final = {
    "PUBLICATION TABLE": "publications are not restored",
    "SECURITY LABEL": "security labels need the module that set them",
    "VIEW": "views are not restored",
    "MATERIALIZED VIEW": "materialized views are not restored",
}
_IDENTIFIER: Final = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_GRANTEE: Final = re.compile(rf"\b(?:TO|FROM) ({_IDENTIFIER})(?: WITH GRANT OPTION)?;\Z")
_POLICY_ROLES: Final = re.compile(rf" TO ({_IDENTIFIER}(?:, {_IDENTIFIER})*)(?= USING| WITH CHECK|;)")
_ANYBODY: Final = {"public", "current_user", "session_user", "current_role"}


@dataclass(frozen=True, slots=True)
class Omitted:
    """A definition that the plan leaves out, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class TablePlan:
    """One table: `create_sql` makes it empty and bare; after loading `finish_sql` adds keys, indexes, triggers.

    Both need the tables `after` which it comes (its parents, tables whose row types its functions use).
    """

    table: TableName
    create_sql: str
    finish_sql: str
    after: frozenset[TableName] = frozenset()


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """Texts in the order of running: shared, every table's create, the rows, every table's finish, final.

    `entries` are what the texts create, in the archive's order, with the grants that can be made.
    """

    shared: tuple[str, ...]
    tables: tuple[TablePlan, ...]
    final: tuple[str, ...]
    omitted: tuple[Omitted, ...]
    entries: tuple[Entry, ...] = ()

    @property
    def shared_sql(self) -> str:
        """The shared definitions as one text."""
        return "\n\n".join(self.shared)

    @property
    def final_sql(self) -> str:
        """The final definitions as one text."""
        return "\n\n".join(self.final)


@dataclass(slots=True)
class _Choice:
    """The work in progress: what is wanted and what was chosen so far, all by entry id."""

    entries: dict[int, Entry]
    root_of: dict[int, int]
    chosen: dict[int, Entry]
    omitted: list[Omitted]
    reach: dict[int, frozenset[int]]
    there: frozenset[int]


def plan_schema(
    entries: Sequence[Entry],
    tables: Iterable[TableName],
    *,
    roles: Collection[str],
    existing: Collection[TableName] = (),
) -> SchemaPlan:
    """The plan for the wanted tables; `roles` are those the target server has, `existing` the tables it has.

    A foreign key to an existing table is restored; nothing else is built on one, which may have any columns. Raises
    SourceError when a wanted table is not in the archive or cannot exist without a table that is not wanted.
    """
    wanted = tuple(tables)
    choice = _start(entries, wanted, existing=existing)
    for number in list(choice.root_of):
        _choose_table(choice, choice.entries[number])
    for entry in entries:
        _consider(choice, entry, roles=frozenset(roles))
    return _arrange(choice)


def named_roles(entries: Iterable[Entry]) -> frozenset[str]:
    """The roles that grants and policies of an archive name; a target without one cannot make these."""
    found: set[str] = set()
    for entry in entries:
        if entry.kind == "POLICY":
            found.update(_policy_roles(entry.sql))
        elif entry.kind == "ACL":
            grantees = (_GRANTEE.search(statement) for statement in statements(entry.sql))
            found.update(_unquote(grantee.group(1)) for grantee in grantees if grantee)
    return frozenset(role for role in found if role.lower() not in _ANYBODY)


def _start(entries: Sequence[Entry], wanted: Sequence[TableName], *, existing: Collection[TableName]) -> _Choice:
    by_id = {entry.id: entry for entry in entries}
    names = {TableName(entry.schema, entry.name): entry.id for entry in entries if entry.kind == "TABLE"}
    missing = [str(name) for name in wanted if name not in names]
    if missing:
        raise SourceError(
            f"The backup's schema archive has no definition of {', '.join(missing)}.",
            meaning="The table cannot be created.",
            remedy="Restore into an existing table with the same columns, or into a scratch schema.",
        )
    root_of = {names[name]: names[name] for name in wanted}
    for entry in entries:
        # Parents come before their partitions in the archive, so one pass reaches every level.
        if entry.kind == "TABLE ATTACH":
            child = names.get(TableName(entry.schema, entry.name))
            parent = next((number for number in entry.depends_on if number != child), None)
            # A foreign table as a partition is no TABLE: its attachment is left out by name.
            if child is not None and parent in root_of:
                root_of.setdefault(child, root_of[parent])
    there = frozenset(number for name, number in names.items() if name in existing and number not in root_of)
    return _Choice(entries=by_id, root_of=root_of, chosen={}, omitted=[], reach=_reach(entries), there=there)


def _reach(entries: Sequence[Entry]) -> dict[int, frozenset[int]]:
    """For every entry all entries it needs, directly or not, itself included."""
    known = {entry.id: entry for entry in entries}
    reach: dict[int, frozenset[int]] = {}
    stack = [entry.id for entry in entries]
    entered: set[int] = set()
    while stack:
        number = stack[-1]
        needed = [other for other in known[number].depends_on if other in known]
        open_ones = [other for other in needed if other not in reach and other not in entered]
        entered.add(number)
        if open_ones:
            stack.extend(open_ones)
            continue
        reach[number] = frozenset({number}).union(*(reach.get(other, frozenset()) for other in needed))
        stack.pop()
    return reach


def _strangers(choice: _Choice, entry: Entry) -> list[str]:
    """The relations that the entry needs, that are not restored, and that it cannot find in the target either."""
    usable = choice.there if entry.kind in _FINAL else frozenset[int]()
    needed = (choice.entries[number] for number in sorted(choice.reach[entry.id] - {entry.id} - usable))
    return [str(other) for other in needed if other.kind in _RELATIONS and other.id not in choice.root_of]


def _choose_table(choice: _Choice, table: Entry) -> None:
    strangers = _strangers(choice, table)
    if strangers:
        raise SourceError(
            f"The {table} cannot be created without {', '.join(strangers)}.",
            meaning="It inherits from it, or a type or default uses it.",
            remedy="Restore that table as well.",
        )
    _take(choice, table)


def _take(choice: _Choice, entry: Entry) -> None:
    """With all it needs, but not what a table that is there already needs or owns."""
    open_ones = [entry.id]
    while open_ones:
        number = open_ones.pop()
        if number in choice.chosen:
            continue
        choice.chosen[number] = choice.entries[number]
        needed = (other for other in choice.entries[number].depends_on if other in choice.entries)
        open_ones += [other for other in needed if not choice.there & choice.reach[other]]


def _consider(choice: _Choice, entry: Entry, *, roles: frozenset[str]) -> None:
    """Take what belongs to something chosen; entries come in an order in which that is already decided."""
    if entry.id in choice.chosen:
        return
    if entry.kind in _REMARKS:
        if entry.depends_on and entry.depends_on[0] in choice.chosen:
            _take_remark(choice, entry, roles=roles)
        return
    if not choice.root_of.keys() & choice.reach[entry.id]:
        return
    if entry.kind in _NEVER:
        choice.omitted.append(Omitted(str(entry), _NEVER[entry.kind]))
    elif entry.kind in _ATTACHED and _owner(choice, entry) in choice.root_of:
        reason = _obstacle(choice, entry, roles=roles)
        if reason:
            choice.omitted.append(Omitted(str(entry), reason))
        else:
            _take(choice, entry)


def _owner(choice: _Choice, entry: Entry) -> int:
    """The table that an attached entry belongs to: of those it needs, the one its name begins with."""
    tables = [other for number in entry.depends_on if (other := choice.entries.get(number)) and other.kind == "TABLE"]
    named = [t for t in tables if t.schema == entry.schema and f"{entry.name} ".startswith(f"{t.name} ")]
    best = max(named or tables, key=lambda table: len(table.name), default=None)
    if best is not None:
        return best.id
    return next((number for number in choice.reach[entry.id] if number in choice.root_of), 0)


def _obstacle(choice: _Choice, entry: Entry, *, roles: frozenset[str]) -> str:
    strangers = _strangers(choice, entry)
    if strangers:
        return f"it needs the {', the '.join(strangers)}, which is not restored"
    if entry.kind == "POLICY":
        absent = [role for role in _policy_roles(entry.sql) if role not in roles]
        if absent:
            return f"the target has no role {', '.join(absent)}"
    return ""


def _take_remark(choice: _Choice, entry: Entry, *, roles: frozenset[str]) -> None:
    """A comment as it is; of grants only those to roles that exist, as granted by the restoring role."""
    if entry.kind == "COMMENT":
        choice.chosen[entry.id] = entry
        return
    kept: list[str] = []
    for statement in statements(entry.sql):
        grantee = _GRANTEE.search(statement)
        role = _unquote(grantee.group(1)) if grantee else ""
        if role and role not in roles and role.lower() not in _ANYBODY:
            choice.omitted.append(Omitted(statement.removesuffix(";"), f"the target has no role {role}"))
        elif role:
            kept.append(statement)
    choice.chosen[entry.id] = replace(entry, sql="\n".join(kept))


def _policy_roles(sql: str) -> list[str]:
    found = _POLICY_ROLES.search(sql)
    roles = [_unquote(part) for part in re.findall(_IDENTIFIER, found.group(1))] if found else []
    return [role for role in roles if role.lower() not in _ANYBODY]


def _unquote(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def _arrange(choice: _Choice) -> SchemaPlan:
    """The chosen entries, in the archive's order, dealt to the texts of the plan."""
    order = list(choice.entries)
    rank = {number: position for position, number in enumerate(order)}
    texts: dict[tuple[str, int], list[str]] = {}
    remarks: list[Entry] = []
    place: dict[int, tuple[str, int]] = {}
    for number in order:
        if number in choice.chosen:
            entry = choice.chosen[number]
            place[number] = _place(choice, entry, place=place, rank=rank)
            if entry.kind == "ACL":
                remarks.append(entry)
            elif entry.sql:
                texts.setdefault(place[number], []).append(_creating(entry))
    for entry in remarks:
        if entry.sql:
            texts.setdefault(place[entry.id], []).append(entry.sql)
    roots = sorted(set(choice.root_of.values()), key=rank.__getitem__)
    return SchemaPlan(
        shared=tuple(texts.get(("shared", 0), [])),
        tables=tuple(
            TablePlan(
                table=TableName(choice.entries[root].schema, choice.entries[root].name),
                create_sql="\n\n".join(texts.get(("create", root), [])),
                finish_sql="\n\n".join(texts.get(("finish", root), [])),
                after=_after(choice, root, place),
            )
            for root in roots
        ),
        final=tuple(texts.get(("final", 0), [])),
        omitted=tuple(choice.omitted),
        entries=tuple(choice.chosen[number] for number in order if number in choice.chosen),
    )


def _after(choice: _Choice, root: int, place: dict[int, tuple[str, int]]) -> frozenset[TableName]:
    """The other wanted tables that anything in the texts of this one needs."""
    mine = [number for number, (phase, owner) in place.items() if owner == root and phase in ("create", "finish")]
    needed = {choice.root_of[other] for number in mine for other in choice.reach[number] if other in choice.root_of}
    return frozenset(TableName(choice.entries[n].schema, choice.entries[n].name) for n in needed - {root})


def _place(
    choice: _Choice, entry: Entry, *, place: dict[int, tuple[str, int]], rank: dict[int, int]
) -> tuple[str, int]:
    """The phase, and the root table whose text the entry belongs to (0: none).

    Something that needs several tables (a function over row types) goes to the one that is created last.
    """
    if entry.kind in _REMARKS:
        phase, root = place[entry.depends_on[0]]
        return ("finish" if phase == "create" and entry.kind == "ACL" else phase, root)
    roots = {choice.root_of[number] for number in choice.reach[entry.id] if number in choice.root_of}
    if not roots:
        return "shared", 0
    if entry.kind in _FINAL or (entry.kind in _LATE and len(roots) > 1):
        return "final", 0
    owner = choice.root_of.get(_owner(choice, entry)) if entry.kind in _ATTACHED else choice.root_of.get(entry.id)
    root = owner if owner is not None else max(roots, key=rank.__getitem__)
    return ("finish" if entry.kind in _FINISH | _LATE else "create"), root


def _creating(entry: Entry) -> str:
    """The entry's SQL; a schema that exists already is used as it is."""
    if entry.kind == "SCHEMA":
        return entry.sql.replace("CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ", 1)
    return entry.sql
