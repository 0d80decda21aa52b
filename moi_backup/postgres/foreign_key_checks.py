"""Foreign keys that a restore in place would break or follow, in both directions, found before anything is written."""

from __future__ import annotations

import json
from typing import Any, Final

from moi_backup.model.table import TableName
from moi_backup.postgres.identifiers import qualified, quote_identifier
from moi_backup.postgres.restore_checks import Refusal, Rows, equal_sql, family, regclass
from moi_backup.postgres.staged_changes import AT, PLACES, StagedChanges

_ON_DELETE: Final = {
    "a": "cannot lose the rows they refer to",
    "r": "cannot lose the rows they refer to",
    "c": "would be deleted with them (ON DELETE CASCADE)",
    "n": "would lose their reference (ON DELETE SET NULL)",
    "d": "would change their reference (ON DELETE SET DEFAULT)",
}
_Key = dict[str, str]


def check_references(rows: Rows, staged: StagedChanges) -> tuple[Refusal, ...]:
    """Rows that stay and refer, by a foreign key, to rows that go or whose referenced key becomes another."""
    refusals: list[Refusal] = []
    for name, schema, table, action, facts in rows(_references_sql(staged.table, "confrelid")):
        child = TableName(schema, table)
        [(count,)] = rows(referenced_sql(staged, child, kept=action == "a", **json.loads(facts)))
        if count:
            refusals.append(Refusal(f"foreign key {name} of {child}", f"{count} rows of {child} {_ON_DELETE[action]}"))
    return tuple(refusals)


def check_parents(rows: Rows, staged: StagedChanges) -> tuple[Refusal, ...]:
    """Rows that come and refer to a row that there will not be."""
    refusals: list[Refusal] = []
    for name, schema, table, _, facts in rows(_references_sql(staged.table, "conrelid")):
        parent = TableName(schema, table)
        if not _known(staged, parent, json.loads(facts)["keys"]):
            continue
        [(count,)] = rows(orphans_sql(staged, parent, **json.loads(facts)))
        if count:
            why = f"{count} rows of the backup refer to rows of {parent} that are not there"
            refusals.append(Refusal(f"foreign key {name} of {staged.table}", why))
    return tuple(refusals)


def referencing_tables(rows: Rows, table: TableName) -> tuple[TableName, ...]:
    """Other tables with a foreign key to this one: to be locked against writes before `check_references` counts."""
    found = {TableName(schema, name) for _, schema, name, _, _ in rows(_references_sql(table, "confrelid"))}
    return tuple(sorted(found - {table}))


def referenced_sql(
    staged: StagedChanges, child: TableName, *, kept: bool, keys: list[_Key], partitioned: bool, **_: Any
) -> str:
    """The count of the child's rows that refer to a row that goes; of the table itself only rows that stay count.

    `kept`: a row that is moved and keeps its key does not go (NO ACTION looks at the end of the statement).
    """
    equal = " AND ".join(
        equal_sql(f"gone.{quote_identifier(key['parent'])}", f"child.{quote_identifier(key['child'])}", key)
        for key in keys
    )
    source = f"{'' if partitioned else 'ONLY '}{qualified(child)}"
    children = staged.staying if child == staged.table else f"(SELECT * FROM {source})"
    return (
        f"SELECT count(*) FROM {children} AS child WHERE EXISTS"
        f" (SELECT FROM {_going(staged, keys, kept=kept)} AS gone WHERE {equal})"
    )


def orphans_sql(staged: StagedChanges, parent: TableName, *, keys: list[_Key], partitioned: bool, **_: Any) -> str:
    """The count of the rows that come with a whole reference to a row that neither stays nor comes."""
    names = ", ".join(quote_identifier(key["parent"]) for key in keys)
    if parent == staged.table:
        parents = f"(SELECT {names} FROM {staged.staying} AS o UNION ALL SELECT {names} FROM {staged.come})"
    else:
        parents = f"{'' if partitioned else 'ONLY '}{qualified(parent)}"
    whole = " AND ".join(f"s.{quote_identifier(key['child'])} IS NOT NULL" for key in keys)
    equal = " AND ".join(
        equal_sql(f"parent.{quote_identifier(key['parent'])}", f"s.{quote_identifier(key['child'])}", key)
        for key in keys
    )
    return (
        f"SELECT count(*) FROM {staged.come} AS s WHERE {whole}"
        f" AND NOT EXISTS (SELECT FROM {parents} AS parent WHERE {equal})"
    )


def _known(staged: StagedChanges, parent: TableName, keys: list[_Key]) -> bool:
    """Whether rows that come have the columns of the foreign key; Postgres looks after the defaults of others."""
    written = {column.name for column in staged.written}
    ends = ["child", "parent"] if parent == staged.table else ["child"]
    return written.issuperset(key[end] for key in keys for end in ends)


def _going(staged: StagedChanges, keys: list[_Key], *, kept: bool) -> str:
    """The live rows that go, and those whose referenced key becomes another."""
    written = {column.name for column in staged.written}
    same = " AND ".join(
        f"o.{quote_identifier(key['parent'])} OPERATOR({key['same']}) s.{quote_identifier(key['parent'])}"
        for key in keys
        if key["parent"] in written
    )
    same = same or "p.number IS NOT NULL"
    moved = "" if kept else " OR p.moved"
    return (
        f"(SELECT o.* FROM {staged.source} AS o JOIN pg_temp.{PLACES} AS p ON {AT}"
        f" LEFT JOIN {staged.come} AS s ON s.{staged.number} = p.number"
        f" WHERE p.number IS NULL{moved} OR ({same}) IS NOT TRUE)"
    )


def _references_sql(table: TableName, end: str) -> str:
    """Foreign keys that end at the table: `confrelid` those of others to it, `conrelid` its own.

    Name, the table at the other end, ON DELETE action and facts (JSON for the queries above).
    """
    other = "conrelid" if end == "confrelid" else "confrelid"
    # A foreign key of one partition concerns its rows alone, and Postgres looks after it. One that is not validated
    # acts on rows that refer to this table like any other; of those that refer from here it promises nothing.
    ours = f"IN {family(table)}" if end == "confrelid" else f"= {regclass(table)} AND k.convalidated"
    return f"""
SELECT k.conname::text, n.nspname::text, c.relname::text, k.confdeltype::text, json_build_object(
  'partitioned', c.relkind = 'p',
  'keys', (SELECT json_agg(json_build_object(
      'parent', pa.attname, 'child', ca.attname, 'operator', quote_ident(onsp.nspname) || '.' || o.oprname,
      'same', quote_ident(snsp.nspname) || '.' || s.oprname,
      'collation', quote_ident(lnsp.nspname) || '.' || quote_ident(l.collname)) ORDER BY u.n)
    FROM unnest(k.confkey, k.conkey, k.conpfeqop, k.conppeqop) WITH ORDINALITY AS u(parent, child, operator, same, n)
    JOIN pg_catalog.pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent
    JOIN pg_catalog.pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
    JOIN pg_catalog.pg_operator o ON o.oid = u.operator JOIN pg_catalog.pg_namespace onsp ON onsp.oid = o.oprnamespace
    JOIN pg_catalog.pg_operator s ON s.oid = u.same JOIN pg_catalog.pg_namespace snsp ON snsp.oid = s.oprnamespace
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = pa.attcollation
    LEFT JOIN pg_catalog.pg_namespace lnsp ON lnsp.oid = l.collnamespace))::text
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.{other}
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.{end} {ours}
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY 2, 3, 1"""
