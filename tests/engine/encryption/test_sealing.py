"""Whole objects: what is sealed under a name opens under that name alone, and every change of a byte is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from moi_backup.errors import WrongKey
from moi_backup.model.key_ring import LASTING, PLAIN
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.sealing import OVERHEAD, key_number, seal, seal_file, unseal, unseal_file
from tests.engine.encryption.rings import ring

DATA = b"a manifest" * 20


def test_without_encryption_the_bytes_are_the_content() -> None:
    """A plain repository stores what it is given."""
    assert seal(DATA, name="x", ring=PLAIN) == DATA == unseal(DATA, name="x", ring=PLAIN)


def test_a_sealed_object_opens_under_its_own_name_alone() -> None:
    """Two objects that change places are both noticed."""
    held = ring("default")
    stored = seal(DATA, name="tables/a", ring=held)
    assert unseal(stored, name="tables/a", ring=held) == DATA
    assert len(stored) == len(DATA) + OVERHEAD
    with pytest.raises(DamagedObject):
        unseal(stored, name="tables/b", ring=held)


@pytest.mark.parametrize("position", range(len(DATA) + OVERHEAD))
def test_every_flipped_bit_is_noticed(position: int) -> None:
    """In the magic, the key's number, the nonce, the ciphertext and the tag."""
    held = ring("default")
    stored = bytearray(seal(DATA, name="x", ring=held))
    stored[position] ^= 1
    with pytest.raises((DamagedObject, WrongKey)):
        unseal(bytes(stored), name="x", ring=held)


@pytest.mark.parametrize("length", [0, 3, 19, 20, 35, OVERHEAD + len(DATA) - 1])
def test_every_truncation_is_noticed(length: int, tmp_path: Path) -> None:
    """As bytes and as a file."""
    held = ring("default")
    stored = seal(DATA, name="x", ring=held)[:length]
    with pytest.raises(DamagedObject):
        unseal(stored, name="x", ring=held)
    (tmp_path / "stored").write_bytes(stored)
    with pytest.raises(DamagedObject):
        unseal_file(tmp_path / "stored", tmp_path / "plain", name="x", ring=held)


@pytest.mark.parametrize("size", [0, 1, 16, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_files_and_bytes_are_sealed_alike(size: int, tmp_path: Path) -> None:
    """A file sealed piece by piece opens as bytes, and the other way round."""
    held = ring("default")
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "plain").write_bytes(data)
    seal_file(tmp_path / "plain", tmp_path / "sealed", name="x", ring=held)
    assert unseal((tmp_path / "sealed").read_bytes(), name="x", ring=held) == data
    (tmp_path / "stored").write_bytes(seal(data, name="x", ring=held))
    unseal_file(tmp_path / "stored", tmp_path / "back", name="x", ring=held)
    assert (tmp_path / "back").read_bytes() == data


def test_the_lasting_key_is_another_than_the_current_one() -> None:
    """What is sealed for good names key 0, and still opens when the scope has a newer key with the same digest key."""
    held = ring("default")
    stored = seal(DATA, name="chain/1", ring=held, number=LASTING)
    assert key_number(stored, name="chain/1") == LASTING
    assert unseal(stored, name="chain/1", ring=held) == DATA
    with pytest.raises(DamagedObject):
        unseal(stored, name="chain/1", ring=ring("default"))


def test_a_key_that_is_not_there_is_named() -> None:
    """An object under a later key than the ring has is no damage but a missing key."""
    stored = seal(DATA, name="x", ring=ring("default", number=2))
    with pytest.raises(WrongKey, match=r"default\.2"):
        unseal(stored, name="x", ring=ring("default"))
