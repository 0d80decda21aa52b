"""Table names, and what a table's stored documents say of themselves."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moi_backup.model.table import (
    Chunk,
    ChunkDay,
    Column,
    DayColumn,
    TableManifest,
    TableName,
    parse_table_name,
)

# Any text without NUL is a name in Postgres; dots and quotes are the hard ones.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
hard_names = names | st.text('."a ', min_size=1, max_size=8)


@given(hard_names, hard_names)
def test_a_table_name_survives_its_text(schema: str, name: str):
    """Whatever the parts hold, the printed name reads back as the same table."""
    table = TableName(schema, name)
    assert parse_table_name(str(table)) == table


@given(hard_names, hard_names, hard_names, hard_names)
def test_two_tables_never_share_a_printed_name(schema: str, name: str, other_schema: str, other_name: str):
    """Printed names are keys of the configuration, so they are as distinct as the tables."""
    one, other = TableName(schema, name), TableName(other_schema, other_name)
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("orders", TableName("public", "orders")),
        ("shop.orders", TableName("shop", "orders")),
        ("shop.Ad Spend (INR)", TableName("shop", "Ad Spend (INR)")),
        ('"odd.schema"."odd.name"', TableName("odd.schema", "odd.name")),
        ('"say ""hi"""', TableName("public", 'say "hi"')),
        ('shop."a.b"', TableName("shop", "a.b")),
    ],
)
def test_a_table_is_named_as_in_sql(text: str, table: TableName):
    """Quotes serve dots and quotes; a name without a schema is in the default one; case is kept."""
    assert parse_table_name(text) == table


def test_a_name_without_a_schema_is_in_the_default_schema_that_was_given():
    """The default schema is the caller's."""
    assert parse_table_name("orders", default_schema="shop") == TableName("shop", "orders")


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '""', '"a', '"""', '"a"b', '"a"b.c', 'a."b"c'])
def test_what_is_no_table_name_is_refused(text: str):
    """Half names, three parts and unbalanced quotes are errors, not guesses."""
    with pytest.raises(ValueError, match="table name"):
        parse_table_name(text)


def _manifest() -> TableManifest:
    return TableManifest(
        table=TableName("public", "orders"),
        columns=(
            Column(name="id", pg_type="integer", encoding="native", arrow="int32", not_null=True, identity="always"),
            Column(name="net", pg_type="numeric(10,2)", encoding="decimal", arrow="decimal128(10, 2)"),
            Column(name="gross", pg_type="numeric", encoding="text", arrow="string", generated="stored"),
        ),
        day=DayColumn(column="at", kind="timestamptz", timezone="Asia/Kolkata"),
        order_by=("id",),
        key=None,
        required=(),
        data_class="historical",
        rows=0,
        digest="",
        months=(),
    )


def test_a_restore_never_writes_generated_columns():
    """Generated columns are computed by the database; identity columns are written."""
    assert [column.name for column in _manifest().restorable] == ["id", "net"]


def test_a_table_manifest_survives_its_document():
    """Decoding the JSON gives an equal value."""
    manifest = _manifest()
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=TableManifest) == manifest


def test_a_table_manifest_with_an_unknown_field_is_refused():
    """A newer writer's document is never read in part."""
    document = msgspec.to_builtins(_manifest()) | {"colour": "blue"}
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert(document, TableManifest)


def test_the_rows_of_a_chunk_are_those_of_its_days():
    """No count is stored twice."""
    days = tuple(ChunkDay(day=f"2025-09-0{day}", rows=day, digest="", columns="") for day in (1, 2, 3))
    assert Chunk(span="2025-09", digest="", stored="", size=1, weight=1, encoding="x", days=days).rows == 6
