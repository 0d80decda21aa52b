"""The database `restore --to` names: a connection URL, `env:NAME`, `source`, or `embedded:DATABASE`."""

from __future__ import annotations

from moi_backup.cli.invocation import Invocation
from moi_backup.errors import SourceError, UsageError
from moi_backup.model.connection_url import check_connection_url, named_variable

_FORMS = "Give it as postgresql://user@host:port/database, env:NAME, source, or embedded:DATABASE."


def target_url(invocation: Invocation, text: str) -> str:
    """The URL to connect to, with its password; raises UsageError, which never repeats what was given."""
    if text == "source":
        return invocation.workspace.source_url()
    if text.startswith("embedded:"):
        return _embedded_url(invocation, text.removeprefix("embedded:"))
    try:
        variable = named_variable(text)
        url = text if variable is None else invocation.environ.get(variable, "")
        if not url:
            raise UsageError(f"--to names the environment variable {variable}, which is not set.", remedy=_FORMS)
        check_connection_url(url)
    except ValueError as error:
        raise UsageError(f"--to is no database: {error}.", remedy=_FORMS) from None
    return url


def _embedded_url(invocation: Invocation, database: str) -> str:
    from moi_backup.postgres import embedded

    if not database:
        raise UsageError("--to embedded: names no database.", remedy=_FORMS)
    state = invocation.settings.state.path
    server = embedded.running(state)
    if server is None:
        raise SourceError(
            "The embedded server does not run.", meaning=f"Looked for it in {state}.", remedy="Start it with make up."
        )
    return server.url(database)
