"""Documents: equal values give equal bytes, and nothing newer is read in part."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import msgspec
import pytest

from moi_backup.errors import NoRepository
from moi_backup.model.backup import ChainEntry
from moi_backup.repository import documents
from moi_backup.repository.damage import DamagedObject

ENTRY = ChainEntry(seq=1, previous="0" * 64, action="publish", backup="b", manifest="m", at="t", lease_epoch=7)


def changed(**fields: object) -> bytes:
    """The entry as JSON with other fields."""
    return json.dumps(json.loads(documents.encode_document(ENTRY)) | fields).encode()


def test_documents_are_canonical():
    """Sorted keys, no white space, UTF-8, and the format is always there."""
    data = documents.encode_document(msgspec.structs.replace(ENTRY, backup="é"))
    fields = json.loads(data)
    assert data == json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert fields["format"] == 1


def test_a_newer_format_is_refused_with_its_number():
    """Also when everything else in the document is unknown."""
    with pytest.raises(NoRepository, match="format 2") as caught:
        documents.decode_document(b'{"format":2,"what":["ever"]}', ChainEntry, name="chain/0000000001")
    assert "chain/0000000001" in caught.value.what
    assert "format 2" in caught.value.remedy


def test_an_unknown_field_is_refused_and_not_ignored():
    """A field of a later version may change what the others mean; in a known format a flipped bit is likelier."""
    with pytest.raises(NoRepository, match=r"chain/1 .*held.* damaged, or was written by a newer version") as refused:
        documents.decode_document(changed(held=True), ChainEntry, name="chain/1")
    assert "Restore chain/1 from a copy" in refused.value.remedy
    assert "newer moi-backup" in refused.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        changed(seq="one"),
        changed(action="explode"),
        changed(format="x"),
        changed(format=0),
    ],
)
def test_what_is_no_document_is_damage_of_the_named_object(data: bytes):
    """Cut, binary or wrongly typed bytes name the object they came from."""
    with pytest.raises(DamagedObject, match="chain/1") as caught:
        documents.decode_document(data, ChainEntry, name="chain/1")
    assert caught.value.kind == "content"


def test_compression_holds_no_time():
    """Equal documents give equal stored bytes today and tomorrow (bytes 4 to 8 of gzip are its time)."""
    assert documents.compress(b"x")[4:8] == b"\0\0\0\0"
    assert documents.decompress(documents.compress(b"x" * 1000), name="tables/a") == b"x" * 1000


@pytest.mark.parametrize(
    "stored", [b"plain", gzip.compress(b"x" * 1000, mtime=0)[:-9], gzip.compress(b"x" * 1000, mtime=0)[:20]]
)
def test_what_cannot_be_decompressed_is_damage(stored: bytes):
    """Plain and cut bytes never pass for a short document."""
    with pytest.raises(DamagedObject, match="tables/a"):
        documents.decompress(stored, name="tables/a")


def test_moments_are_stored_in_utc_with_microseconds():
    """A moment without a time zone is refused: it could mean any."""
    assert documents.timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000+00:00"
    with pytest.raises(ValueError, match="time zone"):
        documents.timestamp(datetime(2026, 1, 2))  # noqa: DTZ001  # that is the case under test
