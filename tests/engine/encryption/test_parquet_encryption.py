"""Encrypted chunk files: 256-bit keys for the footer and every column, each under the key of its scope."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moi_backup.errors import WrongKey
from moi_backup.lake.parquet import ChunkWriter, encoding_of, is_readable, read_rows, read_table
from moi_backup.lake.parquet_encryption import ScopeKeys, column_in_file
from moi_backup.model.key_ring import PLAIN, KeyRing
from moi_backup.model.table import Column
from tests.engine.encryption.rings import ring, without
from tests.engine.lake.test_assemble import TABLE

COLUMNS = (
    Column("day", "date", "native", "date32[day]"),
    Column("a:b,c;d (INR)", "text", "native", "string", scope="financial"),
    Column("campaign_name", "text", "native", "string", scope="sensitive_campaigns"),
)
SCOPES = ("default", "financial", "sensitive_campaigns")
ROWS = pa.table(
    {
        "day": pa.array([1, 2, 3], pa.int32()).cast(pa.date32()),
        "a:b,c;d (INR)": ["secret-amount-1", None, "secret-amount-3"],
        "campaign_name": ["secret-campaign"] * 3,
    }
)


class Recording(ScopeKeys):
    """The real key service, which also remembers what it unwrapped."""

    def __init__(self, held: KeyRing, unwrapped: list[tuple[str, int]]) -> None:
        super().__init__(held)
        self._record = unwrapped

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        key = super().unwrap_key(wrapped_key, master_key_identifier)
        self._record.append((master_key_identifier, len(key)))
        return key


@pytest.fixture
def held() -> KeyRing:
    """A ring with the three scopes."""
    return ring(*SCOPES)


@pytest.fixture
def file(tmp_path: Path, held: KeyRing) -> Path:
    """An encrypted chunk file."""
    path = tmp_path / "chunk.parquet"
    writer = ChunkWriter(path, columns=COLUMNS, day_column="day", ring=held)
    writer.write(ROWS)
    writer.close()
    return path


def table() -> Any:
    """The manifest of the table."""
    import msgspec

    return msgspec.structs.replace(TABLE, columns=COLUMNS)


def test_the_rows_come_back_under_their_names(file: Path, held: KeyRing) -> None:
    """Names with commas, colons and semicolons, which would cut the library's list of columns, are kept."""
    assert read_table(file, table(), ring=held).equals(ROWS)


def test_the_footer_and_every_column_have_a_data_key_of_256_bits(file: Path, held: KeyRing) -> None:
    """The file's own key material, unwrapped: one key for the footer and one for each column, under its scope's key."""
    unwrapped: list[tuple[str, int]] = []
    factory = pe.CryptoFactory(lambda _: Recording(held, unwrapped))
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())
    pq.ParquetFile(str(file), decryption_properties=properties).read()
    assert set(unwrapped) == {(f"{scope}.1", 32) for scope in SCOPES}
    assert len(unwrapped) >= 1 + len(COLUMNS)


def test_the_footer_names_its_key_and_wraps_it_once(file: Path, held: KeyRing) -> None:
    """The footer is encrypted (PARE); its key material, read from the bytes, is single-wrapped and 32 bytes long."""
    data = file.read_bytes()
    assert (data[:4], data[-4:]) == (b"PARE", b"PARE")
    (material,) = [json.loads(found) for found in re.findall(rb'\{[^{}]*"wrappedDEK"[^{}]*\}', data)]
    assert (material["masterKeyID"], material["isFooterKey"], material["doubleWrapping"]) == ("default.1", True, False)
    wrapped = base64.b64decode(material["wrappedDEK"])
    key = AESGCM(held.key("default").secret).decrypt(wrapped[:12], wrapped[12:], b"default.1")
    assert len(key) == 32


def test_a_key_service_refuses_128_bit_data_keys(held: KeyRing) -> None:
    """Should a new version of the library make shorter keys again, nothing is written with them."""
    with pytest.raises(ValueError, match="128 bits"):
        ScopeKeys(held).wrap_key(b"x" * 16, "default.1")


def test_nothing_of_the_values_or_names_is_in_the_file(file: Path) -> None:
    """Neither values nor column names can be seen in the bytes."""
    data = file.read_bytes()
    for text in (b"secret", b"campaign", b"INR", *(column_in_file(c.name, ring()).encode() for c in COLUMNS)):
        assert text not in data


def test_a_holder_of_some_scopes_reads_those_columns_and_no_other(file: Path, held: KeyRing) -> None:
    """Without the key of a scope its column raises WrongKey, and the others are read."""
    some = without(held, "financial")
    kept = [column for column in COLUMNS if column.scope != "financial"]
    (rows,) = read_rows(file, table(), columns=kept, ring=some)
    assert rows.equals(ROWS.select(["day", "campaign_name"]))
    with pytest.raises(WrongKey, match=r"financial\.1 is needed"):
        list(read_rows(file, table(), ring=some))


def test_a_file_cannot_be_written_without_the_key_of_a_scope(tmp_path: Path, held: KeyRing) -> None:
    """No column is left in the clear because its key is missing."""
    writer = ChunkWriter(tmp_path / "x", columns=COLUMNS, day_column=None, ring=without(held, "financial"))
    with pytest.raises(WrongKey):
        writer.write(ROWS)


def test_the_encoding_names_codec_and_keys(held: KeyRing) -> None:
    """Another key or another scope is another encoding, so such chunks are written anew."""
    assert encoding_of(COLUMNS, held) == "parquet-zstd-1+default.1+financial.1+sensitive_campaigns.1"
    assert encoding_of(COLUMNS, PLAIN) == "parquet-zstd-1"
    assert is_readable(encoding_of(COLUMNS, held), encrypted=True)
    assert not is_readable(encoding_of(COLUMNS, held), encrypted=False)
    assert not is_readable("parquet-zstd-1", encrypted=True)
