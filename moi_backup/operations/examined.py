"""One thing that was examined: how it is, and what to do about it."""

from __future__ import annotations

from typing import Literal, Self

import msgspec

from moi_backup.errors import MoiError


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A check of the environment; `remedy` is empty when all is well."""

    name: str
    level: Literal["ok", "warn", "fail"]
    text: str
    remedy: str = ""

    @classmethod
    def of_error(cls, name: str, error: MoiError) -> Self:
        """A failure as an error told it."""
        text = " ".join(part for part in (error.what, error.meaning) if part)
        return cls(name=name, level="fail", text=text, remedy=error.remedy)
