"""Values of one type cast to another where that loses nothing: cast forth and back, a value is what it was.

What a value is, is its text as Postgres writes it: 1.50 is not 1.5, and -0 is not 0. So a rounded number, a text that
is cut off or reads otherwise afterwards, and a value that the other type has no word for are all lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from moi_backup.model.column_plan import Carried
from moi_backup.model.table import Column
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.identifiers import quote_literal
from moi_backup.postgres.types import base_type, select_expression, text_expression

NO_SUCH_CAST, NO_SUCH_TYPE = ("42846",), ("42704", "3F000")
_TEXTS = ("text", "character varying", "character")
STAGED, NUMBER = "moi_cast", "moi_number"


@dataclass(frozen=True, slots=True)
class Cast:
    """A column that is cast. `stored` is how it is staged, in place `number` of the staging table.

    `direct` tells that Postgres casts from the one type to the other, else the text is read as the other type; `back`
    the same for the way back.
    """

    number: int
    stored: Column
    form: Column
    direct: bool = True
    back: bool = True

    @property
    def name(self) -> str:
        """The column of the staging table."""
        return f"v{self.number}"

    @property
    def loses(self) -> str:
        """SQL: whether the staged value becomes another one, or none at all."""
        return f"pg_temp.moi_loses_{self.number}({self.name})"

    @property
    def value(self) -> str:
        """SQL: the value in its new type; NULL where something would be lost."""
        return select_expression(self.form, f"(CASE WHEN NOT {self.loses} THEN {self._forth(self.name)} END)")

    def function_sql(self) -> str:
        """What makes `loses` work in this session."""
        stored = self.stored.pg_type
        body = f"""BEGIN
  RETURN ({text_expression(stored, "v")}) IS DISTINCT FROM ({self._text_back("v")});
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN RETURN true;
END"""
        return (
            f"CREATE FUNCTION pg_temp.moi_loses_{self.number}(v {stored}) RETURNS boolean"
            f" LANGUAGE plpgsql IMMUTABLE AS {quote_literal(body)}"
        )

    def _text_back(self, value: str) -> str:
        """The text of the value after the way back. A cast to varchar(n) would cut off what was added on the way."""
        stored, forth = self.stored.pg_type, self._forth(value)
        text = text_expression(self.form.pg_type, forth)
        if base_type(stored) in _TEXTS:
            return text
        return text_expression(stored, f"({forth if self.back else f'({text})'}::{stored})")

    def _forth(self, value: str) -> str:
        source = value if self.direct else f"({text_expression(self.stored.pg_type, value)})"
        return f"({source}::{self.form.pg_type})"


def casts_of(session: ArrowSession, retyped: Sequence[Carried]) -> tuple[Cast, ...]:
    """How each column is cast in this database, in the session's open transaction."""
    return tuple(_cast(session, number, carried) for number, carried in enumerate(retyped))


def prepare(session: ArrowSession, casts: Sequence[Cast]) -> None:
    """Make what `checked_sql` needs; it ends with the transaction."""
    fields = "".join(f", {cast.name} {cast.stored.pg_type}" for cast in casts)
    session.script(f"CREATE TEMPORARY TABLE {STAGED} ({NUMBER} int8{fields}) ON COMMIT DROP")
    for cast in casts:
        session.script(cast.function_sql())


def staged_columns(casts: Sequence[Cast]) -> tuple[Column, ...]:
    """The columns of the staging table: the number of the row, and the values as the backup has them."""
    number = Column(NUMBER, "bigint", "native", "int64")
    return (number, *(msgspec.structs.replace(cast.stored, name=cast.name) for cast in casts))


def checked_sql(casts: Sequence[Cast]) -> str:
    """A query: the staged rows in order, of each column whether its value is lost, then the values."""
    fields = [cast.loses for cast in casts] + [cast.value for cast in casts]
    return f"SELECT {', '.join(fields)} FROM pg_temp.{STAGED} ORDER BY {NUMBER}"


def checked_columns(casts: Sequence[Cast]) -> tuple[Column, ...]:
    """What that query gives."""
    return (*(Column(f"lost{cast.number}", "boolean", "native", "bool") for cast in casts), *(c.form for c in casts))


def _cast(session: ArrowSession, number: int, carried: Carried) -> Cast:
    stored = carried.stored
    if not _known(session, stored.pg_type) and stored.arrow == "string":
        # The type is gone, and the text that its values were stored as is left.
        stored = msgspec.structs.replace(stored, pg_type="text", encoding="native")
    cast = Cast(number, stored, carried.form)
    there = _castable(session, stored.pg_type, carried.form.pg_type)
    return replace(cast, direct=there, back=_castable(session, carried.form.pg_type, stored.pg_type))


def _known(session: ArrowSession, pg_type: str) -> bool:
    return _accepted(session, f"NULL::{pg_type}", NO_SUCH_TYPE)


def _castable(session: ArrowSession, one: str, other: str) -> bool:
    return _accepted(session, f"(NULL::{one})::{other}", NO_SUCH_CAST)


def _accepted(session: ArrowSession, expression: str, refused: Sequence[str]) -> bool:
    """Whether the expression means something here, and is not `refused` for one of these; the transaction goes on."""
    session.script("SAVEPOINT moi_try")
    try:
        session.rows(f"SELECT 1 FROM (SELECT {expression} AS v WHERE false) AS found")
    except Refused as error:
        session.script("ROLLBACK TO SAVEPOINT moi_try")
        if error.sqlstate not in refused:
            raise
        return False
    session.script("RELEASE SAVEPOINT moi_try")
    return True
