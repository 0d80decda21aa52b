"""Reading a `pg_dump -Fc` archive of definitions: its entries with their SQL text and what each depends on.

One run of `pg_restore --verbose -f -` prints every entry under a comment that names it:

    -- TOC entry 228 (class 1259 OID 16592)
    -- Dependencies: 901 225
    -- Name: customer; Type: TABLE; Schema: public; Owner: -

Such a comment counts only at the top level of the SQL: the same words inside a function body or a string are text.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moi_backup.errors import SourceError
from moi_backup.model.child_environment import without_keys
from moi_backup.postgres.programs import find_program

_LIMIT_SECONDS: Final = 600.0
# What a scan of SQL steps over as a whole: strings, quoted names, dollar quotes, comments.
_TOKEN: Final = re.compile(
    r"""(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
      | (?P<comment>--[^\n]*) | /\*.*?\*/ | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)
_MARKER: Final = re.compile(r"-- TOC entry (\d+) \(class \d+ OID \d+\)")
_DEPENDENCIES: Final = re.compile(r"-- Dependencies:((?: \d+)*)")
_NAME: Final = re.compile(r"-- Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: .*")
_SETTING: Final = re.compile(r"(?:\s*SET default_(?:tablespace|table_access_method) = [^;\n]*;)+\s*\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive; `kind` is pg_dump's word (TABLE, FK CONSTRAINT, ...), `schema` "-" for none."""

    id: int
    kind: str
    schema: str
    name: str
    depends_on: tuple[int, ...]
    sql: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name if self.schema == '-' else f'{self.schema}.{self.name}'}"


def read_archive(archive: Path, *, server_major: int) -> tuple[Entry, ...]:
    """All entries of an archive that a server of that major version was dumped into, in the order they can be created.

    Owners, tablespaces and access methods are left out. Raises SourceError when pg_restore cannot read the archive.
    """
    program = find_program("pg_restore", server_major=server_major)
    done = subprocess.run(
        [program, "--verbose", "--no-owner", "--no-tablespaces", "--schema-only", "--file=-", archive],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=without_keys(os.environ),
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SourceError(
            f"pg_restore cannot read the schema archive: {done.stderr.decode('utf-8', 'replace').strip()[-500:]}",
            meaning="The definitions of the tables in this backup are not readable.",
            remedy=f"Run `moi-backup verify`; {program} must not be older than the pg_dump that wrote the archive.",
        )
    return parse_entries(done.stdout.decode())


def parse_entries(text: str) -> tuple[Entry, ...]:
    """The entries in pg_restore's verbose text; the settings before the first one are dropped."""
    marks = [match for match in _comments(text) if _MARKER.fullmatch(match.group())]
    ends = [match.start() for match in marks[1:]] + [len(text)]
    return tuple(_entry(text[mark.start() : end]) for mark, end in zip(marks, ends, strict=True))


def definition_text(entries: tuple[Entry, ...]) -> str:
    """All definitions without anything that changes from dump to dump: no dates, versions, tokens, ids."""
    return "\n".join(f"-- {entry.kind} {entry.schema} {entry.name}\n{entry.sql}" for entry in entries)


def statements(sql: str) -> list[str]:
    """The statements of a text, cut at semicolons outside of strings, names and comments (no BEGIN ATOMIC bodies)."""
    cuts = [match.end() for match in _TOKEN.finditer(sql) if match.group("end")]
    parts = [sql[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(sql)], strict=True)]
    return [part for part in parts if part]


def _comments(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _TOKEN.finditer(text) if match.group("comment"))


def _entry(text: str) -> Entry:
    """One entry from its marker to the next one's."""
    lines = text.split("\n")
    header, depends, named = 1, (), None
    while lines[header].startswith("-- "):
        if found := _DEPENDENCIES.fullmatch(lines[header]):
            depends = tuple(dict.fromkeys(int(number) for number in found.group(1).split()))
        named = _NAME.fullmatch(lines[header]) or named
        header += 1
    number = _MARKER.fullmatch(lines[0])
    if number is None or named is None:
        raise SourceError(
            f"An entry of the schema archive cannot be read: {text[:200]!r}.",
            meaning="This version does not know what its pg_restore prints.",
            remedy="Use the Postgres client programs of the version that wrote the archive.",
        )
    name, kind, schema = named.groups()
    sql = _body(lines[header:])
    return Entry(id=int(number.group(1)), kind=kind, schema=schema, name=name, depends_on=depends, sql=sql)


def _body(lines: list[str]) -> str:
    """The SQL below a header, without the comment that closes it, the next header's first line, trailing settings."""
    sql = "\n".join(lines[1:] if lines[0] == "--" else lines).rstrip()
    tail = [match for match in _TOKEN.finditer(sql) if match.group("end")]
    return _SETTING.sub("", sql[: tail[-1].end()]).strip() if tail else ""
