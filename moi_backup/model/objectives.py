"""The objectives of recovery by class of data: how long a recovery may take, and how much may be lost."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

_HOUR = 3600.0


class Objective(msgspec.Struct, frozen=True):
    """`recovery_time` (RTO) and `recovery_point` (RPO) in seconds."""

    recovery_time: float
    recovery_point: float


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "critical": Objective(recovery_time=2 * _HOUR, recovery_point=1 * _HOUR),
        "historical": Objective(recovery_time=24 * _HOUR, recovery_point=24 * _HOUR),
        "reports": Objective(recovery_time=4 * _HOUR, recovery_point=24 * _HOUR),
    }
)
