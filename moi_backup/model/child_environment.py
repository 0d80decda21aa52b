"""What other programs get of this process's environment: what they do not need, they cannot show."""

from __future__ import annotations

from collections.abc import Mapping

KEY_VARIABLES = "MOI_KEY_"


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the keys of the repository."""
    return {name: value for name, value in environ.items() if not name.startswith(KEY_VARIABLES)}
