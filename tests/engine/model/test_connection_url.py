"""Connection URLs are read as libpq reads them, and shown without secrets."""

from contextlib import suppress

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from moi_backup.model.connection_url import check_connection_url, holds_secret, named_variable, shown

# Pieces in which the parts of a URL and their separators meet in every order.
pieces = st.lists(
    st.sampled_from(
        ["moi", "s3cret", "h", "5432", ":", "@", "/", "?", "#", "&", "=", "password", "p%61ssword", "%40", ","]
    )
    | st.sampled_from(["[::1]", "sslmode=require", "sslpassword="]),
    max_size=9,
)
SECRETS = ("password", "sslpassword")


def accepted(url: str) -> bool:
    """Whether the URL passes our check."""
    with suppress(ValueError):
        check_connection_url(url)
        return True
    return False


@given(pieces.map("".join))
def test_no_secret_that_libpq_finds_is_overlooked(rest: str):
    """The oracle is libpq itself; a URL that it refuses says nothing."""
    url = f"postgresql://{rest}"
    if not accepted(url):
        return
    with suppress(psycopg.ProgrammingError):
        parameters = conninfo_to_dict(url)
        assert holds_secret(url) or not any(parameters.get(name) for name in SECRETS)


@given(pieces.map("".join))
def test_what_is_shown_reads_as_the_same_place_without_its_secrets(rest: str):
    """Libpq finds in the shown URL all it finds in the URL itself, secrets replaced by stars."""
    url = f"postgresql://{rest}"
    if not accepted(url):
        return
    with suppress(psycopg.ProgrammingError):
        parameters = conninfo_to_dict(url)
        hidden = {name: "***" for name in SECRETS if parameters.get(name)}
        assert _filled(conninfo_to_dict(shown(url))) | hidden == _filled(parameters) | hidden


def _filled(parameters: dict) -> dict:
    return {name: value for name, value in parameters.items() if value and value != "***"}


@given(st.text(st.characters(exclude_characters="@/", codec="utf-8"), min_size=1), st.sampled_from(["moi", ""]))
def test_no_password_that_libpq_would_read_is_shown(password: str, user: str):
    """A password ends at the first @; whatever stands before it is hidden, `?` and `#` included."""
    assert shown(f"postgresql://{user}:{password}@h/d") == f"postgresql://{user}:***@h/d"


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:p@h:1/d?a=b", "postgresql://", "postgres://h", "postgresql://[::1]/d", "postgresql+psycopg2://h"],
)
def test_an_ordinary_url_is_accepted(url: str):
    """With and without driver, user, port, database and parameters."""
    check_connection_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("h/d", "postgresql://user@host"),
        ("http://h/d", "postgresql://user@host"),
        ("postgresql://u:a@b@h/d", "stray @"),
        ("postgresql://u:a/b@h/d", "stray @ or /"),
        ("postgresql://h/d?options=a@b", "stray @"),
        ("postgresql://u:secret", "host and port"),
        ("postgresql://h/d d", "white space"),
        ("postgresql://h/d\0", "control characters"),
    ],
)
def test_a_url_that_could_be_misread_is_refused(url: str, reason: str):
    """The reason says how to write it; the URL is not part of it."""
    with pytest.raises(ValueError, match=reason) as caught:
        check_connection_url(url)
    assert url not in str(caught.value)


def test_a_variable_is_named_by_env_and_nothing_else():
    """`env:NAME` names NAME; a URL names none; anything but a variable's name is refused."""
    assert named_variable("env:DATABASE_URL") == "DATABASE_URL"
    assert named_variable("postgresql://h/d") is None
    for odd in ("env:", "env:1A", "env:A B", "env:postgresql://h"):
        with pytest.raises(ValueError, match="environment variable"):
            named_variable(odd)
