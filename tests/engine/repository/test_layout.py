"""Object names: unambiguous, safe where case is ignored, and never leading elsewhere."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moi_backup.model.day import label_of, month_of
from moi_backup.model.table import TableName
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.storage.naming import check_name

# What Postgres allows in a name: 63 bytes of UTF-8 without zero.
IDENTIFIERS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda text: len(text.encode()) <= 63
)
TABLES = st.builds(TableName, IDENTIFIERS, IDENTIFIERS)
LABELS = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)).map(label_of)
SPANS = st.one_of(LABELS, LABELS.map(month_of))
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
LETTERS = TableName("a" * 63, "A" * 40)


@given(table=TABLES, span=SPANS, digest=DIGESTS, stored=DIGESTS)
def test_a_chunk_name_tells_table_span_and_hashes(table: TableName, span: str, digest: str, stored: str):
    """Every table, span and hash comes back from the name; a part that was cut says that the table is not in it."""
    name = layout.chunk_object(table, span=span, digest=digest, stored=stored)
    parsed = layout.parse_chunk_name(check_name(name))
    assert (parsed.span, parsed.digest, parsed.stored) == (span, digest, stored)
    assert parsed.table == (None if "~" in name else table)


@given(table=TABLES, span=SPANS, digest=DIGESTS, stored=DIGESTS, mark=st.integers(1, 10**10))
def test_a_revived_name_differs_and_leads_back(table: TableName, span: str, digest: str, stored: str, mark: int):
    """The suffix is part of the reference, not of the hash; without it the name is the old one."""
    reference = layout.revived(stored, mark)
    for plain, name in (
        (layout.file_name(stored), layout.file_name(reference)),
        (layout.table_name(stored), layout.table_name(reference)),
        (
            layout.chunk_object(table, span=span, digest=digest, stored=stored),
            layout.chunk_object(table, span=span, digest=digest, stored=reference),
        ),
    ):
        assert name != plain
        assert layout.unrevived(name) == layout.unrevived(plain) == plain
    assert layout.parse_chunk_name(check_name(name)).stored == reference
    assert layout.hash_of(reference) == layout.hash_of(stored) == layout.revived(stored, 0) == stored


@given(one=TABLES, other=TABLES)
def test_different_tables_never_share_a_folder(one: TableName, other: TableName):
    """Also where the file system ignores case."""
    same = layout.table_folder(one).lower() == layout.table_folder(other).lower()
    assert same == (one == other)


@given(table=TABLES)
def test_a_folder_fits_every_file_system(table: TableName):
    """At most 255 bytes of plain characters, whatever the table is called."""
    folder = layout.table_folder(table)
    assert len(folder) <= 255
    assert re.fullmatch(r"[a-z0-9_%A-F~.-]+", folder)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("sales", "sales"),
        ("Sales", "%53ales"),
        ("a.b c", "a%2Eb%20c"),
        ("~%", "%7E%25"),
        ("é", "%C3%A9"),
        ("A" * 40, "%41" * 40),
    ],
)
def test_parts_are_encoded_byte_by_byte(text: str, encoded: str):
    """Everything but a-z, 0-9, _ and - becomes % and two capital hex digits."""
    assert layout.encode_part(text) == encoded
    assert layout.decode_part(encoded) == text


def test_a_part_past_120_bytes_is_cut_and_stays_different():
    """80 bytes, a tilde and 32 hex digits of the hash of the whole."""
    one, other = layout.encode_part("A" * 41), layout.encode_part("A" * 42)
    assert re.fullmatch(r"(%41){26}%4~[0-9a-f]{32}", one)
    assert one[:80] == other[:80]
    assert one != other
    assert layout.decode_part(one) is None


@pytest.mark.parametrize("name", ["chunks/public.a/2025-09/x.parquet", "tables/" + "0" * 64, "chunks/a/2025-09/b"])
def test_what_is_no_chunk_is_refused(name: str):
    """A name without the parts of a chunk's name raises ValueError."""
    with pytest.raises(ValueError, match="not the name of a chunk"):
        layout.parse_chunk_name(name)


@pytest.mark.parametrize(
    "bad", ["", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "/x", "0" * 64 + "~0", "0" * 64 + "~1/x"]
)
def test_no_document_can_point_outside_its_place(bad: str):
    """Digests, spans and ids that come from stored documents are checked before they become a name."""
    good = "0" * 64
    for make in (
        lambda: layout.table_name(bad),
        lambda: layout.file_name(bad),
        lambda: layout.backup_name(bad),
        lambda: layout.trash_name(bad),
        lambda: layout.chunk_object(LETTERS, span=bad, digest=good, stored=good),
        lambda: layout.chunk_object(LETTERS, span="undated", digest=bad, stored=good),
        lambda: layout.chunk_object(LETTERS, span="undated", digest=good, stored=bad),
    ):
        with pytest.raises(DamagedObject):
            make()


def test_numbers_have_ten_digits():
    """So that names sort as numbers do."""
    assert layout.chain_name(7) == "chain/0000000007"
    assert layout.done_name(7, 12) == "marks/0000000007-0000000012.done"
    assert layout.parse_mark_name(layout.mark_name(7, 12)) == (7, 12, False)
    assert layout.parse_mark_name("marks/damaged/x") is None
    assert layout.lease_name("writer", 12) == "leases/writer/0000000012"
    assert layout.beat_name("writer", 12) == "leases/writer/0000000012.beat"


def test_a_new_id_is_one():
    """UTC time and six hex digits, from any time zone."""
    moment = datetime.fromisoformat("2026-11-25T02:00:00+05:30")
    assert layout.new_backup_id(moment, entropy=b"\x7f\x3a\x9c") == "20261124T203000Z-7f3a9c"
    assert layout.is_backup_id(layout.new_backup_id(datetime.now(UTC), entropy=os.urandom(3)))
