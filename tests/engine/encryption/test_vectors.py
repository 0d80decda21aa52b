"""docs/format.md, "Encryption", in plain Python, and the engine: both open what an earlier run has written."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moi_backup.lake.parquet import read_rows
from moi_backup.model.key_ring import KeyRing, ScopeKey
from moi_backup.model.table import Column, TableManifest, TableName
from moi_backup.repository.key_sources import GivenKeys
from moi_backup.repository.key_text import ExportedScopes, MasterKey, parse_key
from moi_backup.repository.scope_keys import read_ring
from moi_backup.repository.sealing import unseal
from moi_backup.storage.memory import MemoryStore
from tests.engine.lake.reference_digest import part_digest

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
SECRETS = {key["scope"]: base64.b64decode(key["secret"]) for key in VECTORS["scope_keys"]}
DIGEST_KEYS = {key["scope"]: base64.b64decode(key["digest"]) for key in VECTORS["scope_keys"]}
MASTER = base64.b64decode(VECTORS["master"]["secret"])


def opened(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    """Nonce and ciphertext under a key."""
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound_to.encode())


def decoded(text: str, prefix: str) -> bytes:
    """What a key's text carries, its checksum taken off after a look at it."""
    data = base64.urlsafe_b64decode(text.removeprefix(prefix) + "==")
    assert blake3(data[:-4]).digest(4) == data[-4:]
    return data[:-4]


def ring() -> KeyRing:
    """The keys of the vectors."""
    keys = {(scope, 1): ScopeKey(scope, 1, SECRETS[scope], DIGEST_KEYS[scope]) for scope in SECRETS}
    return KeyRing(encrypted=True, keys=MappingProxyType(keys), current=MappingProxyType(dict.fromkeys(SECRETS, 1)))


def test_a_master_key_is_its_text_and_its_id() -> None:
    """Prefix, bytes and checksum; the id is a derivation."""
    text = VECTORS["master"]["text"]
    assert decoded(text, "moi-key-1-") == MASTER
    assert blake3(MASTER, derive_key_context="moi-backup 1 key id").hexdigest()[:16] == VECTORS["master"]["id"]
    assert parse_key(text, number=1, origin="a vector") == MasterKey(1, MASTER)


@pytest.mark.parametrize("name", VECTORS["entries"])
def test_an_entry_of_keys_opens_with_its_master_key(name: str) -> None:
    """Checksum line, document, and both secrets under the master key, bound to repository and name."""
    checksum, _, document = VECTORS["entries"][name].partition("\n")
    entry = json.loads(document)
    secrets = opened(MASTER, base64.b64decode(entry["wrapped"]), f"{VECTORS['repository']} {name}")
    assert checksum == blake3(document.encode()).hexdigest()
    assert (secrets[:32], secrets[32:]) == (SECRETS[entry["scope"]], DIGEST_KEYS[entry["scope"]])
    assert blake3(secrets[:32], derive_key_context="moi-backup 1 key id").hexdigest()[:16] == entry["key_id"]
    assert entry["master_id"] == VECTORS["master"]["id"]


def test_the_engine_reads_the_same_entries(tmp_path: Path) -> None:
    """With the master key, and with the export."""
    store = MemoryStore(scratch=tmp_path, clock=lambda: 0.0)
    for name, text in VECTORS["entries"].items():
        store.put(name, text.encode())
    exported = parse_key(VECTORS["export"], number=1, origin="a vector")
    assert isinstance(exported, ExportedScopes)
    for given in (GivenKeys(masters=(MasterKey(1, MASTER),)), GivenKeys(exported=(exported,))):
        assert read_ring(store, given, repository=VECTORS["repository"]).keys == ring().keys


def test_an_export_is_a_document_with_its_scope_keys() -> None:
    """The repository's id, and of each key scope, number and both secrets."""
    document = json.loads(decoded(VECTORS["export"], "moi-scopes-1-"))
    assert document["repository"] == VECTORS["repository"]
    assert document["keys"] == [{k: v for k, v in key.items() if k != "id"} for key in VECTORS["scope_keys"]]


def test_the_lasting_key_is_derived_from_the_digest_key() -> None:
    """It outlives every key of scope default."""
    derived = blake3(DIGEST_KEYS["default"], derive_key_context="moi-backup 1 lasting key: chain entries").digest()
    assert derived == base64.b64decode(VECTORS["lasting"])


@pytest.mark.parametrize("vector", VECTORS["sealed"], ids=lambda vector: vector["name"].partition("/")[0])
def test_a_sealed_object_opens_under_its_name(vector: dict[str, Any]) -> None:
    """Header, nonce, ciphertext and tag; the name is the associated data."""
    stored = base64.b64decode(vector["stored"])
    magic, number = struct.unpack(">4sI", stored[:8])
    key = base64.b64decode(VECTORS["lasting"]) if number == 0 else SECRETS["default"]
    assert (magic, number) == (b"MOI1", vector["number"])
    assert opened(key, stored[8:], vector["name"]) == vector["content"].encode()
    assert unseal(stored, name=vector["name"], ring=ring()) == vector["content"].encode()
    with pytest.raises(InvalidTag):
        opened(key, stored[8:], "another/name")


def test_names_are_keyed_by_the_digest_key_of_default() -> None:
    """Of the content, before compression and sealing."""
    for vector in VECTORS["names"]:
        content = vector["content"].encode()
        assert blake3(content, key=DIGEST_KEYS["default"]).hexdigest() == vector["digest"]
        assert ring().name_digest(content) == vector["digest"]


def test_rows_have_the_keyed_digest() -> None:
    """Every column under the digest key of its scope."""
    rows = VECTORS["rows"]
    columns = [(column["name"], column["arrow"], rows["values"][column["name"]]) for column in rows["columns"]]
    keys = {column["name"]: DIGEST_KEYS[column["scope"]] for column in rows["columns"]}
    assert part_digest(columns, keys) == rows["digest"]
    assert part_digest(columns) != rows["digest"]


def test_an_encrypted_chunk_is_read(tmp_path: Path) -> None:
    """A file written earlier holds the rows; its columns are called by the hex of their names, which stand nowhere."""
    rows, file = VECTORS["rows"], tmp_path / "chunk.parquet"
    file.write_bytes(base64.b64decode(rows["chunk"]))
    columns = tuple(Column(encoding="native", **column) for column in rows["columns"])
    table = TableManifest(
        table=TableName("public", "sales"), columns=columns, day=None, order_by=(), key=None, required=(),
        data_class="historical", rows=3, digest="", months=(),
    )  # fmt: skip
    (read,) = read_rows(file, table, ring=ring())
    assert read.select(["customer", "amount"]).to_pydict() == {k: rows["values"][k] for k in ("customer", "amount")}
    assert rows["encoding"] == "parquet-zstd-1+default.1+pii.1"
    assert file.read_bytes().startswith(b"PARE")
    assert b"customer".hex().encode() not in file.read_bytes()
