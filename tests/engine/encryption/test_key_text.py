"""Keys as text and where they come from: mistakes are noticed, and no error shows a key."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from moi_backup.errors import WrongKey
from moi_backup.model.child_environment import without_keys
from moi_backup.model.key_ring import ScopeKey
from moi_backup.repository.key_sources import KeySource, read_keys
from moi_backup.repository.key_text import MasterKey, export_scopes, generate_master, parse_key

SCOPE_KEY = ScopeKey("pii", 3, os.urandom(32), os.urandom(32))


def test_a_master_key_is_what_was_generated() -> None:
    """The text carries exactly the random bytes."""
    secret = os.urandom(32)
    key = parse_key(generate_master(lambda size: secret[:size]), number=4, origin="MOI_KEY_4")
    assert key == MasterKey(4, secret)


def test_every_mistyped_or_missing_character_is_noticed() -> None:
    """A key with one other character, or without one, is none; the message does not repeat it."""
    text = generate_master(os.urandom)
    for place in range(len(text)):
        wrong = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        for mistake in (wrong, text[:place] + text[place + 1 :]):
            with pytest.raises(WrongKey) as error:
                parse_key(mistake, number=1, origin="MOI_KEY_1")
            assert mistake[12:] not in str(error.value) + repr(error.value)


def test_exported_scopes_come_back() -> None:
    """Repository, scope, number and both secrets."""
    exported = parse_key(export_scopes("ab" * 16, (SCOPE_KEY,)), number=1, origin="MOI_KEY_1")
    assert not isinstance(exported, MasterKey)
    assert (exported.repository, exported.keys) == ("ab" * 16, (SCOPE_KEY,))


def test_no_repr_shows_a_key() -> None:
    """Values that hold keys can stand in a traceback."""
    text = generate_master(os.urandom)
    source = KeySource(1, text, Path())
    for value in (source, source.read(), SCOPE_KEY, read_keys([source])):
        assert text[10:] not in repr(value)
        assert repr(SCOPE_KEY.secret) not in repr(value)


def test_a_key_comes_from_the_variable_a_file_or_a_command(tmp_path: Path) -> None:
    """A relative file and a command are those of the folder; white space around the key does not count."""
    text = generate_master(os.urandom)
    (tmp_path / "key").write_text(f"  {text}\n")
    program = f"{sys.executable} -c 'print(open(\"key\").read())'"
    keys = [KeySource(1, value, tmp_path).read() for value in (text, "file:key", f"command:{program}")]
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("file:missing", "missing cannot be read"),
        ("command:false", "exit code 1"),
        ("command:no-such-program", "No such file"),
        ("command:", "not a command"),
        ("command:'", "not a command"),
        ("hunter2", "begins with neither"),
    ],
)
def test_a_key_that_cannot_be_had_says_why(value: str, what: str, tmp_path: Path) -> None:
    """The variable is named, the reason too; exit code 12."""
    with pytest.raises(WrongKey, match=what) as error:
        KeySource(5, value, tmp_path).read()
    assert "MOI_KEY_5" in str(error.value)
    assert error.value.exit_code == 12


def test_other_programs_do_not_get_the_keys() -> None:
    """The environment of a child process is without them."""
    assert without_keys({"PATH": "/bin", "MOI_KEY_1": "x", "MOI_KEY_12": "y", "MOI_STATE": "s"}) == {
        "PATH": "/bin",
        "MOI_STATE": "s",
    }
